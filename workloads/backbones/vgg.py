"""VGG16 (Simonyan and Zisserman 2015), as the papers cut it.

Shapes: B batch, H W size of the input.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg16

from workloads.backbones.base import Backbone, Stage
from workloads.backbones.fully_connected import hidden_layers, slide
from workloads.backbones.initialisation import initialise

# Layers of torchvision's `features` that a stage begins with; a stage ends before the next one's.
STARTS = {
    "conv1_1": 0, "conv1_2": 2,
    "conv2_1": 4, "conv2_2": 7,
    "conv3_1": 9, "conv3_2": 12, "conv3_3": 14,
    "conv4_1": 16, "conv4_2": 19, "conv4_3": 21,
    "conv5_1": 23, "conv5_2": 26, "conv5_3": 28,
}  # fmt: skip
CHANNELS = (64, 128, 256, 512, 512)


class Vgg16(Backbone):
    """torchvision's VGG16 up to the last ReLU: stride 16, 14x14 at 224, 512 channels.

    With its fully connected layers: one pooling more, 7x7 at 224, and fc6, fc7 of 4,096 channels.
    A stage is a convolution with its ReLU; pooling opens the next stage. Weights are random until
    `load_weights` is called.
    """

    name: ClassVar[str] = "vgg16"
    out_channels: ClassVar[int] = 512
    stride: ClassVar[int] = 16
    input_size: ClassVar[int] = 224
    stage_channels: ClassVar = {name: CHANNELS[int(name[4]) - 1] for name in STARTS}
    blocks = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
    guidance = ("conv4_3", "conv5_3")
    has_fully_connected: ClassVar[bool] = True
    grid: ClassVar[int] = 7
    hidden_channels: ClassVar[int] = 4096

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        # On the meta device the 120 million weights of the classifier, dropped at once, are
        # never allocated.
        with torch.device("meta"):
            layers = vgg16(weights=None).features
        layers = layers if fully_connected else layers[:-1]
        self.features: nn.Sequential = layers.to_empty(device="cpu")
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                initialise(layer)
        if fully_connected:
            self.classifier = hidden_layers(self, "0", "3")

    def stages(self) -> dict[str, Stage]:
        """One for each convolution."""
        ends = [*STARTS.values(), len(self.features)][1:]
        return {
            name: self.features[start:end]
            for (name, start), end in zip(STARTS.items(), ends, strict=True)
        }

    def hidden(self, features: Tensor) -> Tensor:
        """fc6 and fc7, each with ReLU and dropout, over every 7x7 window."""
        if not self.fully_connected:
            return super().hidden(features)
        for layer, side in zip(self.classifier.values(), (self.grid, 1), strict=True):
            features = F.dropout(F.relu(slide(layer, features, side)), 0.5, self.training)
        return features

    def weights(self) -> str | None:
        """torchvision's name for the ImageNet weights that the papers start from."""
        return "VGG16_Weights.IMAGENET1K_V1"

    def ignored_weights(self) -> frozenset[str]:
        """The classifier; with fully connected layers, its last layer alone."""
        layers = (6,) if self.fully_connected else (0, 3, 6)
        return frozenset(f"classifier.{n}.{kind}" for n in layers for kind in ("weight", "bias"))
