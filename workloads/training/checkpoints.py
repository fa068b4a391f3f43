"""Checkpoints: a network, its optimizer and the position, as tensors and JSON, bit for bit.

A checkpoint is a sealed folder (see `artifacts`):

    weights.safetensors      the network's state dict
    optimizer.safetensors    tensors of the optimizer's state, named "<parameter>.<key>"
    average.safetensors      the moving average's state dict, if there is one
    checkpoint.json          the rest of the optimizer's state dict, and the caller's meta
    manifest.json            digests of the others, written last
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from workloads.artifacts import atomic_folder, exists, read_json, seal, verify, write_json
from workloads.backbones.base import Backbone
from workloads.errors import ConfigError
from workloads.tensors import (
    WEIGHTS_FILE,
    is_channels_last,
    load_exactly,
    mismatches,
    read_tensors,
    write_tensors,
)

OPTIMIZER_FILE = "optimizer.safetensors"
AVERAGE_FILE = "average.safetensors"
DESCRIPTION_FILE = "checkpoint.json"
SCHEMA_VERSION = 2
BACKBONE = "backbone."


@dataclass(frozen=True, slots=True)
class State:
    """A training at one moment.

    Attributes:
        model: `module.state_dict()`.
        optimizer: `optimizer.state_dict()`.
        average: the moving average's state dict; None without one.
        meta: JSON values: where the training is.
        where: its folder, for messages.
    """

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    average: Mapping[str, Tensor] | None = None
    meta: Mapping[str, JsonValue] = field(default_factory=dict)
    where: str = "checkpoint"

    def copied(self) -> State:
        """The same on the CPU, which later steps do not change."""
        average = None if self.average is None else _copied(self.average)
        return State(_copied(self.model), _copied(self.optimizer), average, dict(self.meta))

    def result(self) -> dict[str, Tensor]:
        """Weights of the network that the training is for: its average, if it has one."""
        if self.average is None:
            return dict(self.model)
        inner = "module."
        named = self.average.items()
        return {name.removeprefix(inner): t for name, t in named if name.startswith(inner)}

    def restore(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None = None
    ) -> None:
        """Put everything back.

        Raises:
            ConfigError: it is of another network or optimizer; nothing was changed.
        """
        problems = mismatches(_group_sizes(optimizer.state_dict()), _group_sizes(self.optimizer))
        if problems:
            raise ConfigError(f"{self.where}: of another optimizer: {problems}")
        if (average is None) != (self.average is None):
            raise ConfigError(f"{self.where}: of a training with another train.ema_decay")
        load_exactly(module, self.model, self.where)
        if average is not None and self.average is not None:
            load_exactly(average, self.average, self.where)
        optimizer.load_state_dict(dict(self.optimizer))


def save_checkpoint(folder: Path, state: State, score: float | None = None) -> None:
    """Write a checkpoint whole or not at all; a folder of that name is replaced.

    Args:
        score: stands in the manifest, for who looks for the best one.

    Raises:
        ConfigError: the optimizer's state holds something that is neither tensor nor JSON.
        OSError: as the storage says (a full disk, say).
    """
    tensors, description = _flatten(state.optimizer)
    with atomic_folder(folder) as temporary:
        write_tensors(temporary / WEIGHTS_FILE, state.model)
        write_tensors(temporary / OPTIMIZER_FILE, tensors)
        if state.average is not None:
            write_tensors(temporary / AVERAGE_FILE, state.average)
        values = {"meta": dict(state.meta), "optimizer": description}
        write_json(temporary / DESCRIPTION_FILE, values)
        facts = {} if score is None else {"score": score}
        seal(temporary, kind="checkpoint", schema_version=SCHEMA_VERSION, **facts)


def load_checkpoint(folder: Path) -> State:
    """Read a checkpoint after checking it against its manifest.

    Raises:
        NotFound: no finished checkpoint there.
        IntegrityError: a file is missing or changed.
        ConfigError: written by another version of this project.
    """
    manifest = verify(folder, "checkpoint")
    if manifest["schema_version"] != SCHEMA_VERSION:
        raise ConfigError(
            f"{folder}: checkpoint schema {manifest['schema_version']}, this version knows "
            f"{SCHEMA_VERSION}; go on with the version of wsol that wrote it"
        )
    stored = read_json(folder / DESCRIPTION_FILE)
    average = folder / AVERAGE_FILE
    return State(
        model=read_tensors(folder / WEIGHTS_FILE),
        optimizer=_unflatten(read_tensors(folder / OPTIMIZER_FILE), stored["optimizer"]),
        average=read_tensors(average) if exists(average) else None,
        meta=stored["meta"],
        where=str(folder),
    )


def load_initial(part: Backbone, folder: Path) -> None:
    """Start a network inside a method from the backbone of a checkpoint or model version.

    Only tensors of the backbone are taken, all of them but those that `part` has no use for; the
    method's other layers keep their random weights, since methods and classes may differ.

    Raises:
        NotFound: no finished checkpoint or model there.
        IntegrityError: a file is missing or changed.
        ConfigError: its backbone is another one; missing and unexpected tensors are listed.
    """
    verify(folder, "checkpoint", "model")
    tensors = {
        name.removeprefix(BACKBONE): tensor
        for name, tensor in read_tensors(folder / WEIGHTS_FILE).items()
        if name.startswith(BACKBONE)
    }
    ignored = part.ignored_weights()
    used = {name: tensor for name, tensor in tensors.items() if name not in ignored}
    load_exactly(part, used, f"the backbone in {folder}")


def _copied(value: Any) -> Any:
    """Tensors copied to the CPU in their own memory layout, at any depth of a state dict."""
    if isinstance(value, Tensor):
        return torch.empty_like(value, device="cpu").copy_(value.detach())
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _flatten(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state dict as named tensors and a JSON description of the rest."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, entries in state["state"].items():
        scalars[str(parameter)] = {}
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}.{key}"] = value
            else:
                scalars[str(parameter)][key] = _encode(value, key)
    description = {
        "state": scalars,
        "param_groups": [
            {key: _encode(value, key) for key, value in group.items()}
            for group in state["param_groups"]
        ],
        # Files are row-major. The layout comes back too: vectorised arithmetic may round
        # differently where the layouts of a parameter and its momentum differ.
        "channels_last": sorted(n for n, t in tensors.items() if is_channels_last(t)),
    }
    return tensors, description


def _unflatten(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> dict[str, Any]:
    """Inverse of `_flatten`."""
    state: dict[int, dict[str, Any]] = {
        int(parameter): {key: _decode(value) for key, value in entries.items()}
        for parameter, entries in description["state"].items()
    }
    channels_last = set(description["channels_last"])
    for name, tensor in tensors.items():
        parameter, key = name.split(".", 1)
        layout = torch.channels_last if name in channels_last else torch.contiguous_format
        state[int(parameter)][key] = tensor.contiguous(memory_format=layout)
    groups = [
        {key: _decode(value) for key, value in group.items()}
        for group in description["param_groups"]
    ]
    return {"state": state, "param_groups": groups}


def _encode(value: Any, key: str) -> Any:
    """JSON of an optimizer setting; what JSON lacks is marked, so it comes back.

    These are tuples (Adam's betas), NaN and infinities.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, key) for v in value]}
    if isinstance(value, list):
        return [_encode(v, key) for v in value]
    raise ConfigError(
        f"optimizer state '{key}' is a {type(value).__name__}; a checkpoint holds tensors per "
        "parameter, numbers, strings, lists and tuples"
    )


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if "float" in value:
            return float(value["float"])
        return tuple(_decode(v) for v in value["tuple"])
    if isinstance(value, list):
        return [_decode(v) for v in value]
    return value


def _group_sizes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Number of parameters by group, as named shapes."""
    groups = state["param_groups"]
    return {f"parameters of group {i}": (len(g["params"]),) for i, g in enumerate(groups)}
