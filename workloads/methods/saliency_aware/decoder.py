"""The decoder that predicts where objects are, from the maps of an encoder (Chen et al. 2019).

Shapes: B batch, C channels, H W size of the input, h w size of a map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.backbones.base import Backbone, check_stages

LEAST_CHANNELS = 8


class DecoderBlock(nn.Module):
    """One transposed convolution and two convolutions, each with ReLU (section 2.5).

    The skip connection joins the encoder's channels between the first and the second of them.
    """

    def __init__(self, channels: int, skip_channels: int, out: int, *, doubles: bool) -> None:
        """`doubles`: whether height and width leave twice as large, else as they came."""
        super().__init__()
        side, stride = (4, 2) if doubles else (3, 1)
        self.enlarge = nn.ConvTranspose2d(channels, out, side, stride, padding=1)
        self.join = nn.Conv2d(out + skip_channels, out, 3, padding=1)
        self.refine = nn.Conv2d(out, out, 3, padding=1)
        # Of a transposed convolution's weights, an output pixel meets 1 / stride^2.
        _initialise(self.enlarge, channels * side**2 // stride**2)
        _initialise(self.join, (out + skip_channels) * 9)
        _initialise(self.refine, out * 9)

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        """(B, C, h, w), and the encoder's map or None, to (B, out, h', w') of the skip's size."""
        enlarged = F.relu(self.enlarge(features))
        if skip is not None:
            enlarged = torch.cat([resized(enlarged, skip.shape[2:]), skip], dim=1)
        return F.relu(self.refine(F.relu(self.join(enlarged))))


class SaliencyDecoder(nn.Module):
    """Blocks from the encoder's last map back to the resolution of its input, then a sigmoid.

    There is a block with a skip connection for every block of the encoder, deep to shallow, and
    one without for each doubling that is left then. So a stride of 16, as that of the paper's
    networks, gives the paper's five blocks. The first block stays at the size of the last map,
    which is also that of its skip; each of the others doubles it and has half the channels.

    With `skips` there is a block for each of these stages and no other: where two have one size
    the block between them keeps it, and the last map is resized to the input.

    Attributes:
        taps: the encoder's stages whose outputs `forward` needs.
    """

    def __init__(
        self,
        backbone: type[Backbone],
        in_channels: int,
        channels: int,
        skips: Sequence[str] | None = None,
    ) -> None:
        """`channels` leave the first block; no block has fewer than 8."""
        super().__init__()
        check_stages(backbone, skips or ())
        self.taps = backbone.blocks if skips is None else tuple(skips)
        self.skips = tuple(reversed(self.taps))
        doubles = [False, *(_changes_size(backbone, *pair) for pair in pairwise(self.skips))]
        skip_channels = [backbone.stage_channels[name] for name in self.skips]
        if skips is None:
            left = math.ceil(math.log2(backbone.stride)) + 1 - len(self.skips)
            doubles, skip_channels = doubles + [True] * left, skip_channels + [0] * left
        self.blocks = nn.ModuleList()
        for level, (skip, larger) in enumerate(zip(skip_channels, doubles, strict=True)):
            out = max(LEAST_CHANNELS, channels >> level)
            self.blocks.append(DecoderBlock(in_channels, skip, out, doubles=larger))
            in_channels = out
        # torch's own start: small, so that no pixel of a first map is saturated.
        self.predict = nn.Conv2d(in_channels, 1, 1)

    def forward(self, features: Tensor, taps: Mapping[str, Tensor], size: torch.Size) -> Tensor:
        """(B, H, W) float32 objectness in [0, 1].

        Args:
            features: (B, in_channels, h, w) of the encoder's end.
            taps: outputs of the encoder's blocks, by their names.
            size: H and W.
        """
        for level, block in enumerate(self.blocks):
            skip = taps[self.skips[level]] if level < len(self.skips) else None
            features = block(features, skip)
        logits = self.predict(features).float()
        return resized(logits, size)[:, 0].sigmoid()


def _changes_size(backbone: type[Backbone], deep: str, shallow: str) -> bool:
    """Whether the resolution of an encoder changes between two of its stages."""
    stages = list(backbone.stage_channels)
    between = stages[stages.index(shallow) : stages.index(deep)]
    return any(name in backbone.blocks for name in between)


def _initialise(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: int) -> None:
    """Kaiming normal over the inputs of an output pixel, bias 0.

    Over the outputs, as in the backbones, a signal would grow at every skip connection: there
    many more channels come in than go out.
    """
    nn.init.normal_(layer.weight, std=math.sqrt(2 / inputs))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def resized(maps: Tensor, size: torch.Size) -> Tensor:
    """(B, C, h, w) to (B, C, *size) bilinearly; untouched if it has that size.

    Only where an encoder does not halve a size exactly is there anything to do.
    """
    if maps.shape[2:] == size:
        return maps
    return F.interpolate(maps, list(size), mode="bilinear", align_corners=False)
