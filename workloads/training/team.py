"""The workers of a training and what passes between them; one without others by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from workloads.training.share import Share


class Wish(IntFlag):
    """Something that a worker asks all workers to do together after a step."""

    NOTHING = 0
    CHECKPOINT = 1
    LOOK_FOR_PREEMPTION = 2


@dataclass
class Team:
    """A worker among those of its training, over torch.distributed where there are several.

    Attributes:
        is_preempted: whether a machine of a worker is about to be taken away; all workers ask
            together.
    """

    share: Share = field(default_factory=Share)
    is_preempted: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self._votes: Any = None
        self._asked: tuple[torch.Tensor, Any] | None = None
        if self.share.world > 1:
            # Beside the gradients' own: votes stay on CPUs and stop no GPU.
            self._votes = dist.new_group(backend="gloo")

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network with the gradients of all workers."""
        if self.share.world == 1:
            return network
        device = next(network.parameters()).device
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)

    def gather(self, value: Any) -> list[Any]:
        """The values of all workers, in the order of ranks."""
        if self.share.world == 1:
            return [value]
        values: list[Any] = [None] * self.share.world
        dist.all_gather_object(values, value, group=self._votes)
        return values

    def first(self, value: Any) -> Any:
        """The value of the first worker."""
        return self.gather(value)[0]

    def share_buffers(self, network: nn.Module) -> None:
        """Give every worker the first one's buffers (statistics of batches, say)."""
        if self.share.world > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, src=0)

    def agree(self, wish: Wish) -> Wish:
        """Everyone's wishes of the step before, the same for all workers.

        Nobody waits for the wishes of this step, which travel while the next one is computed.
        """
        if self.share.world == 1:
            return wish
        granted = self._granted()
        votes = torch.tensor([bool(wish & one) for one in _WISHES], dtype=torch.int8)
        work = dist.all_reduce(votes, dist.ReduceOp.MAX, group=self._votes, async_op=True)
        self._asked = votes, work
        return granted

    def _granted(self) -> Wish:
        if self._asked is None:
            return Wish.NOTHING
        votes, work = self._asked
        work.wait()
        chosen = [one for one, vote in zip(_WISHES, votes.tolist(), strict=True) if vote]
        return Wish(sum(chosen))


_WISHES = (Wish.CHECKPOINT, Wish.LOOK_FOR_PREEMPTION)
