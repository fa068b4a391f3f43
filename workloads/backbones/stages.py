"""The stages of a backbone from the layers that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from workloads.backbones.base import Stage


def sliced(layers: nn.Sequential, starts: Mapping[str, int]) -> dict[str, Stage]:
    """Stages that are runs of consecutive layers.

    Args:
        starts: the index of the layer that a stage begins with, by its name and in order; a stage
            ends before the next one's start.
    """
    ends = [*starts.values(), len(layers)][1:]
    return {
        name: layers[start:end] for (name, start), end in zip(starts.items(), ends, strict=True)
    }


def chained(module: nn.Module, parts: Mapping[str, Iterable[str]]) -> dict[str, Stage]:
    """Stages that call children of a module one after another.

    Args:
        parts: names of the children, by the stages' names and in order.
    """
    return {
        stage: nn.Sequential(*(module.get_submodule(name) for name in names))
        for stage, names in parts.items()
    }
