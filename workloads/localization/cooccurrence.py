"""Rescoring of class scores by co-occurrence of classes (Bency, section 3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rescore(
    scores: NDArray[np.float32], p: NDArray[np.float64], alpha: float
) -> NDArray[np.float32]:
    """s_i + alpha * sum over j != i of p(i | j) * s_j.

    Args:
        scores: (..., K) float32; one image (K,) or many (N, K), with the same bits either way.
        p: (K, K), entry [i, j] is p(i | j); the diagonal is ignored. Not looked at if alpha is 0.
        alpha: weight of the context, >= 0.

    Returns:
        (..., K) float32, computed in float64; with alpha 0 the scores themselves.

    Raises:
        ValueError: p is not (K, K).
    """
    if alpha == 0.0:
        return scores
    classes = scores.shape[-1]
    if p.shape != (classes, classes):
        raise ValueError(f"co-occurrence must be ({classes}, {classes}), given {p.shape}")
    others = np.where(np.eye(classes, dtype=bool), 0.0, p)
    exact = scores.astype(np.float64)
    # Summed class by class: a matrix product may round differently for one image and for many.
    context = np.zeros_like(exact)
    for j in range(classes):
        context += exact[..., j : j + 1] * others[:, j]
    return (exact + alpha * context).astype(np.float32)
