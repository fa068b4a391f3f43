"""One step of a training: forward, backward, the optimizer, and the weights' moving average."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from workloads.backbones.normalizer import InputNormalizer
from workloads.errors import ConfigError
from workloads.methods.base import Method
from workloads.training.batch import Batch
from workloads.training.optimizer import make_optimizer, set_learning_rate
from workloads.training.options import TrainOptions
from workloads.training.team import Team


class Stepper:
    """A network with its optimizer, on its device.

    Raises:
        ConfigError: an option needs a GPU.

    Attributes:
        average: the moving average of the network's weights (its buffers are those of the last
            step); None unless it was asked for.
    """

    def __init__(
        self, method: Method, options: TrainOptions, device: torch.device, team: Team
    ) -> None:
        _check(options, device)
        self.options = options
        self.device = device
        if device.type == "cuda":
            torch.cuda.set_device(device)
        method = method.to(device)
        if options.channels_last:
            method = method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if options.sync_batch_norm and team.share.world > 1:
            convert = nn.SyncBatchNorm.convert_sync_batchnorm
            method = convert(method)  # type: ignore[no-untyped-call]
        self.method = method
        self.average = _average_of(method, options)
        self.optimizer = make_optimizer(method, options)
        self.network = team.wrapped(method)
        if options.compile:
            self.network.compile()
        self.normalize = InputNormalizer(method.backbone.mean, method.backbone.std).to(device)
        self.precision = _precision(options, device, team)

    @property
    def result(self) -> Method:
        """The network that the training is for: the average, or the one that is trained."""
        return self.method if self.average is None else cast("Method", self.average.module)

    def step(
        self, batch: Batch, rate: float, *, wants_norm: bool = False
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Learn from a batch.

        Returns:
            Loss terms and their sum `loss`, means over the batch's images, on the device; and the
            norm of the gradient before it was clipped, if it was wanted or needed.
        """
        self.network.train()
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._gradients(batch)
        norm = self._clipped(wants_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.method)
        return terms, norm

    def _gradients(self, batch: Batch) -> dict[str, Tensor]:
        """Add up the gradients of a batch, some images at a time; its loss terms."""
        count = len(batch.labels)
        size = self.options.micro_batch or count
        sums: dict[str, Tensor] = {}
        for start in range(0, count, size):
            part = batch.part(start, start + size) if size < count else batch
            share = len(part.labels) / count
            with self._alone() if start + size < count else nullcontext():
                terms = self._terms(part)
                total = torch.stack(list(terms.values())).sum()
                (total * (share * batch.weight)).backward()  # type: ignore[no-untyped-call]
            for name, value in {**terms, "loss": total}.items():
                sums[name] = sums.get(name, 0) + value.detach() * share
        return sums

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        pixels = self.normalize(batch.images.to(self.device, non_blocking=True))
        targets = batch.targets(self.device)
        lower = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=lower):
            outputs: Mapping[str, Tensor] = self.network(pixels, targets)
        return self.method.loss({k: v.float() for k, v in outputs.items()}, targets)

    def _alone(self) -> AbstractContextManager[Any]:
        """Gradients that are not yet those of all workers."""
        no_sync = getattr(self.network, "no_sync", None)
        return no_sync() if no_sync else nullcontext()

    def _clipped(self, wants_norm: bool) -> Tensor | None:
        limit = self.options.clip_norm
        if limit is None and not wants_norm:
            return None
        learned = [p for p in self.method.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in learned if p.grad is not None])
        if limit is not None:
            nn.utils.clip_grads_with_norm_(learned, limit, norm)
        return norm.detach()


def _average_of(method: Method, options: TrainOptions) -> AveragedModel | None:
    if options.ema_decay is None:
        return None
    moving = get_ema_multi_avg_fn(options.ema_decay)  # type: ignore[no-untyped-call]
    return AveragedModel(method, multi_avg_fn=moving)


def _check(options: TrainOptions, device: torch.device) -> None:
    if options.sync_batch_norm and device.type != "cuda":
        raise ConfigError(
            f"train.sync_batch_norm is true and the device {device.type}; it needs GPUs: set "
            "resources.train.gpus_per_worker, or it to false"
        )


def _precision(options: TrainOptions, device: torch.device, team: Team) -> torch.dtype:
    """Precision of the forward pass: the same for all workers, whatever their machines."""
    if options.precision != "auto":
        return torch.bfloat16 if options.precision == "bf16" else torch.float32
    fast = all(team.gather(_multiplies_bf16(device)))
    return torch.bfloat16 if fast else torch.float32


def _multiplies_bf16(device: torch.device) -> bool:
    """Whether a device has units for it; elsewhere it is slower than float32."""
    return device.type != "cpu" or bool(torch.cpu.get_capabilities().get("amx_bf16"))
