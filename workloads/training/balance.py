"""Repeats of images that balance the classes of a training split (Bency et al. 2016, 4.1).

Shapes: N images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from workloads.shards.manifest import shard_files
from workloads.shards.read import columns_of


@dataclass(frozen=True)
class Balance:
    """Number of showings of each image in an epoch.

    On average as often as the rarest of its classes asks for: images of the largest class over
    images of that class, at most the limit. An image without labels is shown once. Classes that
    occur together with rarer ones gain with them, so with many labels the balance is not exact.
    Objects that are all difficult are no labels, as in training.

    Attributes:
        factors: (K,) float64, at least 1: what each class asks for.
        of_rows: (N,) float64, at least 1: showings of each image in the order of the shards, on
            average.
    """

    factors: NDArray[np.float64]
    of_rows: NDArray[np.float64]

    @classmethod
    def of_split(cls, folder: Path, split: str, num_classes: int, limit: float) -> Self:
        """From the labels in shards; nothing else is read.

        Args:
            limit: at least 1.

        Raises:
            NotFound: no shards there, or no such split.
        """
        columns = [_labels(path) for path in shard_files(folder, split)]
        counts = sum(
            (np.bincount(flat, minlength=num_classes) for flat, _, _ in columns),
            np.zeros(num_classes, dtype=np.int64),
        )
        # No image asks for a class that none has.
        factors = np.minimum(counts.max(initial=1) / np.maximum(counts, 1), limit)
        shown = [_shown(factors, *column) for column in columns]
        return cls(factors, np.concatenate([np.ones(0), *shown]))

    @property
    def images(self) -> int:
        """Showings of an epoch."""
        return int(self.of_rows.sum())

    def times(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """(N,) showings of each image in one epoch, at least one; `images` of them, or one more.

        A mean between two whole numbers becomes one of them, over the epochs as often as gives
        that mean: the means, laid end to end from a random start, are cut at whole numbers.
        """
        start = np.random.default_rng([seed, epoch]).random()
        ends = np.floor(np.cumsum(self.of_rows) + start).astype(np.int64)
        return np.maximum(np.diff(ends, prepend=0), 1)


def _labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """All labels of one shard, the row of each, and the number of rows."""
    lists = columns_of(path, ["labels"])["labels"].combine_chunks()
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    return flat.astype(np.int64), rows.astype(np.int64), len(lists)


def _shown(
    factors: NDArray[np.float64], flat: NDArray[np.int64], rows: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """(count,) showings of one shard's images in an epoch, on average."""
    of_images = np.ones(count)
    np.maximum.at(of_images, rows, factors[flat])
    return of_images
