"""Images as a network wants them: scaled and normalised."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InputNormalizer(nn.Module):
    """uint8 (B, S, S, 3) RGB to normalised float32 (B, 3, S, S)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        # A permuted view of NHWC bytes is channels-last already, which convolutions prefer.
        scaled = images.permute(0, 3, 1, 2).float().div_(255)
        return (scaled - self.mean) / self.std
