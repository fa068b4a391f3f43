"""Training without any knowledge of where it runs: optimizer, learning rate, one epoch.

Shapes: B batch, K classes, S side of the square input.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workloads.backbones.normalizer import InputNormalizer
from workloads.errors import WsolError
from workloads.methods.base import Method
from workloads.training.batch import Batch
from workloads.training.options import TrainOptions


@dataclass(frozen=True, slots=True)
class Position:
    """Progress of an epoch on this worker."""

    step: int
    steps: int
    images: int
    seconds: float


def make_optimizer(method: Method, options: TrainOptions) -> torch.optim.Optimizer:
    """Two parameter groups: the backbone's, and the new layers' with their own factor.

    Frozen parameters are in neither. Normalisation layers are decayed too, as in the papers, and so
    are biases. Where `options` says something else of biases, each group is followed by its biases
    as a group of their own.
    """
    new = [p for p in method.new_layers().parameters() if p.requires_grad]
    known = {id(p) for p in new}
    old = [p for p in method.parameters() if p.requires_grad and id(p) not in known]
    groups: list[dict[str, Any]] = [
        {"params": old, "factor": 1.0},
        {"params": new, "factor": options.new_layer_factor},
    ]
    if options.bias_factor != 1 or not options.decay_biases:
        groups = [part for group in groups for part in _biases_apart(group, method, options)]
    groups = [g for g in groups if g["params"]]
    if options.optimizer == "adam":
        return torch.optim.Adam(groups, options.learning_rate, weight_decay=options.weight_decay)
    return torch.optim.SGD(
        groups,
        options.learning_rate,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        nesterov=options.nesterov,
    )


def _biases_apart(
    group: dict[str, Any], method: Method, options: TrainOptions
) -> list[dict[str, Any]]:
    named = method.named_parameters()
    biases = {id(p) for name, p in named if name.rpartition(".")[2] == "bias"}
    decay = options.weight_decay if options.decay_biases else 0.0
    return [
        {**group, "params": [p for p in group["params"] if id(p) not in biases]},
        {
            "params": [p for p in group["params"] if id(p) in biases],
            "factor": group["factor"] * options.bias_factor,
            "weight_decay": decay,
        },
    ]


def learning_rate_at(epoch: float, options: TrainOptions) -> float:
    """The learning rate at a fractional epoch in [0, epochs). It has no state to restore."""
    base = options.learning_rate
    if epoch < options.warmup_epochs:
        return base * max(epoch / options.warmup_epochs, 0.01)
    if options.schedule == "cosine":
        span = max(options.epochs - options.warmup_epochs, 1e-9)
        done = (epoch - options.warmup_epochs) / span
        return base * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    passed = sum(epoch >= at for at in options.step_epochs)
    return base * options.decay**passed


def train_epoch(
    network: nn.Module,
    method: Method,
    batches: Iterable[Batch],
    steps: int,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    options: TrainOptions,
    on_step: Callable[[Position], None],
) -> dict[str, float]:
    """One epoch. `network` is the method, or the method wrapped for data parallelism.

    On CUDA the forward pass runs under bfloat16 autocast; weights and losses stay float32.

    Returns:
        Mean of each loss term, the learning rate at the end, and this worker's images/s.

    Raises:
        WsolError: the loss is not finite.
    """
    device = next(method.parameters()).device
    normalize = InputNormalizer(method.backbone.mean, method.backbone.std).to(device)
    network.train()
    sums: dict[str, Tensor] = {}
    images, started = 0, time.monotonic()
    for step, batch in enumerate(batches):
        _set_learning_rate(optimizer, learning_rate_at(epoch + step / steps, options))
        pixels = normalize(batch.images.to(device, non_blocking=True))
        targets = batch.targets(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network(pixels, targets)
        terms = method.loss({k: v.float() for k, v in outputs.items()}, targets)
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for name, value in {**terms, "loss": total}.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()
        images += len(batch.labels)
        on_step(Position(step + 1, steps, images, time.monotonic() - started))
    means = {name: value.item() / steps for name, value in sums.items()}
    _require_finite(means, epoch)
    return {
        **means,
        "learning_rate": optimizer.param_groups[0]["lr"],
        "images_per_s": images / max(time.monotonic() - started, 1e-9),
    }


@torch.inference_mode()
def class_scores(method: Method, batches: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """(N, K) scores, (N, K) labels and (N, K) difficult flags of batches, on the CPU."""
    device = next(method.parameters()).device
    normalize = InputNormalizer(method.backbone.mean, method.backbone.std).to(device)
    method.eval()
    scores, labels, difficult = [], [], []
    for batch in batches:
        pixels = normalize(batch.images.to(device))
        answer = method.localize(pixels, batch.extents.to(device))
        scores.append(answer.scores.float().cpu())
        labels.append(batch.labels)
        difficult.append(batch.difficult)
    return torch.cat(scores), torch.cat(labels), torch.cat(difficult)


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def _require_finite(means: dict[str, float], epoch: int) -> None:
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise WsolError(
            f"training diverged in epoch {epoch + 1}: {', '.join(bad)} is not finite; "
            "lower train.learning_rate or add train.warmup_epochs"
        )
