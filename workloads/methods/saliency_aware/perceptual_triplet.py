"""Perceptual triplet loss: foreground like the image, background unlike it (Chen et al. 2019).

Shapes: B batch, C channels, H W size of the input.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor, nn

from workloads.backbones.base import Backbone

HiddenColour = Literal["mean", "black"]


class Perceptual(nn.Module):
    """A frozen network that says how different an image is from its foreground (section 2.3).

    The network is never trained: its parameters have no gradient and it stays in eval mode.

    Attributes:
        network: its features are the mean over positions of its last map.
    """

    scale: Tensor
    shift: Tensor
    hidden: Tensor

    def __init__(
        self, network: Backbone, encoder: type[Backbone], hidden_colour: HiddenColour
    ) -> None:
        """`encoder`: for whose input images are normalised."""
        super().__init__()
        self.network = network.requires_grad_(False)
        self.train(False)
        mean, std = _channels(network.mean), _channels(network.std)
        black = -mean / std
        constants = {
            "scale": _channels(encoder.std) / std,
            "shift": (_channels(encoder.mean) - mean) / std,
            "hidden": black if hidden_colour == "black" else torch.zeros_like(black),
        }
        for name, values in constants.items():
            self.register_buffer(name, values, persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode: batch normalisation must neither learn nor mix images."""
        return super().train(False)

    def forward(self, images: Tensor, saliency: Tensor) -> tuple[Tensor, Tensor]:
        """d_pos and d_neg of equations 6 and 7, (B,) float32 each.

        x_f = D * x shows the foreground, x_b = (1 - D) * x the background (equations 3, 4).

        Args:
            images: (B, 3, H, W) x, normalised for the encoder.
            saliency: (B, H, W) D in [0, 1]; the gradient goes to it.
        """
        images = images * self.scale + self.shift
        shown = saliency[:, None]
        foreground = shown * images + (1 - shown) * self.hidden
        background = (1 - shown) * images + shown * self.hidden
        with torch.no_grad():
            whole = self._features(images)
        parts = self._features(torch.cat([foreground, background]))
        front, back = parts.chunk(2)
        return _distance(whole, front), _distance(front, back)

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(images).float().mean(dim=(2, 3))
        return features


def triplet_loss(positive: Tensor, negative: Tensor, margin: float | None) -> Tensor:
    """Scalar mean over the batch of d_pos - d_neg, which falls as the text of section 2.3 wants.

    Equation 5 is printed with the opposite sign, d_neg - d_pos; to minimise that would make the
    foreground unlike the image.

    Args:
        positive, negative: (B,) d_pos and d_neg.
        margin: None as in the text, without an end; else max(0, d_pos - d_neg + margin), which
            leaves an image alone once its background is that much further away.
    """
    difference = positive - negative
    if margin is not None:
        difference = (difference + margin).clamp(min=0)
    return difference.mean()


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """(B, C) features to (B,) squared L2 distances over C."""
    return (one - other).square().mean(dim=1)


def _channels(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
