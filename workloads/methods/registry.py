"""All methods by name; adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

from workloads.backbones.base import Backbone
from workloads.backbones.feature_network import feature_network
from workloads.backbones.registry import BACKBONES
from workloads.backbones.whole_network import WholeNetwork
from workloads.errors import ConfigError, unknown_name
from workloads.methods.acol import Acol
from workloads.methods.base import Method
from workloads.methods.bency.bency import Bency
from workloads.methods.cam import Cam
from workloads.methods.centre_point import Centre
from workloads.methods.grad_cam import GradCam
from workloads.methods.gradient_saliency import Gradient
from workloads.methods.hide_and_seek import HideAndSeek
from workloads.methods.oquab.oquab import Oquab
from workloads.methods.saliency_aware.saliency_aware import Saliency
from workloads.methods.spg import Spg
from workloads.methods.spn.spn import Spn
from workloads.options import Options
from workloads.records import Task
from workloads.registry import Registry

METHODS: Registry[type[Method]] = Registry(
    "method",
    {
        Acol.name: Acol,
        Bency.name: Bency,
        Cam.name: Cam,
        Centre.name: Centre,
        GradCam.name: GradCam,
        Gradient.name: Gradient,
        HideAndSeek.name: HideAndSeek,
        Oquab.name: Oquab,
        Saliency.name: Saliency,
        Spg.name: Spg,
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
    network = _network(BACKBONES[backbone], kind, options, num_classes)
    return kind(network, num_classes, cast(Task, task), options)


def method_options(method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a method, of which `values` are given.

    Raises:
        ConfigError: an unknown option, or a wrong value.
    """
    return METHODS[method].options_type.parse(values, f"method {method}").model_dump()


def check_backbone(kind: type[Method], backbone: str) -> None:
    """Raises a ConfigError if a method cannot be built on a backbone."""
    found = BACKBONES[backbone]
    if issubclass(found, WholeNetwork):
        if kind.explains_whole_networks:
            return
        found = feature_network(backbone)
    fitting = backbones_of(kind)
    if kind.uses_fully_connected and not found.has_fully_connected:
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


def _network(
    kind: type[Backbone], method: type[Method], options: Options, num_classes: int
) -> Backbone:
    full = method.makes_fully_connected(options, kind)
    if issubclass(kind, WholeNetwork):
        if not method.explains_whole_networks:
            return feature_network(kind.name)(fully_connected=full)
        return kind(fully_connected=full, num_classes=num_classes)
    return kind(fully_connected=full)


def _preset(kind: type[Method], preset: str | None) -> Mapping[str, object]:
    if preset is None:
        return {}
    if preset not in kind.presets:
        raise ConfigError(unknown_name(f"preset of method {kind.name}", preset, kind.presets))
    return kind.presets[preset]
