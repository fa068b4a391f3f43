"""Small methods and their maps, for the tests of single methods."""

from __future__ import annotations

import torch
from torch import Tensor

from workloads.methods.base import Method
from workloads.methods.registry import build_method

CLASSES = 3


def tiny(name: str, **overrides: object) -> Method:
    """A method on the small backbone with its preset for it, in evaluation mode."""
    return build_method(name, "tiny", CLASSES, "multilabel", "tiny", overrides).eval()


def class_map(method: Method, images: Tensor, label: int) -> Tensor:
    """(B, h, w) maps of one class, each asked for alone."""
    with torch.inference_mode():
        answer = method.localize(images)
        return torch.stack([maps[0][0] for maps in answer.maps_of([[label]] * len(images))])
