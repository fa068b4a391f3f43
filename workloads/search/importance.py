"""Share of a metric's spread over trials that goes with each parameter, beside that of chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.space import Choice, Space

SHUFFLES = 500
LEAST_TRIALS = 5
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Importance:
    """One parameter's importance.

    Attributes:
        share: of the variance of the values, 0 to 1, that the parameter alone explains.
        by_chance: the share that values without any relation to it reach in 95 of 100 cases.
    """

    name: str
    share: float
    by_chance: float

    @property
    def is_told(self) -> bool:
        """Whether so many trials show more than chance does."""
        return self.share > self.by_chance


def importances(
    space: Space, points: Sequence[Mapping[str, Any]], values: Sequence[float], seed: int = 0
) -> tuple[Importance, ...]:
    """Importance of each parameter that varies, the largest first; () with too few trials.

    A range explains by a parabola over its ranks, since the best is often in the middle; a choice
    by its groups' means. Parameters are looked at one by one, so what two do together is missed.

    Args:
        points, values: of finished trials.
    """
    if len(values) < LEAST_TRIALS:
        return ()
    found = []
    target = np.asarray(values, np.float64)
    for name in space:
        given = [point[name] for point in points]
        if len({repr(value) for value in given}) < 2:
            continue
        basis = _basis(given, choice=isinstance(space[name], Choice))
        rng = np.random.default_rng(seed)
        chance = [_explained(basis, rng.permutation(target)) for _ in range(SHUFFLES)]
        found.append(
            Importance(name, _explained(basis, target), float(np.quantile(chance, _LEVEL)))
        )
    return tuple(sorted(found, key=lambda one: -one.share))


def _basis(given: Sequence[Any], *, choice: bool) -> NDArray[np.float64]:
    """(N, columns) orthonormal functions of a parameter, the constant aside."""
    if choice:
        kinds = sorted({repr(value) for value in given})
        columns = np.array([[repr(value) == kind for kind in kinds] for value in given], float)
    else:
        ranks = np.searchsorted(np.unique(given), given).astype(float)
        columns = np.stack([ranks, ranks**2], axis=1)
    centred = columns - columns.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, sizes > 1e-9 * max(1.0, sizes[0])]


def _explained(basis: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Share of a target's variance in a basis."""
    centred = target - target.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0
    return float(((basis.T @ centred) ** 2).sum() / total)
