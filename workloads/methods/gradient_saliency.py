"""Gradient saliency: which pixels move the score of a class (Simonyan et al. 2013, section 3).

Shapes: B batch, K classes, H W size of the input, h w size of the map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from workloads.backbones.base import Backbone
from workloads.methods.base import Localization
from workloads.methods.classification import class_scores
from workloads.methods.explained import (
    ExplainedClassifier,
    ExplainedOptions,
    maps_from_gradients,
)
from workloads.options import Options
from workloads.records import Task

# A Gaussian is cut off at this many standard deviations.
GAUSSIAN_REACH = 3


class GradientOptions(ExplainedOptions):
    """Smoothing and resolution of the gradient's magnitudes; the paper changes neither.

    Attributes:
        smoothing: standard deviation of a Gaussian over the map, as a share of the input's longer
            side; 0 for none. Boxes and points of the raw map follow single pixels; pointing games
            smooth by about 0.02.
        cell_px: side of the squares of pixels whose mean is stored as one value of the map; 1
            keeps the resolution of the input, which takes 200 KB per class at 224 pixels.
    """

    smoothing: float = Field(default=0.0, ge=0, lt=1)
    cell_px: int = Field(default=1, gt=0)


class Gradient(ExplainedClassifier):
    """The map of class c is max over colour channels of |d S_c / d image| (section 3.1).

    S_c is the score before the sigmoid or softmax, the image the network's normalised input.

    Presets:
        paper (the default): the network's own head, and the gradient as it is.
        pointing: smoothed, as pointing games do it.
        tiny: for the small backbone; CAM's network of that preset. Smoothed, and stored at the
            resolution of CAM's map.
    """

    name: ClassVar[str] = "gradient-saliency"
    options_type: ClassVar[type[Options]] = GradientOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "pointing": {"smoothing": 0.02},
        "tiny": {"head": "gap", "smoothing": 0.03, "cell_px": 4},
    }

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: GradientOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        self.smoothing = options.smoothing
        self.cell_px = options.cell_px

    def localize(self, images: Tensor, extents: Tensor | None = None) -> Localization:
        """Scores (B, K) of (B, 3, H, W) normalised images; maps of h x w, at least 0, on demand."""
        height, width = images.shape[2:]
        size = math.ceil(height / self.cell_px), math.ceil(width / self.cell_px)

        def saliency(_: Tensor, slopes: Tensor) -> Tensor:
            sharp = slopes.abs().amax(dim=1)
            sigma = self.smoothing * max(height, width)
            return F.adaptive_avg_pool2d(gaussian_smooth(sharp, sigma) if sigma else sharp, size)

        maps_of = partial(maps_from_gradients, self._logits_and_images, images, saliency, size)
        return Localization(class_scores(self.logits(images), self.task), maps_of)

    def _logits_and_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.logits(images), images


def gaussian_smooth(maps: Tensor, sigma: float) -> Tensor:
    """(B, H, W) maps, smoothed by a Gaussian; beyond the edge the outermost values go on.

    Args:
        sigma: its standard deviation in positions, above 0.
    """
    reach = math.ceil(GAUSSIAN_REACH * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    padded = F.pad(maps.unsqueeze(1), (reach,) * 4, mode="replicate")
    across = F.conv2d(padded, weights.view(1, 1, 1, -1))
    return F.conv2d(across, weights.view(1, 1, -1, 1)).squeeze(1)
