"""Convolutions whose weights already lie in memory as the kernel of a CPU wants them.

oneDNN, with which torch convolves on a CPU, has a layout of its own for weights, chosen by the
shape of the input. Torch keeps weights as they are saved, and so puts them in that order before
each call: for one image at a time that is 5 % of VGG16's forward pass and 40 % of a ResNet-50's.
Here that is done once. (`torch.compile` with frozen weights does the same with the same operator,
but wants a C++ compiler on every machine.)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def pack_convolutions(network: nn.Module, run: Callable[[], object]) -> None:
    """Replace the convolutions of a network that learns no more, in place.

    Results depend on the layout in their last bits, and the layout on the shape of the input: so
    it is that of `run`, whatever comes later, and answers do not depend on what was asked before.

    Args:
        run: a forward pass on an input of the usual shape. Convolutions that it does not come by
            stay as they are, and so do all where torch has no such operator.
    """
    if not _can_pack():
        return
    shapes = _shapes_of_inputs(network, run)
    for name, module in list(network.named_modules()):
        if name in shapes and isinstance(module, nn.Conv2d) and _is_usual(module):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, PackedConvolution(module, shapes[name]))


class PackedConvolution(nn.Conv2d):
    """A convolution with the weights of another, which must not change any more.

    Where a gradient is asked for, it is computed as torch's own.

    Args:
        shape: (B, C, H, W) of the usual input.
    """

    def __init__(self, of: nn.Conv2d, shape: tuple[int, ...]) -> None:
        nn.Module.__init__(self)  # all that a convolution has is that of the other one
        self.__dict__.update(of.__dict__)
        self._packed: Tensor = torch.ops.aten.mkldnn_reorder_conv2d_weight(
            of.weight.detach().to_mkldnn(), of.padding, of.stride, of.dilation, of.groups, shape
        )

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) float32 to (B, K, h, w)."""
        if input.requires_grad and torch.is_grad_enabled():
            return super().forward(input)
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            input, self._packed, self.bias,
            self.padding, self.stride, self.dilation, self.groups, "none", [], "",
        )  # fmt: skip
        return found


def _can_pack() -> bool:
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return onednn and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def _is_usual(module: nn.Conv2d) -> bool:
    """Whether the operator knows such a convolution."""
    return (
        isinstance(module.padding, tuple)
        and module.padding_mode == "zeros"
        and module.weight.dtype == torch.float32
        and type(module) in (nn.Conv2d, PackedConvolution)
    )


def _shapes_of_inputs(network: nn.Module, run: Callable[[], object]) -> dict[str, tuple[int, ...]]:
    """Names of modules that `run` comes by, each with the shape of its first input."""
    shapes: dict[str, tuple[int, ...]] = {}

    def noting(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            shapes.setdefault(name, tuple(inputs[0].shape))

        return note

    hooks = [
        module.register_forward_pre_hook(noting(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return shapes
