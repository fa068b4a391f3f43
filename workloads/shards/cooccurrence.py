"""Co-occurrence of classes in the images of a split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.errors import IntegrityError
from workloads.parquet import read_columns
from workloads.shards.manifest import shard_files


def cooccurrence(folder: Path, split: str, num_classes: int) -> NDArray[np.float64]:
    """`cooccurrence_of` a split.

    Raises:
        NotFound: as `shard_files` does.
        IntegrityError: a label is not below `num_classes`.
    """
    return cooccurrence_of(shard_files(folder, split), num_classes)


def cooccurrence_of(files: Iterable[Path], num_classes: int) -> NDArray[np.float64]:
    """p(i | j) = |i and j| / |j| over the images of shard files (Bency et al. 2016).

    Returns:
        (K, K) float64, entry [i, j] is p(i | j): how often class i is there where j is. The
        column of a class without images is 0.

    Raises:
        IntegrityError: a label is not below `num_classes`.
    """
    together = np.zeros((num_classes, num_classes), np.float64)
    for path in files:
        present = _present(path, num_classes)
        together += present.T @ present
    alone = np.diag(together)
    return np.divide(together, alone, out=np.zeros_like(together), where=alone > 0)


def _present(path: Path, num_classes: int) -> NDArray[np.float64]:
    """(N, K) 1 where the image has the label; reads the label column only."""
    labels = read_columns(path, ["labels"])["labels"].to_pylist()
    present = np.zeros((len(labels), num_classes), np.float64)
    for row, names in enumerate(labels):
        if names and max(names) >= num_classes:
            raise IntegrityError(f"{path}: label {max(names)}, but there are {num_classes} classes")
        present[row, names] = 1
    return present
