"""One image as metrics see it; what several of them need is computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from workloads.detections import Detections
from workloads.localization.boxes import HeatBoxes
from workloads.localization.class_boxes import (
    CutMap,
    boxes_of_class,
    cuts_in_image,
    maps_to_cut,
    unit_of,
)
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.detect import locate
from workloads.localization.maps import normalize, upsample
from workloads.localization.points import peak
from workloads.metrics.bootstrap import Weights, image_weights
from workloads.predictions.store import Prediction

T = TypeVar("T")


@dataclass(frozen=True)
class Evaluated:
    """One image as metrics see it: its prediction, rescored, with maps in the image's frame.

    Attributes:
        prediction: stored scores and maps with the ground truth.
        scores: (K,) float32 class scores after co-occurrence rescoring.
        cutoffs: the model's parameters; `scores` are rescored already.
    """

    prediction: Prediction
    scores: NDArray[np.float32]
    cutoffs: Cutoffs

    def map01(self, label: int) -> NDArray[np.float32]:
        """(height, width) map of one class, upsampled to the image and normalised to [0, 1].

        Raises:
            NotFound: the map of this class was not stored.
        """
        return self.once(("map", label), lambda: normalize(self._raw(label)))

    def peak(self, label: int) -> tuple[float, float]:
        """(x, y) of the hottest pixel of a class, pixels of the image."""
        return self.once(("peak", label), lambda: peak(self.map01(label)))

    def response(self, label: int) -> float:
        """Response of a class at its peak, in the unit of its map."""
        return float(self._raw(label).max())

    def boxes(self, label: int) -> HeatBoxes:
        """Boxes of a class at the model's cut-offs, see `boxes_of_class`.

        Raises:
            NotFound: the map of this class was not stored, or regions that the model needs.
        """
        return self.once(("boxes", label), lambda: self._boxes(label))

    def largest_boxes(self, label: int, count: int = 1) -> NDArray[np.float32]:
        """(N <= count, 4) the boxes with the most foreground, largest first.

        These are the model's guesses where a protocol asks for one box or a few: those of the
        largest components, or with box rules "tight" and "regions" the one of each scale.
        """
        return self.boxes(label).largest(count).boxes_xyxy

    def detections(self, score_threshold: float) -> Detections:
        """Detections by the model's box rule in the stored maps, above another score threshold."""
        p = self.prediction
        cutoffs = self.cutoffs.model_copy(update={"score_threshold": score_threshold})
        stored = p.map_labels.tolist()
        return self.once(
            ("detections", score_threshold),
            lambda: locate(self.scores, self.boxes, p.width, p.height, cutoffs, stored),
        )

    def ranking(self) -> list[int]:
        """Classes by descending score, of equals the lower index first."""
        return self.once(("ranking",), lambda: np.argsort(-self.scores, kind="stable").tolist())

    def weights(self, replicates: int, seed: int) -> Weights:
        """(1 + replicates,) bootstrap weights, see `image_weights`."""
        image_id = self.prediction.image_id
        return self.once(
            ("weights", replicates, seed), lambda: image_weights(image_id, replicates, seed)
        )

    def once(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """`compute()`, or what it gave the first time this key was asked for."""
        if key not in self._cache:
            self._cache[key] = compute()
        found: T = self._cache[key]
        return found

    @cached_property
    def _cache(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def _boxes(self, label: int) -> HeatBoxes:
        p = self.prediction
        # The main map in the image is that of every metric: computed once.
        shared = cuts_in_image(self.cutoffs) and unit_of(self.cutoffs) == "range"
        main = CutMap(self.map01(label), self._raw(label)) if shared else None
        maps = maps_to_cut(p.maps_of(label), p.width, p.height, self.cutoffs, main)
        return boxes_of_class(maps, p.width, p.height, self.cutoffs, label, p.regions_xyxy)

    def _raw(self, label: int) -> NDArray[np.float32]:
        """(height, width) map of one class in its own unit."""
        p, aligned = self.prediction, self.cutoffs.align_corners
        return self.once(
            ("raw", label),
            lambda: upsample(p.map_of(label), p.width, p.height, align_corners=aligned),
        )
