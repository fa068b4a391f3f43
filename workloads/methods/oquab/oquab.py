"""Max-pooling over the windows of a sliding network (Oquab et al. 2015).

Shapes: B batch, K classes, H W size of the input, n m windows in both directions, h w map size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.errors import ConfigError
from workloads.methods.base import OPTIMISATION, Localization, Method, Need, SearchSpace, Targets
from workloads.methods.centre_point import cone
from workloads.methods.classification import class_scores, classification_loss
from workloads.methods.multiscale import Scale, rescale, resize
from workloads.methods.oquab.scan import Scan, highest_map
from workloads.methods.oquab.windows import Inside, Placement, Windows
from workloads.options import Options
from workloads.records import Task
from workloads.space import Choice, Range, Space


class OquabOptions(Options):
    """The layers, the search over positions and scales, and the variants of the paper's tables.

    Attributes:
        channels: width of the adaptation layer Ca, a 1x1 convolution with ReLU after fc7.
        dropout: share of its outputs that training sets to 0.
        freeze: keep the backbone (C1 to C7) as it is: no gradients, no dropout, no updates of
            normalisation statistics (section 4).
        reduction: over classes, of the loss of multi-label data: "sum" (equation 1) or "mean". Both
            take the mean over images. Single-label data have the cross-entropy, which the paper
            does not use.
        train_scales: least and greatest scale of a training batch, drawn uniformly once for the
            whole batch; null trains at scale 1.
        test_scales: scales of the input that are searched outside of training.
        pooling: "max" takes each class's best window. "masked" trains with boxes: for a class
            that is present, the best window of those with their centre in one of its boxes
            (row I of table 2); outside of training it is "max". "full" shows the whole input to
            one window, without any search (rows F and H): scales are not used, and the location is
            the middle of the image, which is the window's.
        suppress_outside: with "masked", also lower the best window outside of the boxes of each
            class that is present (section 5, "consistently worse").
        inside: windows of a padded image that count: "centre" those with their centre on the
            image, "window" those that lie on it whole. One always counts. The paper does not say.
        placement: layout of a map of scores on the image: "stretch" rescales it to the size
            of the image ("simple interpolation", section 6), which moves outer windows outwards,
            the more so the fewer there are; "centres" puts each score at its window's centre.
        location: "map", or "centre": maps with their peak in the middle of the image, scores as
            ever (row K of table 2).
    """

    channels: int = Field(default=2048, gt=0)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    freeze: bool = True
    reduction: Literal["sum", "mean"] = "sum"
    train_scales: tuple[Scale, Scale] | None = (0.7, 1.4)
    test_scales: tuple[Scale, ...] = Field(default=(0.5, 0.7, 1.0, 1.4, 2.0, 2.8), min_length=1)
    pooling: Literal["max", "masked", "full"] = "max"
    suppress_outside: bool = False
    inside: Inside = "centre"
    placement: Placement = "stretch"
    location: Literal["map", "centre"] = "map"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.train_scales is not None and self.train_scales[0] > self.train_scales[1]:
            raise ValueError("train_scales: the least comes first, then the greatest")
        if self.suppress_outside and self.pooling != "masked":
            raise ValueError("suppress_outside needs pooling 'masked'")
        return self


class Oquab(Method):
    """Backbone with fc6 and fc7 as convolutions, 1x1 convolution, ReLU, 1x1 convolution, max.

    An image's score of a class is the mean over scales of the best raw score at each scale
    (section 4, "Classification"). Its map is the maximum over scales of the maps of scores
    (section 6). Outside of training `forward` searches the test scales too.

    Presets:
        paper (the default): what the text says.
        tiny: for the small backbone, trained whole on images of 64x64 with objects of 12 to 36
            pixels, where its window is 32. On the embedded benchmark "centres" and scales from 1
            to 2 point best; with "sum" the learning rate of its recipes is too high by far.
    """

    name: ClassVar[str] = "oquab"
    options_type: ClassVar[type[Options]] = OquabOptions
    uses_fully_connected: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "tiny": {
            "channels": 128,
            "dropout": 0.0,
            "freeze": False,
            "reduction": "mean",
            "test_scales": (1.0, 1.4, 2.0),
            "placement": "centres",
        },
    }
    search_space: ClassVar[SearchSpace] = SearchSpace(
        Space(
            {
                **OPTIMISATION,
                "dropout": Range(0.0, 0.7),
                "train_scales": Choice((None, (0.85, 1.2), (0.7, 1.4), (0.5, 2.0))),
            }
        )
    )

    options: OquabOptions

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: OquabOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        backbone.requires_grad_(not options.freeze)
        self.adaptation = nn.Sequential(
            _keeping_size(nn.Conv2d(backbone.hidden_channels, options.channels, 1)),
            nn.ReLU(inplace=True),
            nn.Dropout(options.dropout),
        )
        self.classifier = nn.Conv2d(options.channels, num_classes, 1)
        self.windows = Windows.of(backbone)

    @property
    def needs(self) -> frozenset[Need]:
        """Boxes for "masked" pooling, which is object-level supervision."""
        return frozenset({"boxes"} if self.options.pooling == "masked" else ())

    def train(self, mode: bool = True) -> Self:
        """A frozen backbone stays in eval mode."""
        super().train(mode)
        if self.options.freeze:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K)}.

        With `suppress_outside` also {"outside": (B, K)}, the best score of the windows outside
        of the boxes of each class that is present; -inf where there is no such window.

        Raises:
            ConfigError: pooling "masked" is trained without boxes.
        """
        extents = None if targets is None else targets.extents
        if not self.training:
            return {"logits": _mean_of_best(self._scans(images, extents))}
        scan = self._scan(self._drawn(images), extents)
        if self.options.pooling != "masked":
            return {"logits": scan.best()}
        in_boxes = self._in_boxes(scan, images, targets)
        restricted = in_boxes.flatten(2).any(dim=2)[:, :, None, None]
        outputs = {"logits": scan.best(torch.where(restricted, in_boxes, scan.counts))}
        if self.options.suppress_outside:
            outputs["outside"] = scan.best(restricted & scan.counts & ~in_boxes)
        return outputs

    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """{"classification": scalar}, equation 1, and "outside" with `suppress_outside`."""
        classification = classification_loss(outputs["logits"], targets.labels, self.task)
        terms = {"classification": classification}
        if "outside" in outputs:
            terms["outside"] = F.softplus(outputs["outside"]).mean()
        summed = self.task == "multilabel" and self.options.reduction == "sum"
        return {name: term * self.num_classes if summed else term for name, term in terms.items()}

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) and maps of (B, 3, H, W) normalised images, see `highest_map`."""
        scans = self._scans(images, extents)
        shares = [(1.0, 1.0)] * len(images) if extents is None else extents.tolist()

        def map_of(row: int, labels: Sequence[int]) -> Tensor:
            if self._in_the_middle:
                # A single window has no middle one, so there are three cells at least.
                rows, columns = (max(3, *(s.scores.shape[axis] for s in scans)) for axis in (2, 3))
                middle = cone(rows, columns, shares[row]).to(images.device)
                return middle.expand(len(labels), -1, -1)
            placement = self.options.placement
            return highest_map(scans, self.windows, placement, row, labels, shares[row])

        return Localization(
            scores=class_scores(_mean_of_best(scans), self.task),
            maps_of=lambda wanted: [(map_of(row, some),) for row, some in enumerate(wanted)],
        )

    @property
    def _in_the_middle(self) -> bool:
        return self.options.location == "centre" or self.options.pooling == "full"

    def _drawn(self, images: Tensor) -> Tensor:
        """A training batch at its scale."""
        if self.options.pooling == "full":
            return self._in_one_window(images)
        if self.options.train_scales is None:
            return images
        low, high = self.options.train_scales
        return rescale(images, low + (high - low) * torch.rand(()).item())

    def _scans(self, images: Tensor, extents: Tensor | None) -> list[Scan]:
        """One at every test scale."""
        if self.options.pooling == "full":
            return [self._scan(self._in_one_window(images), extents)]
        return [self._scan(rescale(images, s), extents) for s in self.options.test_scales]

    def _in_one_window(self, images: Tensor) -> Tensor:
        return resize(images, self.windows.side, self.windows.side)

    def _scan(self, scaled: Tensor, extents: Tensor | None) -> Scan:
        features = self.backbone(self.windows.fill(scaled))
        scores = self.classifier(self.adaptation(self.backbone.hidden(features)))
        height, width = scaled.shape[2:]
        pixels, positions = scaled.new_tensor([height, width]), scores.shape[2:]
        seen = pixels.expand(len(scaled), 2) if extents is None else pixels * extents
        limit = torch.tensor(positions, device=scaled.device)
        return Scan(scores, (height, width), self.windows.inside(seen, limit, self.options.inside))

    def _in_boxes(self, scan: Scan, images: Tensor, targets: Targets | None) -> Tensor:
        """(B, K, n, m), windows in boxes of each class; none for classes that are absent."""
        if targets is None or targets.boxes is None:
            raise ConfigError("method oquab: pooling 'masked' needs boxes in training; use 'max'")
        height, width = (p / side for p, side in zip(scan.pixels, images.shape[2:], strict=True))
        scale = images.new_tensor([width, height, width, height, 1.0])
        positions = (scan.scores.shape[2], scan.scores.shape[3])
        masks = [
            self.windows.in_boxes(boxes * scale, inside, positions, self.num_classes)
            for boxes, inside in zip(targets.boxes, scan.inside, strict=True)
        ]
        return torch.stack(masks) & scan.counts & (targets.labels > 0)[:, :, None, None]


def _mean_of_best(scans: Sequence[Scan]) -> Tensor:
    """(B, K) logits."""
    return torch.stack([scan.best() for scan in scans]).mean(dim=0)


def _keeping_size(convolution: nn.Conv2d) -> nn.Conv2d:
    """Kaiming normal over the inputs, which leaves the size of what passes a ReLU as it is.

    Over the outputs it grows where channels become fewer. The best of all windows lies far out
    anyway, and training then stands still for some seeds.
    """
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
