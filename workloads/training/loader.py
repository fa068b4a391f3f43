"""The contract of a loader: the batches of an epoch, from any step on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from workloads.training.batch import Batch


class Loader(Protocol):
    """Training batches for one worker.

    A loader has no state of its own to save: its position is an epoch and a step, which the
    training knows, and batches are a function of these. So a checkpoint needs nothing from it.

    Attributes:
        steps: batches in an epoch, the same in every epoch and on every worker.
        batch_size: images in a batch of one worker.
    """

    @property
    def steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    def batches(self, epoch: int, from_step: int = 0) -> Iterator[Batch]:
        """The batches `from_step` .. `steps - 1` of an epoch, as the whole epoch has them.

        Raises:
            ValueError: `from_step` is not in [0, steps].
        """
        ...
