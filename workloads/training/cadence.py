"""Times at which checkpoints are made, and the number that stays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cadence:
    """Times of checkpoints beside those after each epoch, and the number that stays.

    Attributes:
        steps: of an epoch, between checkpoints; None for none.
        minutes: between checkpoints; None for none.
        keep: the last ones that stay.
        keep_best: whether the one with the highest score stays, too.
    """

    steps: int | None = None
    minutes: float | None = None
    keep: int = 2
    keep_best: bool = False
