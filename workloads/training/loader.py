"""The contract of a loader: the batches of an epoch, from any step on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from workloads.training.batch import Batch
from workloads.training.order import BatchPlan, Stretch


class Loader(Protocol):
    """Training batches for one worker.

    A loader has no state of its own to save: its position is an epoch and what was done of it,
    which the training knows, and batches are a function of these. So a checkpoint needs nothing
    from it.
    """

    def plan(self, past: Sequence[Stretch] = ()) -> BatchPlan:
        """Batches that are left of an epoch, the same in every epoch and on every worker.

        Args:
            past: what was done of it, by as many workers as there were.
        """
        ...

    def batches(self, epoch: int, past: Sequence[Stretch] = ()) -> Iterator[Batch]:
        """This worker's batches of what is left of an epoch, `plan(past).steps` of them."""
        ...
