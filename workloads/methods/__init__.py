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
    """A network with random weights (they follow `torch.manual_seed`), as training needs it.

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
    check_backbone(kind, backbone)
    network = BACKBONES[backbone](fully_connected=kind.uses_fully_connected)
    return kind(network, num_classes, cast(Task, task), options)


def check_backbone(kind: type[Method], backbone: str) -> None:
    """Raises a ConfigError if a method cannot be built on a backbone."""
    fitting = backbones_of(kind)
    if BACKBONES[backbone].name not in fitting:
        raise ConfigError(
            f"method {kind.name} needs fully connected layers, backbone {backbone} has none; "
            f"use one of {', '.join(fitting)}"
        )


def backbones_of(kind: type[Method]) -> list[str]:
    """Names of the backbones that a method can be built on."""
    return [
        name
        for name, backbone in BACKBONES.items()
        if backbone.has_fully_connected or not kind.uses_fully_connected
    ]


def _preset(kind: type[Method], preset: str | None) -> Mapping[str, object]:
    if preset is None:
        return {}
    if preset not in kind.presets:
        raise ConfigError(unknown_name(f"preset of method {kind.name}", preset, kind.presets))
    return kind.presets[preset]
