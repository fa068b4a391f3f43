"""A worker's share of a training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Rank of a worker among the `world` workers that split the work.

    Attributes:
        wanted: workers that the training was planned for; None for as many as there are.
    """

    rank: int = 0
    world: int = 1
    wanted: int | None = None

    @property
    def planned(self) -> int:
        return self.wanted or self.world
