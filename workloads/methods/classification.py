"""Base of the methods with a linear classifier over pooled features.

Shapes: B batch, C channels, H W map size, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.backbones.initialisation import initialise
from workloads.errors import ConfigError
from workloads.methods.base import Method, Targets
from workloads.options import Options
from workloads.records import Task


def classification_loss(logits: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Scalar loss of a batch, mean over images.

    Multi-label: soft margin, mean over classes. Single-label: cross-entropy.

    Args:
        logits: (B, K).
        labels: (B, K) float, 1 for present classes, else 0. With a single label, an image
            without any (only difficult objects) adds 0.
    """
    if task == "multilabel":
        return F.multilabel_soft_margin_loss(logits, labels)
    return F.cross_entropy(logits, labels)


def class_scores(logits: Tensor, task: Task) -> Tensor:
    """(B, K) logits to (B, K) float32 probabilities: sigmoid, or softmax for a single label."""
    logits = logits.float()
    return logits.sigmoid() if task == "multilabel" else logits.softmax(dim=1)


def class_response(features: Tensor, classifier: nn.Linear) -> Tensor:
    """(B, C, H, W) features to (B, K, H, W) responses: class weights at every position, no bias.

    The bias raises a whole map and says nothing about where.
    """
    return F.conv2d(features, classifier.weight[:, :, None, None])


class Adaptation(nn.Sequential):
    """The convolution between backbone and classifier: 3x3, padding 1, bias, then ReLU.

    Attributes:
        out_channels: channels that leave it.

    Raises:
        ConfigError: `groups` does not divide the channels that enter or leave.
    """

    def __init__(self, in_channels: int, channels: int | None, groups: int = 1) -> None:
        """`channels` None leaves the layer out: the classifier sees the backbone's features."""
        super().__init__()
        self.out_channels = in_channels if channels is None else channels
        if channels is None:
            return
        if in_channels % groups or channels % groups:
            raise ConfigError(
                f"groups {groups} must divide the {in_channels} channels of the backbone and "
                f"the {channels} of option 'channels'; change one of the two options"
            )
        convolution = nn.Conv2d(in_channels, channels, 3, padding=1, groups=groups)
        self.append(initialise(convolution))
        self.append(nn.ReLU(inplace=True))


class PooledClassifier(Method):
    """Base of methods of the form: backbone, adaptation, some pooling, linear classifier."""

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        task: Task,
        options: Options,
        adaptation: Adaptation,
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        self.adaptation = adaptation
        self.classifier = nn.Linear(adaptation.out_channels, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, C, h, w) features before pooling, at least 0."""
        features: Tensor = self.adaptation(self.backbone(images))
        return features

    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """{"classification": scalar}, see `classification_loss`."""
        loss = classification_loss(outputs["logits"], targets.labels, self.task)
        return {"classification": loss}
