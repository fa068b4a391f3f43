"""All methods by name; adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

from workloads.backbones import BACKBONES
from workloads.datasets.base import Task
from workloads.errors import ConfigError, unknown_name
from workloads.methods.base import Method
from workloads.methods.cam import Cam
from workloads.methods.spn import Spn
from workloads.registry import Registry

METHODS: Registry[type[Method]] = Registry(
    "method",
    {
        Cam.name: Cam,
        Spn.name: Spn,
    },
)


def build_method(
    method: str,
    backbone: str,
    num_classes: int,
    task: str,
    preset: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Method:
    """A network with random weights (they follow `torch.manual_seed`).

    Args:
        preset: named option values of the method; None for the options' own defaults.
        overrides: options that differ from the preset, by name.

    Raises:
        ConfigError: an unknown method, backbone, task, preset or option, or a wrong value.
    """
    kind = METHODS[method]
    if task not in get_args(Task):
        raise ConfigError(unknown_name("task", task, get_args(Task)))
    if num_classes < 1:
        raise ConfigError(f"method {method}: {num_classes} classes given, at least 1 is needed")
    values = {**_preset(kind, preset), **(overrides or {})}
    options = kind.options_type.parse(values, f"method {method}")
    return kind(BACKBONES[backbone](), num_classes, cast(Task, task), options)


def _preset(kind: type[Method], preset: str | None) -> Mapping[str, object]:
    if preset is None:
        return {}
    if preset not in kind.presets:
        raise ConfigError(unknown_name(f"preset of method {kind.name}", preset, kind.presets))
    return kind.presets[preset]
