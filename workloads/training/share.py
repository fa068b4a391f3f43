"""A worker's share of a training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Rank of a worker among the `world` workers that split the work."""

    rank: int = 0
    world: int = 1
