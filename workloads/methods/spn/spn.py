"""SPN: soft proposal networks (Zhu et al. 2017).

Shapes: B batch, C channels, K classes, H W size of the input, h w size of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn

from workloads.backbones.base import Backbone, check_stages
from workloads.methods.base import OPTIMISATION, Localization, SearchSpace, Targets, maps_for
from workloads.methods.classification import (
    Adaptation,
    PooledClassifier,
    class_response,
    class_scores,
)
from workloads.methods.multiscale import Scale, rescale
from workloads.methods.spn.soft_proposal import SoftProposal, SoftProposalOptions, couple
from workloads.options import Options
from workloads.records import Task
from workloads.space import Choice, Range, Space


class SpnOptions(SoftProposalOptions):
    """The layers around the soft proposal; the authors' code for VGG16 and GoogLeNet.

    Attributes:
        channels: width of the 3x3 convolution with ReLU between backbone and soft proposal; null
            leaves it out.
        groups: groups of that convolution.
        dropout: share of pooled features that training sets to 0. The text does not speak of it;
            the released VGG16 has 0.5, the released GoogLeNet none.
        after: name of the backbone's stage after which the soft proposal stands ("after any CNN
            layer", 3.1); null puts it last, after the convolution. In the middle the features
            are multiplied by N * M, which is 1 on average, so that the layers that follow see
            features of the size they are used to; what reaches the end is averaged. It compares
            every pair of positions, so early stages are costly.
        scales: input scales, searched outside of training. Scores are those of the mean logits;
            every scale has its own maps, and the first one's are the main ones.
        align_corners: bring inputs to these scales so that the centres of their corner pixels
            meet, without antialiasing, as the released code does with torch of its time.
    """

    channels: int | None = Field(default=1024, gt=0)
    groups: int = Field(default=2, gt=0)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    after: str | None = None
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1)
    align_corners: bool = False


class Seen(NamedTuple):
    """Features and soft proposal of a batch before the classifier.

    Attributes:
        features: (B, C, h, w).
        shares: (B, h, w), how much each position counts in the pooling; they sum to 1.
        proposal: (B, h', w') of the soft proposal, at the stage where it stands.
    """

    features: Tensor
    shares: Tensor
    proposal: Tensor


class Spn(PooledClassifier):
    """backbone, 3x3 convolution, ReLU, soft proposal, sum over positions, dropout, linear.

    The proposal sums to 1 per image, so the *sum* over positions of the coupled features U * M
    is a mean of U weighted by objectness: what average pooling is to CAM. The map of a class is
    R_c = sum_k w_kc * U_k * M, without the bias (SPN, 3.3).

    Presets:
        paper (the default): what the text says; the stable state, epsilon 0.15 * side.
        authors: their VGG16 code; power iteration with their stopping rule, 0.15 * area; inputs and
            maps are resized with aligned corners.
        authors-googlenet: their GoogLeNet code; epsilon 2.1, which is "side" on its 14x14 map, and
            nothing is dropped; else as `authors`.
        tiny: for the small backbone, which is far from overfitting: the soft proposal sees its
            features directly and nothing is dropped. On the embedded benchmark both changes
            raise every metric.
    """

    name: ClassVar[str] = "spn"
    options_type: ClassVar[type[Options]] = SpnOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "authors": {"solver": "power", "epsilon": "area", "align_corners": True},
        "authors-googlenet": {
            "solver": "power",
            "epsilon": 2.1,
            "dropout": 0.0,
            "align_corners": True,
        },
        "tiny": {"channels": None, "dropout": 0.0},
    }
    preset_cutoffs: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        "authors": {"align_corners": True},
        "authors-googlenet": {"align_corners": True},
    }
    search_space: ClassVar[SearchSpace] = SearchSpace(
        Space(
            {
                **OPTIMISATION,
                # The paper's, that of the authors' VGG16, and reaches in map positions, among them
                # that of their GoogLeNet.
                "epsilon": Choice(("side", "area", 1.0, 2.1, 4.0)),
                "dropout": Range(0.0, 0.7),
            }
        )
    )

    options: SpnOptions

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: SpnOptions
    ) -> None:
        if options.after is not None:
            check_stages(type(backbone), [options.after])
        adaptation = Adaptation(backbone.out_channels, options.channels, options.groups)
        super().__init__(backbone, num_classes, task, options, adaptation)
        self.soft_proposal = SoftProposal(options)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K)}.

        In training at scale 1, else the mean over `scales`.
        """
        scales = (1.0,) if self.training else self.options.scales
        return {"logits": self._logits([self._see(self._at_scale(images, s)) for s in scales])}

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K), maps of h x w of each scale, and proposals (B, h', w') of the first."""
        seen = [self._see(self._at_scale(images, scale)) for scale in self.options.scales]
        # Shares have no channels, so they may be applied after the sum over them: K maps, not C.
        maps = [couple(class_response(s.features, self.classifier), s.shares) for s in seen]
        return Localization(
            scores=class_scores(self._logits(seen), self.task),
            maps_of=maps_for(*maps),
            proposal=seen[0].proposal.float(),
        )

    def _at_scale(self, images: Tensor, scale: float) -> Tensor:
        return rescale(images, scale, align_corners=self.options.align_corners)

    def _see(self, images: Tensor) -> Seen:
        if self.options.after is None:
            features = self.features(images)
            proposal: Tensor = self.soft_proposal(features)
            return Seen(features, proposal, proposal)
        for name, stage in self.backbone.stages().items():
            images = stage(images)
            if name == self.options.after:
                proposal = self.soft_proposal(images)
                images = couple(images, proposal * proposal[0].numel()).to(images.dtype)
        features = self.adaptation(images)
        shares = torch.full_like(features[:, 0], 1 / features[0, 0].numel(), dtype=proposal.dtype)
        return Seen(features, shares, proposal)

    def _logits(self, seen: Sequence[Seen]) -> Tensor:
        """(B, K), mean over scales."""
        logits = []
        for features, shares, _ in seen:
            pooled = couple(features, shares).sum(dim=(2, 3)).to(features.dtype)
            logits.append(self.classifier(self.dropout(pooled)))
        return torch.stack(logits).mean(dim=0)
