"""The optimizer of a training and its learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch

from workloads.methods.base import Method
from workloads.training.options import TrainOptions


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
    if options.optimizer != "sgd":
        kind = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
        return kind(groups, options.learning_rate, weight_decay=options.weight_decay)
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


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its rate: that of the training times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
