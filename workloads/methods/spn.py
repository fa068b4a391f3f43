"""SPN: soft proposal networks (Zhu et al. 2017).

Shapes: B batch, C channels, K classes, H W size of the input, h w size of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.datasets.base import Task
from workloads.methods.base import Localization, Targets, chosen
from workloads.methods.classification import (
    Adaptation,
    PooledClassifier,
    class_response,
    class_scores,
)
from workloads.methods.soft_proposal import SoftProposal, SoftProposalOptions, couple
from workloads.options import Options


class SpnOptions(SoftProposalOptions):
    """The layers around the soft proposal; the authors' code for VGG16 and GoogLeNet.

    Attributes:
        channels: of the 3x3 convolution with ReLU between backbone and soft proposal; null
            leaves it out.
        groups: of that convolution.
        dropout: share of pooled features that training sets to 0.
    """

    channels: int | None = Field(default=1024, gt=0)
    groups: int = Field(default=2, gt=0)
    dropout: float = Field(default=0.5, ge=0, lt=1)


class Spn(PooledClassifier):
    """backbone, 3x3 convolution, ReLU, soft proposal, sum over positions, dropout, linear.

    The proposal sums to 1 per image, so the *sum* over positions of the coupled features U * M
    is a mean of U weighted by objectness: what average pooling is to CAM. The map of a class is
    R_c = sum_k w_kc * U_k * M, without the bias (SPN, 3.3).

    Presets:
        paper (the default): what the text says; the stable state, epsilon 0.15 * side.
        authors: their VGG16 code; power iteration with their stopping rule, 0.15 * area. Their
            GoogLeNet code has epsilon 2.1, which is "side" on its 14x14 map.
        tiny: for the small backbone, which is far from overfitting: the soft proposal sees its
            features directly and nothing is dropped. On the embedded benchmark both changes
            raise every metric.
    """

    name: ClassVar[str] = "spn"
    options_type: ClassVar[type[Options]] = SpnOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "authors": {"solver": "power", "epsilon": "area"},
        "tiny": {"channels": None, "dropout": 0.0},
    }

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: SpnOptions
    ) -> None:
        adaptation = Adaptation(backbone.out_channels, options.channels, options.groups)
        super().__init__(backbone, num_classes, task, options, adaptation)
        self.soft_proposal = SoftProposal(options)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K)}."""
        features = self.features(images)
        return {"logits": self._logits(features, self.soft_proposal(features))}

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K), maps (B, K, h, w) and proposals (B, h, w) of normalised images."""
        features = self.features(images)
        proposal: Tensor = self.soft_proposal(features)
        # M has no channels, so it may be applied after the sum over them: K maps, not C.
        maps = couple(class_response(features, self.classifier), proposal)
        return Localization(
            scores=class_scores(self._logits(features, proposal), self.task),
            maps_of=chosen(maps),
            proposal=proposal.float(),
        )

    def _logits(self, features: Tensor, proposal: Tensor) -> Tensor:
        pooled = couple(features, proposal).sum(dim=(2, 3)).to(features.dtype)
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits
