"""Test images of a report, chosen by a fixed rule, failures included.

A *case* is one class in one image. Cases fall into kinds; of every kind the same few are shown
whenever the report is made again, in an order that no score decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.artifacts import contents
from workloads.detections import Detections
from workloads.localization.boxes import best_iou_per_box
from workloads.localization.cooccurrence import rescore
from workloads.localization.detect import boxes_of_maps, locate
from workloads.localization.maps import normalize, upsample
from workloads.models.card import ModelCard
from workloads.predictions.store import Prediction, read_part, rows_of

SAMPLE_IMAGES = 600
MANY_METHODS = 7  # from here on one case per kind, so that the page stays small
HIT, OFF = 0.5, 0.3  # IoU from which a box counts as right, below which as wrong
APART = 0.4  # IoUs of methods that disagree
SMALL = 0.05  # share of the image
RULES = (
    f"Found: IoU of at least {HIT}; wrong: below {OFF}; disagreeing: IoUs at least {APART} apart; "
    f"small: less than {SMALL:.0%} of the image."
)


@dataclass(frozen=True, slots=True)
class Case:
    """One class in one image, as every method sees it; the champion comes first.

    Attributes:
        part: position of the part, and of the row group, that holds the image.
        label: the class; `present` tells whether it is in the image at all.
        ious: best IoU of each method's boxes of the class with a true one.
        found: whether each method has any box of the class.
        area: share of the image that the largest true box of the class covers; 0 if absent.
    """

    image_id: str
    part: int
    label: int
    present: bool
    difficult: bool
    ious: tuple[float, ...]
    found: tuple[bool, ...]
    area: float

    @property
    def order(self) -> str:
        """A place in the queue that has nothing to do with how well a method did."""
        return hashlib.sha256(f"{self.image_id}/{self.label}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cases, and how many of it a report shows if the methods are few."""

    title: str
    shown: int
    holds: Callable[[Case], bool]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A case with the kind for which it was chosen."""

    kind: str
    case: Case


@dataclass(frozen=True, slots=True)
class Selection:
    """Cases to show, and how many of each kind there are among those that were looked at.

    Attributes:
        counts: kind to number of cases; a case can be of several kinds.
        cases: cases of present classes that are not difficult.
    """

    chosen: tuple[Chosen, ...]
    counts: dict[str, int]
    cases: int
    images: int


KINDS = (
    Kind("found by all", 2, lambda c: _plain(c) and min(c.ious) >= HIT),
    Kind("methods disagree", 2, lambda c: _plain(c) and max(c.ious) - min(c.ious) >= APART),
    Kind("small object", 2, lambda c: _plain(c) and c.area < SMALL),
    Kind("box wrong", 2, lambda c: _plain(c) and c.found[0] and c.ious[0] < OFF),
    Kind("class missed", 1, lambda c: _plain(c) and not c.found[0]),
    Kind("difficult object", 2, lambda c: c.present and c.difficult),
    Kind("false alarm", 1, lambda c: not c.present and c.found[0]),
)


def select(stored: Sequence[tuple[Path, ModelCard]], kinds: Sequence[Kind] = KINDS) -> Selection:
    """Choose cases from the stored predictions of several methods on one split.

    Args:
        stored: folder of predictions and model card of each method, the champion first. All
            have the same parts.
    """
    cases: list[Case] = []
    images = 0
    for part, rows in _sampled(stored):
        images += 1
        cases += _cases(part, rows, [card for _, card in stored])
    cases.sort(key=lambda case: case.order)
    counts = {kind.title: sum(map(kind.holds, cases)) for kind in kinds}
    most = 1 if len(stored) >= MANY_METHODS else len(cases)
    return Selection(_choose(cases, kinds, most), counts, sum(map(_plain, cases)), images)


def boxes_of(prediction: Prediction, card: ModelCard) -> Detections:
    """Boxes of the tuned model, from its stored maps."""
    p, cutoffs, together = prediction, card.cutoffs, np.asarray(card.cooccurrence)
    return locate(
        rescore(p.scores, together, cutoffs.alpha),
        lambda label: boxes_of_maps(
            p.maps_of(label), p.width, p.height, cutoffs, label, p.regions_xyxy
        ),
        p.width,
        p.height,
        cutoffs,
        p.map_labels.tolist(),
    )


def map01(prediction: Prediction, label: int) -> NDArray[np.float32]:
    """(height, width) map of a class over the image, in [0, 1]."""
    return normalize(upsample(prediction.map_of(label), prediction.width, prediction.height))


def parts_of(folder: Path) -> list[Path]:
    """The parts of stored predictions, in order."""
    return [path for path in contents(folder) if path.suffix == ".parquet"]


def _choose(cases: Sequence[Case], kinds: Sequence[Kind], most: int) -> tuple[Chosen, ...]:
    """The first cases of each kind, at most `most`, no image twice."""
    taken: set[str] = set()
    chosen: list[Chosen] = []
    for kind in kinds:
        fresh = (c for c in cases if kind.holds(c) and c.image_id not in taken)
        for case in islice(fresh, min(kind.shown, most)):
            taken.add(case.image_id)
            chosen.append(Chosen(kind.title, case))
    return tuple(chosen)


def _plain(case: Case) -> bool:
    """A class that a method should find: boxes are known, and nobody called them difficult."""
    return case.area > 0 and not case.difficult


def _sampled(
    stored: Sequence[tuple[Path, ModelCard]],
) -> Iterator[tuple[int, tuple[Prediction, ...]]]:
    """Images from parts spread over the split: data sets are often sorted by class."""
    parts = [parts_of(folder) for folder, _ in stored]
    rows_per_part = max(map(rows_of, parts[0][:1]), default=0)
    wanted = max(1, SAMPLE_IMAGES // max(1, rows_per_part))
    step = max(1, len(parts[0]) // wanted)
    for index in range(0, len(parts[0]), step):
        for rows in zip(*(read_part(of_method[index]) for of_method in parts), strict=True):
            yield index, rows


def _cases(part: int, rows: tuple[Prediction, ...], cards: Sequence[ModelCard]) -> Iterator[Case]:
    found = [boxes_of(row, card) for row, card in zip(rows, cards, strict=True)]
    truth = rows[0].truth
    present = set(truth.labels) | set(truth.difficult_labels)
    for label in sorted(present | {int(k) for k in found[0].labels}):
        boxes = truth.boxes_of(label)
        own = [d.boxes_xyxy[d.labels == label] for d in found]
        yield Case(
            image_id=rows[0].image_id,
            part=part,
            label=label,
            present=label in present,
            difficult=bool(truth.box_difficult[truth.box_labels == label].any()),
            ious=tuple(float(best_iou_per_box(b, boxes).max(initial=0.0)) for b in own),
            found=tuple(len(b) > 0 for b in own),
            area=_area(boxes) / (rows[0].width * rows[0].height),
        )


def _area(boxes: NDArray[np.float32]) -> float:
    sides = boxes[:, 2:] - boxes[:, :2]
    return float(sides.prod(axis=1).max(initial=0.0))
