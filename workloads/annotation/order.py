"""The order in which people should look at annotated images.

# C candidate classes, N boxes
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workloads.annotation.found import FoundImage
from workloads.annotation.parts import ChunkResult
from workloads.annotation.store import AnnotationStore
from workloads.detections import Detections
from workloads.localization.boxes import iou_matrix


@dataclass(frozen=True, slots=True)
class Look:
    """An image as an order sees it.

    Attributes:
        min_score: class score from which a class counts as present.
        other: boxes of another store; None where it does not have this image.
    """

    found: FoundImage
    min_score: float
    other: Detections | None = None

    @property
    def boxes(self) -> Detections:
        """The boxes of the classes that are present."""
        return self.found.candidates.detections_at(self.min_score)


def uncertainty(scores: NDArray[np.float32], threshold: float) -> float:
    """Doubt about the classes of an image: (near + close) / 2, in [0, 1].

    near = max over classes of max(0, 1 - |s - t| / max(t, 1 - t)), with threshold t: some class
    could as well be on the other side of it. A threshold of 0 decides nothing, so near is 0 then.
    close = 1 - min(1, s1 - s2), of the best and the second best score; s2 is 0 if there is one
    class alone. Without any class there is no doubt.

    Args:
        scores: (C,) class scores.
    """
    if not len(scores):
        return 0.0
    best, second, *_ = [*sorted(scores.tolist(), reverse=True), 0.0]
    far = np.abs(scores.astype(np.float64) - threshold).min() / max(threshold, 1 - threshold)
    near = max(0.0, 1.0 - float(far)) if threshold > 0 else 0.0
    return float(near + 1.0 - min(1.0, best - second)) / 2


def disagreement(ours: Detections, theirs: Detections) -> float:
    """Distance of two sets of boxes of one image: 1 - mean of q over the classes of both.

    q of a class is the mean, over its boxes of both sides, of the best IoU with a box of the
    other side; 0 if only one side has it. Two empty sets agree.
    """
    labels = sorted({*ours.labels.tolist(), *theirs.labels.tolist()})
    if not labels:
        return 0.0
    return 1.0 - sum(_agreement(_of(ours, k), _of(theirs, k)) for k in labels) / len(labels)


def _of(found: Detections, label: int) -> NDArray[np.float32]:
    boxes: NDArray[np.float32] = found.boxes_xyxy[found.labels == label]
    return boxes


def _agreement(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    overlaps = iou_matrix(ours, theirs)
    best = [*overlaps.max(axis=1, initial=0.0), *overlaps.max(axis=0, initial=0.0)]
    return float(np.mean(best))


def doubt_of(look: Look) -> float:
    """`uncertainty` of an image."""
    return uncertainty(look.found.candidates.scores, look.min_score)


def difference_of(look: Look) -> float:
    """`disagreement` of an image with the other store; -1 where that does not have the image."""
    return -1.0 if look.other is None else disagreement(look.boxes, look.other)


def _by_class(look: Look) -> tuple[float, ...]:
    """By the best class that is present, then by its score; images without any come last."""
    candidates = look.found.candidates
    present = candidates.present(look.min_score)
    if not present.any():
        return (1.0, 0.0, 0.0)
    scores = np.where(present, candidates.scores, -np.inf)
    best = int(scores.argmax())
    return (0.0, float(candidates.labels[best]), -float(scores[best]))


def _by_score(look: Look) -> tuple[float, ...]:
    return (-float(look.found.candidates.scores.max(initial=0.0)),)


Key = Callable[[Look], tuple[float, ...]]

ORDERS: dict[str, Key] = {
    "uncertain": lambda look: (-doubt_of(look),),
    "class": _by_class,
    "score": _by_score,
    "disagreement": lambda look: (-difference_of(look),),
}
"""Name of an order to what it sorts by, ascending; equal images stay in the order of the store."""


def first_images(looks: Iterable[Look], order: str, most: int | None = None) -> list[int]:
    """Ids of the first images of an order; memory grows with `most`, None for all."""
    keyed = ((*ORDERS[order](look), look.found.image_id) for look in looks)
    chosen = sorted(keyed) if most is None else heapq.nsmallest(most, keyed)
    return [int(key[-1]) for key in chosen]


_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


def _hash(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


class OtherStore:
    """Boxes of another store for images of this one, by name and content.

    Memory holds two chunks, as both stores list a collection in the same order, and 16 bytes for
    each of its files.

    Attributes:
        classes: those of this store, then those that only the other one has; boxes have labels
            of these.
        min_score: class score from which a class counts as present: that of the other's model.
        model_name: the other's model.
    """

    def __init__(self, store: AnnotationStore, classes: Sequence[str]) -> None:
        self.classes = list(dict.fromkeys([*classes, *store.classes]))
        self.min_score = store.cutoffs.score_threshold
        self.model_name = store.model_name
        self._store = store
        self._labels = np.array([self.classes.index(name) for name in store.classes], np.int32)
        names = np.fromiter(map(_hash, (file.name for file in store.listing.files())), np.uint64)
        self._places = np.argsort(names, kind="stable")
        self._names = names[self._places]
        self._read = lru_cache(maxsize=2)(self._read_chunk)

    def boxes_of(self, file_name: str, content: str | None) -> Detections | None:
        """The boxes of an image; None if the other store has no such image, or another one.

        Args:
            content: SHA-256 of the file.

        Raises:
            IntegrityError: a part is damaged.
        """
        name = _hash(file_name)
        first, end = (int(np.searchsorted(self._names, name, side)) for side in _SIDES)
        for place in self._places[first:end].tolist():
            chunk = self._store.listing.chunk_of(place + 1)
            found = self._read(chunk).get(file_name)
            if found and found[0] == content:
                return found[1]
        return None

    def _read_chunk(self, index: int) -> dict[str, tuple[str | None, Detections]]:
        result: ChunkResult = self._store.chunk(index, maps=False)
        return {
            row.file_name: (result.contents.get(row.image_id), self._boxes(row))
            for row in result.rows
        }

    def _boxes(self, row: FoundImage) -> Detections:
        found = row.candidates.detections_at(self.min_score)
        labels = self._labels[found.labels]
        return Detections(found.boxes_xyxy, found.scores, labels, found.width, found.height)
