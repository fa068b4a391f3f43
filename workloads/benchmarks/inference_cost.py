"""Cost of localization with SPG and saliency-aware models, against CAM.

Both papers add to training alone and report the cost of CAM for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import interleaved, one_torch_thread
from workloads.methods.base import Method
from workloads.methods.registry import build_method

CLASSES = 20
# Preset and number of runs by backbone, on its own input size.
BACKBONES = {"tiny": ("tiny", 100), "vgg16": ("paper", 7)}
# Each method against the CAM of its own layers. For SPG that is SPG-plain, with which its paper
# compares: SPG-A has two 3x3 convolutions after the backbone, where CAM has one.
BASELINES = {"spg": "spg-plain", "saliency-aware": "cam"}


def compare_inference_cost(extent: Extent = "usual") -> dict[str, object]:
    """Localization by SPG and saliency-aware models against CAM on the same backbone.

    Measured is `localize` and the map of one class, for one image on one thread, of networks
    without their training parts, as model versions hold them. They take turns. The CAM
    of SPG's layers is SPG-plain. On tiny, SPG and CAM have the same layers; on
    vgg16, SPG-A has one 3x3 convolution more, so SPG is also compared with ordinary CAM.

    Returns:
        `ratio` baseline / method, the least of all `rows`: one per backbone and method, with
        `baseline`, `ms`, `baseline_ms`, their `ratio`, and `over_cam`, the time as a multiple of
        ordinary CAM's.
    """
    with one_torch_thread(), torch.inference_mode():
        backbones = list(BACKBONES)[:1] if extent == "quick" else list(BACKBONES)
        rows = [row for backbone in backbones for row in measure(backbone)]
    return {
        "name": "inference-cost",
        "ratio": min(float(row["ratio"]) for row in rows),
        "rows": rows,
    }


def measure(backbone: str) -> list[dict[str, str | float]]:
    """The rows of one backbone."""
    _, repeats = BACKBONES[backbone]
    ways = {name: _localization(method) for name, method in members(backbone).items()}
    for way in ways.values():
        way()  # warms up
    rounds = interleaved(ways, repeats)
    ms = rounds.ms()
    return [
        {
            "backbone": backbone,
            "method": method,
            "baseline": baseline,
            "ms": ms[method],
            "baseline_ms": ms[baseline],
            "ratio": rounds.ratio(baseline, method),
            "over_cam": rounds.ratio(method, "cam"),
        }
        for method, baseline in BASELINES.items()
    ]


def members(backbone: str) -> dict[str, Method]:
    """Random networks as a localizer has them."""
    preset, _ = BACKBONES[backbone]
    build = partial(build_method, backbone=backbone, num_classes=CLASSES, task="singlelabel")
    built = {
        "cam": build("cam", preset=preset),
        "spg-plain": build("spg", preset=preset, overrides={"guidance": "plain"}),
        "spg": build("spg", preset=preset),
        "saliency-aware": build("saliency-aware", preset=preset),
    }
    return {name: _ready(method) for name, method in built.items()}


def _ready(method: Method) -> Method:
    ready = method.without_training_parts().eval().requires_grad_(False)
    return ready.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _localization(method: Method) -> Callable[[], list[tuple[Tensor, ...]]]:
    side = method.backbone.input_size
    image = torch.zeros(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    return lambda: method.localize(image).maps_of([[0]])
