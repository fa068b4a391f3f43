"""Decisions of people about boxes of an annotation, as the review page saves them.

    {"schema": 1, "model": "...", "min_score": 0.5, "images": {"7": [
        {"label": "cat", "box": [x0, y0, x1, y1], "verdict": "accept"},
        {"label": "cat", "box": [x0, y0, x1, y1], "verdict": "relabel", "to": "dog"}]}}

A verdict outranks the score: a rejected box is left out, an accepted or relabelled one is there
even if its class is below the score that others must reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from workloads.annotation.found import FoundImage
from workloads.artifacts import read_json
from workloads.detections import Detections
from workloads.errors import ConfigError, unknown_name
from workloads.options import Options

SCHEMA = 1
SAME_BOX_PX = 0.01
"""Corners that differ by no more are the same: a file may have been rounded on its way."""


class Decision(Options):
    """A verdict on one box, which its class and corners name."""

    label: str
    box: tuple[float, float, float, float]
    verdict: Literal["accept", "reject", "relabel"]
    to: str | None = None

    @property
    def of(self) -> str:
        """The box, in words."""
        return f"'{self.label}' {list(self.box)}"

    @model_validator(mode="after")
    def _has_another_class(self) -> Self:
        if (self.verdict == "relabel") != (self.to is not None):
            raise ValueError("`to` is the class of a relabelled box, and of no other")
        return self


class _File(Options):
    """The file of decisions."""

    model: str
    min_score: float = Field(ge=0)
    images: dict[int, tuple[Decision, ...]]


@dataclass(frozen=True)
class Review:
    """Decisions about the boxes of one annotation.

    Attributes:
        source: the file that they are from.
        min_score: class score from which the reviewer was shown boxes.
        decisions: image id to what was said of its boxes.
        classes: class name to index.
        reviewed_only: leave out what nobody judged: boxes, and images that are not in the file,
            which would look as if somebody had found nothing in them.
    """

    source: Path
    min_score: float
    decisions: Mapping[int, Sequence[Decision]]
    classes: Mapping[str, int]
    reviewed_only: bool = False

    @classmethod
    def read(
        cls, path: Path, model: str, classes: Sequence[str], *, reviewed_only: bool = False
    ) -> Self:
        """Read a file of decisions.

        Args:
            model: name of the annotation's model.
            classes: its class names, by label.

        Raises:
            NotFound: no such file.
            IntegrityError: it is not JSON.
            ConfigError: it is of another model, names other classes, judges a box twice, or is not
                such a file.
        """
        values = read_json(path)
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise ConfigError(
                f"{path}: schema: {schema!r} given, {SCHEMA} allowed; save the review again"
            )
        file = _File.parse(values, str(path))
        if file.model != model:
            raise ConfigError(
                f"{path}: a review of {file.model}, and the annotation is by {model}; give the "
                "review of this annotation"
            )
        index = {name: label for label, name in enumerate(classes)}
        said = [one for of_image in file.images.values() for one in of_image]
        named = [name for one in said for name in (one.label, one.to) if name is not None]
        unknown = [name for name in named if name not in index]
        if unknown:
            raise ConfigError(
                f"{path}: {len(unknown)} times a class that the model does not have, the first: "
                f"{unknown_name('class', unknown[0], classes)}"
            )
        twice = [
            f"image {number}, {one}" for number, of in file.images.items() for one in _twice(of)
        ]
        if twice:
            raise ConfigError(
                f"{path}: boxes judged twice: {len(twice)} (the first: {twice[0]}); leave one "
                "verdict for each"
            )
        return cls(path, file.min_score, file.images, index, reviewed_only)

    def shows(self, image_id: int) -> bool:
        """Whether an image is there at all."""
        return not self.reviewed_only or image_id in self.decisions

    def judge(
        self, image_id: int, boxes: Detections, kept: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """The (N,) boxes to keep and their (N,) classes, after what was said of them.

        Args:
            boxes: all of the image.
            kept: (N,) whether a box that nobody judged is kept.
        """
        kept = np.zeros_like(kept) if self.reviewed_only else kept.copy()
        labels = boxes.labels.copy()
        for decision in self.decisions.get(image_id, ()):
            same = self._same(decision, boxes)
            kept[same] = decision.verdict != "reject"
            if decision.to is not None:
                labels[same] = self.classes[decision.to]
        return kept, labels

    def check(self, images: Iterable[FoundImage]) -> None:
        """Find the box of every decision.

        Args:
            images: all images of the annotation.

        Raises:
            ConfigError: an image or a box is not there; how many, and the first of them.
        """
        images_left, lost = dict(self.decisions), list[str]()
        for image in images:
            lost += self._lost(image, images_left.pop(image.image_id, ()))
        said = []
        if images_left:
            said.append(f"unknown image ids: {len(images_left)} (the first: {min(images_left)})")
        if lost:
            said.append(f"boxes not there: {len(lost)} (the first: {lost[0]})")
        if said:
            raise ConfigError(
                f"{self.source}: {', '.join(said)}; give the review of this annotation, at the "
                "cut-offs that were reviewed, or take these decisions out of the file"
            )

    def _lost(self, image: FoundImage, decisions: Iterable[Decision]) -> Iterator[str]:
        for decision in decisions:
            if not self._same(decision, image.candidates.detections).any():
                yield f"image {image.image_id}, {decision.of}"

    def _same(self, decision: Decision, boxes: Detections) -> NDArray[np.bool_]:
        """(N,) which box a decision is about."""
        apart = np.abs(boxes.boxes_xyxy - np.asarray(decision.box)).max(axis=1, initial=0)
        of_class = boxes.labels == self.classes[decision.label]
        same: NDArray[np.bool_] = of_class & (apart <= SAME_BOX_PX)
        return same


def _twice(decisions: Sequence[Decision]) -> list[str]:
    """Boxes of an image that more than one decision names."""
    times = Counter(one.of for one in decisions)
    return [box for box, count in times.items() if count > 1]
