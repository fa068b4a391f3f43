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
    return scores if alpha == 0.0 else with_context(scores, context_of(scores, p), alpha)


def context_of(scores: NDArray[np.float32], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., K) float64 sum over j != i of p(i | j) * s_j; see `rescore`."""
    classes = scores.shape[-1]
    if p.shape != (classes, classes):
        raise ValueError(f"co-occurrence must be ({classes}, {classes}), given {p.shape}")
    others = np.where(np.eye(classes, dtype=bool), 0.0, p)
    exact = scores.astype(np.float64)
    # Summed class by class: a matrix product may round differently for one image and for many.
    context = np.zeros_like(exact)
    for j in range(classes):
        context += exact[..., j : j + 1] * others[:, j]
    return context


def with_context(
    scores: NDArray[np.float32], context: NDArray[np.float64], alpha: float
) -> NDArray[np.float32]:
    """(..., K) scores rescored by a context that is summed already; see `rescore`."""
    if alpha == 0.0:
        return scores
    return (scores.astype(np.float64) + alpha * context).astype(np.float32)
