"""A choice of what an annotation shows: from everything that the model may have seen to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from workloads.annotation.found import FoundImage
from workloads.errors import ConfigError, unknown_name
from workloads.formats.base import AnnotatedImage
from workloads.localization.candidates import Candidates
from workloads.localization.cutoffs import Cutoffs


@dataclass(frozen=True, slots=True)
class Selection:
    """Which boxes an export has.

    Attributes:
        min_score: class score from which a class counts as present.
        recut: cut-offs for the stored maps; None: boxes as they were found.
        labels: class indices to keep; None: all.
    """

    min_score: float
    recut: Cutoffs | None = None
    labels: frozenset[int] | None = None

    @classmethod
    def of(
        cls,
        cutoffs: Cutoffs,
        classes: Sequence[str],
        *,
        min_score: float | None = None,
        cutoff: float | None = None,
        names: Sequence[str] = (),
    ) -> Self:
        """A choice by what differs from the model's own.

        Args:
            cutoffs, classes: the model's.
            names: of the classes to keep; all if empty.

        Raises:
            ConfigError: an unknown class, or a cut-off that is none.
        """
        unknown = [name for name in names if name not in classes]
        if unknown:
            raise ConfigError(unknown_name("class", unknown[0], classes))
        recut = None
        if cutoff is not None:
            changed = {"cutoff": cutoff, "class_cutoffs": (), "threshold": "fixed"}
            recut = Cutoffs.parse({**cutoffs.model_dump(), **changed}, "--cutoff")
        return cls(
            cutoffs.score_threshold if min_score is None else min_score,
            recut,
            frozenset(map(classes.index, names)) if names else None,
        )

    def apply(self, found: FoundImage) -> AnnotatedImage:
        """The boxes of an image.

        Raises:
            NotFound: another cut-off, and the maps were not kept.
        """
        candidates = found.candidates
        if self.recut is not None:
            candidates = candidates.recut(self.recut)
        detections = candidates.detections_at(self.min_score)
        if self.labels is not None:
            kept = np.isin(detections.labels, sorted(self.labels))
            detections = replace(
                detections,
                boxes_xyxy=detections.boxes_xyxy[kept],
                scores=detections.scores[kept],
                labels=detections.labels[kept],
            )
        return AnnotatedImage(
            found.image_id, found.file_name, detections, found.orientation,
            self._chosen(candidates),
        )  # fmt: skip

    def _chosen(self, candidates: Candidates) -> Candidates:
        """The candidates that reach the score and are of the classes to keep."""
        kept = candidates.present(self.min_score)
        if self.labels is not None:
            kept &= np.isin(candidates.labels, sorted(self.labels))
        maps = candidates.maps
        return replace(
            candidates,
            labels=candidates.labels[kept],
            scores=candidates.scores[kept],
            points_xy=candidates.points_xy[kept],
            maps=None if maps is None else tuple(maps[i] for i in np.flatnonzero(kept)),
        )
