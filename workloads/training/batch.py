"""A batch of training images, and how samples become one."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.images.view import View
from workloads.methods.base import Need, Targets
from workloads.records import Record


class Batch(NamedTuple):
    """A batch as loaded; see `Targets` for what a method may see of it in training.

    Attributes:
        images: (B, S, S, 3) uint8 RGB.
        labels: (B, K) float32, 1 for present classes.
        difficult: (B, K) bool, classes whose objects are all difficult.
        extents: (B, 2) float32, share of height and width that is image.
        saliency: (B, S, S) float32, or None.
        boxes: one (N, 5) float32 tensor for each image, or None.
        image_ids: B names, for messages.
        weight: of its loss among those of all workers, so that each image weighs the same; 0 for
            a worker that has no image of a short last batch and takes an earlier one.
    """

    images: Tensor
    labels: Tensor
    difficult: Tensor
    extents: Tensor
    saliency: Tensor | None = None
    boxes: tuple[Tensor, ...] | None = None
    image_ids: tuple[str, ...] = ()
    weight: float = 1.0

    @property
    def counted(self) -> int:
        """Images that belong to this batch."""
        return len(self.labels) if self.weight else 0

    def pinned(self) -> Batch:
        """Itself in memory from which a GPU copies without anybody waiting."""
        return self._replace(
            images=self.images.pin_memory(),
            labels=self.labels.pin_memory(),
            extents=self.extents.pin_memory(),
            saliency=None if self.saliency is None else self.saliency.pin_memory(),
        )

    def part(self, start: int, end: int) -> Batch:
        """Some of its images."""
        return self._replace(
            images=self.images[start:end],
            labels=self.labels[start:end],
            difficult=self.difficult[start:end],
            extents=self.extents[start:end],
            saliency=None if self.saliency is None else self.saliency[start:end],
            boxes=None if self.boxes is None else self.boxes[start:end],
            image_ids=self.image_ids[start:end],
        )

    def targets(self, device: torch.device) -> Targets:
        """The batch's targets on a device."""
        move = partial(torch.Tensor.to, device=device, non_blocking=True)
        return Targets(
            labels=move(self.labels),
            extents=move(self.extents),
            saliency=None if self.saliency is None else move(self.saliency),
            boxes=None if self.boxes is None else tuple(move(b) for b in self.boxes),
        )


class Sample(NamedTuple):
    """An image as the network sees it, with how it came to that."""

    pixels: NDArray[np.uint8]
    view: View
    record: Record
    saliency: NDArray[np.float32] | None = None

    @property
    def extent(self) -> tuple[float, float]:
        return self.view.extent(self.record.width, self.record.height)

    @property
    def boxes(self) -> Tensor:
        """(N, 5): corners in the input and class; boxes that the crop left out are not there."""
        truth, record = self.record.truth, self.record
        seen = self.view.boxes(truth.boxes_xyxy, record.width, record.height)
        rows = np.column_stack([seen, truth.box_labels]).astype(np.float32)
        x0, y0, x1, y1 = seen.T
        return torch.from_numpy(rows[(x1 > x0) & (y1 > y0)])


def collate(samples: list[Sample], num_classes: int, needs: frozenset[Need] = frozenset()) -> Batch:
    """Stack decoded samples."""
    labels = np.zeros((len(samples), num_classes), np.float32)
    difficult = np.zeros((len(samples), num_classes), np.bool_)
    for row, sample in enumerate(samples):
        labels[row, list(sample.record.truth.labels)] = 1
        difficult[row, list(sample.record.truth.difficult_labels)] = True
    maps = [s.saliency for s in samples if s.saliency is not None]
    return Batch(
        images=torch.from_numpy(np.stack([s.pixels for s in samples])),
        labels=torch.from_numpy(labels),
        difficult=torch.from_numpy(difficult),
        extents=torch.tensor([s.extent for s in samples]),
        saliency=torch.from_numpy(np.stack(maps)) if maps else None,
        boxes=tuple(s.boxes for s in samples) if "boxes" in needs else None,
        image_ids=tuple(s.record.image_id for s in samples),
    )
