"""Boxes of one image: checked, and gathered so that a bad one costs itself and not the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from workloads.datasets.remarks import is_strict, lenient, remark
from workloads.datasets.values import number
from workloads.errors import InputRejected
from workloads.records import GroundTruth

Box = tuple[float, float, float, float]
BadBoxes = Literal["drop", "refuse"]

DROPPED = (
    "boxes that are inverted, empty, no numbers or outside their image were left out; their "
    "images keep their labels"
)

FROM_OUTLINE = "boxes that are missing were drawn around the outlines of their objects"


class BadBox(InputRejected):
    """One box cannot be used."""


class EmptyBox(BadBox):
    """A box without an area: a slip of the hand, which says nothing about other boxes."""


class BoxRules(NamedTuple):
    """The rules for boxes that cannot be used as they stand.

    Attributes:
        clip: cut what reaches beyond the image.
        bad: "drop" the box, or "refuse" the image; None drops it unless the reading is strict.
    """

    clip: bool = False
    bad: BadBoxes | None = None

    @property
    def refuses(self) -> bool:
        """Whether one bad box costs the image."""
        return is_strict() if self.bad is None else self.bad == "refuse"


def checked_box(box: Box, width: int, height: int, *, clip: bool, given: str = "") -> Box:
    """A half-open box that lies in the upright image.

    Args:
        box: x0, y0, x1, y1 in pixels, half-open.
        clip: cut what reaches beyond the image instead of refusing it.
        given: the box as its file has it, for the message.

    Raises:
        EmptyBox: inverted or empty.
        BadBox: outside the image.
    """
    x0, y0, x1, y1 = box
    given = given or f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
    if not (x0 < x1 and y0 < y1):
        raise EmptyBox(f"{given} is inverted or empty; correct it")
    if clip:
        x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height or not (x0 < x1 and y0 < y1):
        raise BadBox(
            f"{given} is outside the upright image of {width}x{height}; correct it, or cut such "
            "boxes with the data set's option clip_boxes"
        )
    # Records hold float32, in which a sliver far from the origin has no width.
    if np.float32(x0) == np.float32(x1) or np.float32(y0) == np.float32(y1):
        raise EmptyBox(f"{given} is empty in single precision; correct it")
    return x0, y0, x1, y1


def corner(value: object, what: str) -> float:
    """One number of a box.

    Raises:
        BadBox: it is none; the message names `what`.
    """
    try:
        return number(value, what)
    except InputRejected as error:
        raise BadBox(str(error)) from None


class Objects:
    """The objects of one image, gathered one by one."""

    def __init__(self, rules: BoxRules) -> None:
        self._rules = rules
        self._boxes: list[Box] = []
        self._flags: list[tuple[int, bool, bool, bool]] = []
        self._lost: list[tuple[int, bool]] = []
        self._first: BadBox | None = None
        self._worst: BadBox | None = None

    def add(
        self,
        label: int,
        box: Callable[[], Box],
        *,
        difficult: bool = False,
        truncated: bool = False,
        crowd: bool = False,
    ) -> None:
        """Add an object of a class.

        Args:
            box: gives its box, or raises BadBox.

        Raises:
            BadBox: the rules refuse bad boxes.
        """
        try:
            self._boxes.append(box())
        except BadBox as error:
            if self._rules.refuses:
                raise
            self._lost.append((label, difficult))
            self._first = self._first or error
            if not isinstance(error, EmptyBox):
                self._worst = self._worst or error
            return
        self._flags.append((label, difficult, truncated, crowd))

    def truth(self) -> GroundTruth:
        """The truth of the image; the classes of objects that lost their box stay.

        Raises:
            BadBox: all boxes are bad, and not just empty: perhaps they belong to another image,
                or to one of another size.
        """
        if self._worst is not None and not self._boxes:
            raise self._worst
        labels, difficult, truncated, crowd = np.array(self._flags, np.int32).reshape(-1, 4).T
        if self._first is not None and self._rules.bad is None:
            lenient(DROPPED, self._first, len(self._lost))
        else:
            remark(DROPPED, len(self._lost))
        found = GroundTruth.from_boxes(
            np.array(self._boxes, np.float32).reshape(-1, 4),
            labels,
            box_difficult=difficult.astype(np.bool_),
            box_truncated=truncated.astype(np.bool_),
            box_crowd=crowd.astype(np.bool_),
        )
        return with_classes(found, self._lost) if self._lost else found


def with_classes(truth: GroundTruth, lost: list[tuple[int, bool]]) -> GroundTruth:
    """A truth with the classes of objects without a box: (label, whether it is difficult)."""
    easy = {*truth.labels, *(label for label, difficult in lost if not difficult)}
    hard = {*truth.difficult_labels, *(label for label, difficult in lost if difficult)}
    return replace(truth, labels=tuple(sorted(easy)), difficult_labels=tuple(sorted(hard - easy)))
