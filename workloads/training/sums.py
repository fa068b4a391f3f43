"""Loss terms of an epoch added up over images, so that means of any parts can be merged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

from torch import Tensor

State = dict[str, float]
_IMAGES = "images"


class Sums:
    """Sums over the images that one worker has seen of an epoch; they stay on its device."""

    def __init__(self, state: Mapping[str, float] | None = None) -> None:
        values = dict(state or {})
        self.images = int(values.pop(_IMAGES, 0))
        self._values: dict[str, Tensor | float] = dict(values)

    @classmethod
    def shared_out(cls, states: Sequence[State], rank: int, world: int) -> Self:
        """A worker's part of the sums of workers, of whom there may have been another number."""
        return cls(_merged(states[rank::world]))

    def add(self, means: Mapping[str, Tensor], images: int) -> None:
        """Count a batch's means for its images."""
        for name, value in means.items():
            self._values[name] = self._values.get(name, 0.0) + value.detach().double() * images
        self.images += images

    def state(self) -> State:
        """All numbers, exactly."""
        values = {name: float(value) for name, value in self._values.items()}
        return {**values, _IMAGES: float(self.images)}


def means(states: Sequence[State]) -> dict[str, float]:
    """Means over the images of all workers; NaN without images."""
    total = _merged(states)
    images = total.pop(_IMAGES)
    return {name: value / images if images else math.nan for name, value in total.items()}


def _merged(states: Sequence[State]) -> State:
    names = dict.fromkeys(name for state in states for name in state)
    return {name: sum(state.get(name, 0.0) for state in states) for name in names}
