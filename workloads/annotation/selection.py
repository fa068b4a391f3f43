"""A choice of what an annotation shows: from everything that the model may have seen to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from workloads.annotation.found import FoundImage
from workloads.annotation.review import Review
from workloads.errors import ConfigError, unknown_name
from workloads.formats.base import AnnotatedImage
from workloads.localization.candidates import Candidates
from workloads.localization.cutoffs import Cutoffs


@dataclass(frozen=True, slots=True)
class Selection:
    """Choice of the boxes that an export has.

    Attributes:
        min_score: class score from which a class counts as present.
        recut: cut-offs for the stored maps; None: boxes as they were found.
        labels: class indices to keep; None: all.
        review: what people said of single boxes; it comes before the score.
    """

    min_score: float
    recut: Cutoffs | None = None
    labels: frozenset[int] | None = None
    review: Review | None = None

    @classmethod
    def of(
        cls,
        cutoffs: Cutoffs,
        classes: Sequence[str],
        *,
        min_score: float | None = None,
        cutoff: float | None = None,
        names: Sequence[str] = (),
        review: Review | None = None,
    ) -> Self:
        """A choice by what differs from the model's own.

        Args:
            cutoffs, classes: the model's.
            min_score: of the classes; else that of the review, else the model's.
            cutoff: of all classes, in the unit of the model's.
            names: of the classes to keep; all if empty.

        Raises:
            ConfigError: an unknown class, or a cut-off that is none.
        """
        unknown = [name for name in names if name not in classes]
        if unknown:
            raise ConfigError(unknown_name("class", unknown[0], classes))
        if min_score is None:
            min_score = cutoffs.score_threshold if review is None else review.min_score
        return cls(
            min_score,
            None if cutoff is None else _recut(cutoffs, cutoff),
            frozenset(map(classes.index, names)) if names else None,
            review,
        )

    def shows(self, image_id: int) -> bool:
        """Whether an image is there at all, with boxes or without."""
        return self.review is None or self.review.shows(image_id)

    def apply(self, found: FoundImage) -> AnnotatedImage:
        """The boxes of an image.

        Raises:
            NotFound: another cut-off, and the maps were not kept.
        """
        candidates = found.candidates
        if self._takes_all(candidates):
            return AnnotatedImage(
                found.image_id,
                found.file_name,
                candidates.detections,
                found.orientation,
                candidates,
            )
        if self.recut is not None:
            candidates = candidates.recut(self.recut)
        boxes, labels = candidates.detections, candidates.detections.labels
        kept = candidates.reached(self.min_score)
        if self.review is not None:
            kept, labels = self.review.judge(found.image_id, boxes, kept)
        if self.labels is not None:
            kept = kept & np.isin(labels, sorted(self.labels))
        found_as = None
        if self.review is not None:
            found_as = boxes.labels[kept]
            boxes = replace(boxes, labels=labels)
        return AnnotatedImage(
            found.image_id,
            found.file_name,
            boxes.take(kept),
            found.orientation,
            self._chosen(candidates, found_as),
            found_as,
        )

    def _takes_all(self, candidates: Candidates) -> bool:
        """Whether an image is shown as it was found, which most of a collection is."""
        if self.recut is not None or self.review is not None or self.labels is not None:
            return False
        return bool(candidates.scores.min(initial=np.inf) >= np.float32(self.min_score))

    def _chosen(self, candidates: Candidates, found_as: NDArray[np.int32] | None) -> Candidates:
        """The candidates that reach the score and are of the classes to keep, and those that boxes
        were found as."""
        kept = candidates.present(self.min_score)
        if self.labels is not None:
            kept &= np.isin(candidates.labels, sorted(self.labels))
        if found_as is not None:
            kept |= np.isin(candidates.labels, found_as)
        if kept.all():
            return candidates
        maps = candidates.maps
        return replace(
            candidates,
            labels=candidates.labels[kept],
            scores=candidates.scores[kept],
            points_xy=candidates.points_xy[kept],
            maps=None if maps is None else tuple(maps[i] for i in np.flatnonzero(kept)),
        )


def _recut(cutoffs: Cutoffs, cutoff: float) -> Cutoffs | None:
    """The cut-offs with another one for all classes; None if that changes nothing."""
    changed = {"cutoff": cutoff, "class_cutoffs": (), "threshold": "fixed"}
    other = Cutoffs.parse({**cutoffs.model_dump(), **changed}, "--cutoff")
    return None if other == cutoffs else other
