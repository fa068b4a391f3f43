"""CAM: class activation maps by global average pooling (Zhou et al. 2016), the baseline.

Shapes: B batch, K classes, H W size of the input, h w size of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from workloads.backbones.base import Backbone
from workloads.methods.base import Localization, Targets, maps_for
from workloads.methods.classification import (
    Adaptation,
    PooledClassifier,
    class_response,
    class_scores,
)
from workloads.options import Options
from workloads.records import Task


class CamOptions(Options):
    """Options of the layers between backbone and classifier.

    Attributes:
        channels: width of the 3x3 convolution with ReLU after the backbone (1024 in the paper's
            VGG16); null leaves it out.
    """

    channels: int | None = Field(default=1024, gt=0)


class Cam(PooledClassifier):
    """backbone, 3x3 convolution, ReLU, mean over positions, linear.

    The map of a class is sum_k w_kc * U_k at every position, without the bias.

    Presets:
        paper (the default): the paper's VGG16.
        tiny: for the small backbone; the classifier sees its features directly, as in SPN's
            preset of that name, so that the two differ in the soft proposal alone.
    """

    name: ClassVar[str] = "cam"
    options_type: ClassVar[type[Options]] = CamOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "tiny": {"channels": None},
    }

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: CamOptions
    ) -> None:
        adaptation = Adaptation(backbone.out_channels, options.channels)
        super().__init__(backbone, num_classes, task, options, adaptation)

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K)}."""
        return {"logits": self._logits(self.features(images))}

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) and maps of h x w of (B, 3, H, W) normalised images."""
        features = self.features(images)
        return Localization(
            scores=class_scores(self._logits(features), self.task),
            maps_of=maps_for(class_response(features, self.classifier)),
        )

    def _logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits
