"""Random weights of convolutions that a ReLU follows, and of whole networks of them."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def initialise(convolution: nn.Conv2d) -> nn.Conv2d:
    """Kaiming normal over the outputs, bias 0, as torchvision does for VGG; returns its argument.

    torch's own default shrinks the signal by sqrt(6) in every layer; on the embedded benchmark
    training then stands still for its first epochs. An outline on the meta device is left alone:
    it has nothing to fill, and pretending to takes torch two seconds of imports.
    """
    if convolution.weight.is_meta:
        return convolution
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def allocate(module: M) -> M:
    """Memory on the CPU and random weights for a module of the meta device; returns it.

    Convolutions get `initialise`. All else that has weights or running statistics gets what its
    own `reset_parameters` gives, as memory that was just allocated holds anything at all.
    """
    module.to_empty(device="cpu")
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            initialise(layer)
        elif callable(reset := getattr(layer, "reset_parameters", None)):
            reset()
    return module
