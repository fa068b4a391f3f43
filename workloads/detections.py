"""Validated boxes with scores and classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes found in one image, best score first.

    Attributes:
        boxes_xyxy: (N, 4) float32, pixels of the upright image, half-open, inside the image.
        scores: (N,) float32, higher is better.
        labels: (N,) int32 class indices.
        width, height: size of the upright image in pixels.

    Raises:
        ValueError: if shapes disagree or a box is empty, inverted or outside the image.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int32]
    width: int
    height: int

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes_xyxy.shape != (n, 4) or self.labels.shape != (n,):
            raise ValueError(
                f"Detections: boxes_xyxy {self.boxes_xyxy.shape}, scores {self.scores.shape} and "
                f"labels {self.labels.shape} must be (N, 4), (N,) and (N,)"
            )
        # An image has few boxes, for which this is several times as fast as with arrays.
        width, height = self.width, self.height
        if not all(
            0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            for x0, y0, x1, y1 in self.boxes_xyxy.tolist()
        ):
            raise ValueError(f"Detections: a box is empty or outside {width}x{height}")

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, kept: NDArray[np.bool_]) -> Detections:
        """Some of the boxes, by a (N,) mask, in their order."""
        if kept.all():
            return self
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[kept],
            scores=self.scores[kept],
            labels=self.labels[kept],
        )
