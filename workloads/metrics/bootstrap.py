"""Confidence intervals by the bootstrap over images, in a form that can be merged.

Resampling N images with replacement gives each image a multinomial count; for many images the
counts are nearly independent Poisson(1) numbers. Drawing them from a hash of the image's id
makes a replicate a weighted sum over images: any worker can add its part, in any order.

# R replicates with the data themselves first, K classes
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.int64]
Interval = tuple[float, float]


def image_weights(image_id: str, replicates: int, seed: int) -> Weights:
    """(1 + replicates,) how often an image counts: once, then in each replicate."""
    key = hashlib.sha256(f"{seed}/{image_id}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "big")))
    draws = np.minimum(rng.poisson(1.0, replicates), 255)  # so that many fit into few bytes
    return np.concatenate([[1], draws]).astype(np.int64)


def percentile_interval(values: NDArray[np.float64], confidence: float) -> Interval | None:
    """The middle `confidence` of the replicates' values; None without any that is a number."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1.0 - tail])
    return float(low), float(high)


def ratios(
    hits: NDArray[np.integer], counts: NDArray[np.integer] | np.integer
) -> NDArray[np.float64]:
    """hits / counts, element by element; NaN where nothing counts."""
    found = np.full(np.broadcast_shapes(hits.shape, counts.shape), np.nan)
    np.divide(hits, counts, out=found, where=counts > 0)
    return found


def class_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, K) to (R,) mean over the classes that have a value; NaN if none has."""
    found = np.isfinite(values)
    sums = np.where(found, values, 0.0).sum(axis=1)
    means = np.full(len(values), np.nan)
    np.divide(sums, found.sum(axis=1), out=means, where=found.any(axis=1))
    return means


def per_class(values: NDArray[np.float64]) -> dict[int, float]:
    """(K,) to class index -> value, for the classes that have one."""
    return {int(k): float(values[k]) for k in np.flatnonzero(np.isfinite(values))}


def ratio(hits: int | np.integer, count: int | np.integer) -> float:
    """hits / count, NaN without any count."""
    return float(hits / count) if count else float("nan")
