"""VGG16 without its last max-pool (Zhou et al., CAM; SPN, section 4).

Shapes: B batch, H W size of the input.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models import vgg16

from workloads.backbones.base import Backbone
from workloads.backbones.initialisation import initialise


class Vgg16(Backbone):
    """torchvision's VGG16 features up to the last ReLU: stride 16, 14x14 at 224, 512 channels.

    Parameter names are torchvision's own (`features.0.weight` to `features.28.bias`), so that
    its files load without renaming. Weights are random until `load_weights` is called.
    """

    name: ClassVar[str] = "vgg16"
    out_channels: ClassVar[int] = 512
    stride: ClassVar[int] = 16
    input_size: ClassVar[int] = 224
    ignored_weights: ClassVar[tuple[str, ...]] = tuple(
        f"classifier.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias")
    )

    def __init__(self) -> None:
        super().__init__()
        # On the meta device the 120 million weights of the classifier, dropped at once, are
        # never allocated.
        with torch.device("meta"):
            layers = vgg16(weights=None).features[:-1]
        self.features: nn.Sequential = layers.to_empty(device="cpu")
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                initialise(layer)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, 512, H // 16, W // 16), at least 0."""
        features: Tensor = self.features(images)
        return features

    def weights(self) -> str | None:
        """torchvision's name for the ImageNet weights that the papers start from."""
        return "VGG16_Weights.IMAGENET1K_V1"
