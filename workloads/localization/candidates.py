"""Everything that a model may see in an image: classes with their boxes, points and maps.

What is kept of an image does not depend on the score that counts as present, so that can be chosen
later; where the maps are kept, so can the cut-off.

# C candidate classes, N boxes, h w size of a map
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workloads.detections import Detections
from workloads.errors import NotFound
from workloads.localization.cooccurrence import rescore
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.detect import MapsOf, boxes_of_maps, classes_reached, locate
from workloads.localization.maps import upsample
from workloads.localization.points import peak

Maps = tuple[NDArray[np.float32], ...]
"""Raw (h, w) maps of one class, one for each scale, the main one first."""


Clock = Callable[[str], AbstractContextManager[None]]
"""Told of the phase of an annotation that a block is."""


def unwatched(_: str) -> AbstractContextManager[None]:
    """The clock that nobody reads."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Candidates:
    """Classes that one image may show.

    Attributes:
        labels: (C,) int32 class indices, ascending.
        scores: (C,) float32 class scores after co-occurrence.
        points_xy: (C, 2) float32 hottest pixel of each main map, pixels of the upright image.
        detections: all boxes of these classes, best first.
        maps: of each class; None where they are not kept.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    points_xy: NDArray[np.float32]
    detections: Detections
    maps: tuple[Maps, ...] | None = None

    def present(self, score_threshold: float) -> NDArray[np.bool_]:
        """(C,) whether a class reaches a score."""
        return self.scores >= np.float32(score_threshold)

    def reached(self, score_threshold: float) -> NDArray[np.bool_]:
        """(N,) whether the class of a box reaches a score."""
        reached = self.labels[self.present(score_threshold)]
        found: NDArray[np.bool_] = (self.detections.labels[:, None] == reached).any(axis=1)
        return found

    def detections_at(self, score_threshold: float) -> Detections:
        """Boxes of the classes that reach a score: those of a model with that threshold."""
        return self.detections.take(self.reached(score_threshold))

    def recut(self, cutoffs: Cutoffs) -> Candidates:
        """The same classes with the boxes of other cut-offs.

        Raises:
            NotFound: the maps were not kept, or a box rule needs regions, which never are.
        """
        if self.maps is None:
            raise NotFound("no maps were kept, so boxes are known at the model's cut-offs alone")
        by_label = dict(zip(self.labels.tolist(), self.maps, strict=True))
        found = self.detections
        every = np.zeros(int(self.labels.max(initial=-1)) + 1, np.float32)
        every[self.labels] = self.scores
        return replace(
            self,
            detections=locate(
                every,
                lambda k: boxes_of_maps(by_label[k], found.width, found.height, cutoffs, k),
                found.width,
                found.height,
                cutoffs.model_copy(update={"score_threshold": 0.0}),
                by_label,
            ),
        )


def wanted_classes(
    rescored: NDArray[np.float32], cutoffs: Cutoffs, floor: float, most: int
) -> list[int]:
    """Candidate classes, ascending: all that reach the model's threshold, and of the others the
    `most` best that reach a lower score.

    Args:
        rescored: (K,) class scores after co-occurrence.
        floor: the lower score.
    """
    reached = classes_reached(rescored, cutoffs)
    best_first = np.argsort(-rescored, kind="stable")
    others = best_first[~np.isin(best_first, reached)][:most]
    return sorted([*reached, *others[rescored[others] >= np.float32(floor)].tolist()])


def find_candidates(
    scores: NDArray[np.float32],
    labels: Sequence[int],
    maps_of: MapsOf,
    width: int,
    height: int,
    cutoffs: Cutoffs,
    cooccurrence: NDArray[np.float64],
    regions_xyxy: NDArray[np.float32] | None = None,
    *,
    keep_maps: bool = False,
) -> Candidates:
    """Boxes and points of some classes; those of a class are what `detect` gives it.

    Args:
        labels: the candidate classes, ascending.
        scores, maps_of, width, height, cutoffs, cooccurrence, regions_xyxy: as of `detect`.
        keep_maps: whether the maps belong to what is found.

    Raises:
        NotFound: as `detect`.
    """
    rescored = rescore(scores, cooccurrence, cutoffs.alpha)
    maps = {k: maps_of(k) for k in labels}
    points = [
        peak(upsample(maps[k][0], width, height, align_corners=cutoffs.align_corners))
        for k in labels
    ]
    found = locate(
        rescored,
        lambda k: boxes_of_maps(maps[k], width, height, cutoffs, k, regions_xyxy),
        width,
        height,
        cutoffs.model_copy(update={"score_threshold": 0.0}),
        labels,
    )
    chosen = np.asarray(labels, np.int32)
    return Candidates(
        labels=chosen,
        scores=rescored[chosen].astype(np.float32),
        points_xy=np.asarray(points, np.float32).reshape(-1, 2),
        detections=found,
        maps=tuple(maps[k] for k in labels) if keep_maps else None,
    )
