"""Localization by beam search over sub-grids of a feature map (Bency et al. 2016).

Shapes: B batch, K classes, H W size of the input, h w size of the backbone's map, L side of the
map that the fully connected layers take, C channels, N candidates, n wanted classes of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from workloads.backbones.base import Backbone
from workloads.errors import ConfigError
from workloads.methods.base import CropOf, Localization, Method, Targets, maps_for
from workloads.methods.bency.beam_search import Level, Tracks, beam_search
from workloads.methods.bency.region_heat import region_heat, with_central_peak
from workloads.methods.bency.region_scores import Network, on_crops, on_one_map, whole_maps
from workloads.methods.bency.sub_grids import crops, resized_sub_grids
from workloads.methods.classification import class_scores, classification_loss
from workloads.options import Options
from workloads.records import Task


class BencyOptions(Options):
    """The classifier, the search and what becomes of the regions that it finds.

    Attributes:
        adaptation: outputs of the layer with ReLU between the backbone's fully connected layers
            and the last one (F_a of section 3.2; its size is not stated, 2,048 is that of the
            paper which it is taken from). Null leaves it out: section 4.1 says that the last
            layer alone is new.
        output: function from the last layer to scores where an image has several labels. "softmax":
            the classes share one probability (M_b of section 3.2), which is why the neighbours'
            scores have something to give back (equation 2). "sigmoid": each has its own. With a
            single label it is always the softmax.
        strategy: "beam" keeps `beam_width` regions at each level, "greedy" keeps one. "none"
            does not search: a map is the score of the whole image, highest in its centre.
        features: "recompute" crops every kept region from the image and takes its children on
            the map of the crop (equation 5); that costs a pass of the backbone for each. "reuse"
            stays on the map of the whole image.
        crops: what "recompute" cuts regions from. "image": the image, so that a small region
            shows more of its detail than the whole did (equation 5). "input": the network's
            input, which has been scaled down to its size, and the region is blurred as much.
        beam_width: M.
        levels: H. With "reuse" the search ends before, where a region is a single position.
        root_counts: whether the whole image is among the regions whose scores are added; "each
            level" may or may not include the root. It raises the map as a whole. With strategy
            "none" it always is.
        cells: cells of the heat map for each position of the backbone's map, in both directions.
        confidence: the score of a class in an image. "classifier": that of the whole image
            (caption of table 1). "heat": the maximum of the heat map (section 4.2); it needs a
            search for every class, and does not sum to 1 over classes.
    """

    adaptation: int | None = Field(default=2048, gt=0)
    output: Literal["softmax", "sigmoid"] = "softmax"
    strategy: Literal["beam", "greedy", "none"] = "beam"
    features: Literal["recompute", "reuse"] = "recompute"
    crops: Literal["image", "input"] = "image"
    beam_width: int = Field(default=8, gt=0)
    levels: int = Field(default=10, gt=0)
    root_counts: bool = True
    cells: int = Field(default=8, gt=0)
    confidence: Literal["classifier", "heat"] = "classifier"


class Bency(Method):
    """backbone, its fully connected layers, an adaptation layer, linear; and a search on top.

    A candidate is a sub-grid of a feature map, resized to L x L, and has the scores that the
    fully connected layers then give. The search starts with the whole map, of any size: at the
    published input size it is L x L, and resizing changes nothing. Candidates are ranked by the
    logit, or the log of the softmax: the order of the scores, without their saturation.

    With "recompute", at each level: the maps of the crops of all kept regions are computed;
    children are the sub-grids of these that are one position less wide or high; they are ranked
    by their scores there, and the best are cropped at the next level.

    A map is heat: the sum of the scores of the regions that hold a point, as a share of what it
    were if all had score 1 and held it. That is one factor for all images and classes, which
    changes no rank; cut-offs "relative to nothing" are cut-offs on heat.

    Presets:
        paper (the default): what the text says.
        tiny: for the small backbone, and fast: features are reused.
    """

    name: ClassVar[str] = "bency"
    options_type: ClassVar[type[Options]] = BencyOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "tiny": {"adaptation": 128, "features": "reuse"},
    }
    uses_fully_connected: ClassVar[bool] = True
    options: BencyOptions

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: BencyOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        if self._shared and num_classes < 2:
            raise ConfigError(
                "one class alone has always the probability 1 in a softmax; "
                "set method_options.output to sigmoid"
            )
        width = backbone.hidden_channels
        self.adaptation = nn.Sequential()
        if options.adaptation is not None:
            self.adaptation = _adaptation(width, options.adaptation)
            width = options.adaptation
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K)}."""
        return {"logits": self._logits_of_whole(self.backbone(images))}

    def loss(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """{"classification": scalar}: equation 1, or cross-entropy for a single label."""
        logits, labels = outputs["logits"], targets.labels
        if self.task == "multilabel" and self._shared:
            return {"classification": shared_probability_loss(logits, labels)}
        return {"classification": classification_loss(logits, labels, self.task)}

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) and maps of cells * h x cells * w of (B, 3, H, W) normalised images.

        The search covers the whole input, padding included. Crops are cut from the input, for
        there is nothing else.
        """
        return self.localize_cropping(images, extents, _from_inputs(images))

    @property
    def crops_images(self) -> bool:
        """With recomputed features, if crops are those of images."""
        recomputes = self.options.features == "recompute" and self._levels > 0
        return recomputes and self.options.crops == "image"

    def localize_cropping(
        self, images: Tensor, extents: Tensor | None, crop_of: CropOf
    ) -> Localization:
        """`localize` with regions cut from the images, if `crops` says so."""
        crop_of = crop_of if self.crops_images else _from_inputs(images)
        features = self.backbone(images)
        logits = self._logits_of_whole(features)

        def heat_of(wanted: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
            rows = [row for row, labels in enumerate(wanted) for _ in labels]
            tracks = Tracks.of(rows, [label for labels in wanted for label in labels])
            heat = self._heat(self.regions(crop_of, features, logits, tracks), features)
            return np.split(heat, np.cumsum([len(labels) for labels in wanted])[:-1])

        def maps_of(wanted: Sequence[Sequence[int]]) -> list[tuple[Tensor, ...]]:
            return [(_peaked(heat).to(images.device),) for heat in heat_of(wanted)]

        if self.options.confidence == "classifier":
            return Localization(self._scores(logits), maps_of)
        heat = np.stack(heat_of([range(self.num_classes)] * len(images)))
        scores = torch.from_numpy(heat.max(axis=(2, 3))).float()
        maps = torch.stack([_peaked(of_image) for of_image in heat])
        return Localization(scores.to(images.device), maps_for(maps.to(images.device)))

    @torch.inference_mode()
    def regions(
        self, crop_of: CropOf, features: Tensor, logits: Tensor, tracks: Tracks
    ) -> list[Level]:
        """Regions kept at each level of the search, in positions of the map of the whole image.

        Args:
            crop_of: cuts regions from the images.
            features: (B, C, h, w), the maps of the images.
            logits: (B, K), theirs too.
            tracks: images and classes to search.
        """
        network = Network(self.backbone, self._ranks_of, self.backbone.grid)
        reuse = self.options.features == "reuse"
        return beam_search(
            on_one_map(network, features) if reuse else on_crops(network, crop_of, features),
            whole_maps(len(features), *features.shape[2:]),
            self._ranks(logits).cpu().numpy(),
            tracks,
            self._width,
            self._levels,
        )

    def _heat(self, levels: Sequence[Level], features: Tensor) -> NDArray[np.float64]:
        """(T, cells * h, cells * w) heat of each track's regions."""
        # Where there is no other region the root is all there is to show.
        counted = levels if self.options.root_counts or len(levels) == 1 else levels[1:]
        boxes = np.concatenate([level.boxes for level in counted], axis=1)
        ranks = torch.from_numpy(np.concatenate([level.scores for level in counted], axis=1))
        # The inverse of what candidates are ranked by; a region that is not there gives 0.
        scores = ranks.double().exp() if self._shared else ranks.double().sigmoid()
        (height, width), cells = features.shape[2:], self.options.cells
        maps = [
            region_heat(track, weights, height, width, cells)
            for track, weights in zip(boxes, scores.numpy(), strict=True)
        ]
        return np.array(maps).reshape(-1, cells * height, cells * width) / self.most_heat

    @property
    def most_heat(self) -> int:
        """Sum of the scores at a point that lies in every region, if all of them are 1."""
        return max(self.options.root_counts + self._width * self._levels, 1)

    @property
    def _width(self) -> int:
        return 1 if self.options.strategy == "greedy" else self.options.beam_width

    @property
    def _levels(self) -> int:
        return 0 if self.options.strategy == "none" else self.options.levels

    def _logits_of_whole(self, features: Tensor) -> Tensor:
        """(B, C, h, w) maps of images, of any size, to (B, K)."""
        side = self.backbone.grid
        if features.shape[2:] == (side, side):
            return self._logits(features)
        roots = whole_maps(len(features), *features.shape[2:])
        owners = torch.arange(len(features))
        return self._logits(resized_sub_grids(features, owners, roots[:, 1:], side))

    def _logits(self, maps: Tensor) -> Tensor:
        """(N, C, L, L) to (N, K)."""
        hidden = self.backbone.hidden(maps).flatten(1)
        logits: Tensor = self.classifier(self.adaptation(hidden))
        return logits

    def _ranks_of(self, maps: Tensor) -> Tensor:
        return self._ranks(self._logits(maps))

    def _ranks(self, logits: Tensor) -> Tensor:
        """(N, K) logits to float32 numbers in the order of the class scores."""
        return logits.double().log_softmax(dim=1).float() if self._shared else logits.float()

    def _scores(self, logits: Tensor) -> Tensor:
        """(N, K) logits to float32 probabilities."""
        return class_scores(logits, "singlelabel" if self._shared else "multilabel")

    @property
    def _shared(self) -> bool:
        """Whether the scores of an image sum to 1."""
        return self.task == "singlelabel" or self.options.output == "softmax"


def shared_probability_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Equation 1 of (B, K) logits whose softmax shall share 1 among the classes present.

    The cross-entropy of every class on its own, mean over classes and images. The ground truth is
    a probability too: 1 / n for each of n classes present, (B, K) `labels` over their number.
    """
    present = labels / labels.sum(dim=1, keepdim=True).clamp(min=1)
    itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    # The softmax of all other classes together: 1 - p would lose its digits where p is near 1.
    others = logits.unsqueeze(1).masked_fill(itself, -torch.inf).logsumexp(dim=2)
    total = logits.logsumexp(dim=1, keepdim=True)
    return -(present * (logits - total) + (1 - present) * (others - total)).mean()


def _adaptation(inputs: int, outputs: int) -> nn.Sequential:
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.ReLU(inplace=True))


def _from_inputs(images: Tensor) -> CropOf:
    """Crops of (B, 3, H, W) inputs."""
    return partial(crops, images)


def _peaked(heat: NDArray[np.float64]) -> Tensor:
    """(n, H, W) heat to float32 maps, each with its peak in the centre of its hottest region."""
    peaked = np.array([with_central_peak(one) for one in heat]).reshape(heat.shape)
    return torch.from_numpy(peaked).float()
