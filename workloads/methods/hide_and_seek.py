"""Hide-and-Seek: CAM trained on images of which random patches are hidden (Singh and Lee 2017).

Shapes: B batch, K classes, H W size of the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from workloads.backbones.base import IMAGENET_MEAN, Backbone
from workloads.methods.base import OPTIMISATION, SearchSpace, Targets
from workloads.methods.cam import Cam, CamOptions
from workloads.options import Options
from workloads.records import Task
from workloads.space import Choice, Range, Space

Side = Annotated[int, Field(ge=0)]
_SMALL = (0, 5, 9, 13, 16)


class HideAndSeekOptions(CamOptions):
    """Patches that are hidden in training (section 3).

    Attributes:
        patch_px: sides of the patches in pixels of the input, of which each image of each step
            draws one; 0 stands for an image without a hidden patch. The sides are meant for
            inputs of 224. One side alone is a row "HaS-32" or "HaS-44" of the paper's table, the
            default is its "HaS-Mixed".
        hide_probability: probability of hiding each patch, on its own.
    """

    patch_px: tuple[Side, ...] = Field(default=(0, 16, 32, 44, 56), min_length=1)
    hide_probability: float = Field(default=0.5, ge=0, le=1)


class HideAndSeek(Cam):
    """CAM's network; in training, patches of the image are hidden from it.

    Hidden pixels get the mean colour of ImageNet's training images, so that the first layer is
    expected to answer as it does to whole images (section 3). That is 0 where inputs are
    normalised by it, and another colour than 0 where they are merely scaled to [-1, 1].

    Presets:
        paper (the default): drawn from the paper's four sides and none.
        tiny: the same shares of a 64x64 image, on CAM's network of that preset.
    """

    name: ClassVar[str] = "hide-and-seek"
    options_type: ClassVar[type[Options]] = HideAndSeekOptions
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {},
        "tiny": {**Cam.presets["tiny"], "patch_px": _SMALL},
    }
    search_space: ClassVar[SearchSpace] = SearchSpace(
        Space(
            {
                **OPTIMISATION,
                # The rows of the paper's table, and the mix for small inputs.
                "patch_px": Choice(((16,), (32,), (44,), (56,), (0, 16, 32, 44, 56), _SMALL)),
                "hide_probability": Range(0.25, 0.75),
            }
        )
    )

    def __init__(
        self, backbone: Backbone, num_classes: int, task: Task, options: HideAndSeekOptions
    ) -> None:
        super().__init__(backbone, num_classes, task, options)
        self.patch_px = options.patch_px
        self.hide_probability = options.hide_probability
        channels = zip(IMAGENET_MEAN, backbone.mean, backbone.std, strict=True)
        self.hidden_colour = tuple((colour - mean) / std for colour, mean, std in channels)

    def forward(self, images: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised images to {"logits": (B, K)}; hides patches in training only."""
        if self.training:
            hidden = hidden_patches(images, self.patch_px, self.hide_probability)
            colour = images.new_tensor(self.hidden_colour).view(1, 3, 1, 1)
            images = torch.where(hidden.unsqueeze(1), colour, images)
        return super().forward(images, targets)


def hidden_patches(images: Tensor, sides: Sequence[int], probability: float) -> Tensor:
    """Mask of hidden pixels, drawn from torch's global generator.

    The grid starts at the top left; patches at the right and lower edge may be cut off.

    Args:
        images: (B, 3, H, W); only shape and device are looked at.
        sides: sides of patches, of which each image draws one; 0 hides nothing.
        probability: chance of each patch to be hidden.

    Returns:
        (B, H, W) bool.
    """
    batch, _, height, width = images.shape
    device = images.device
    drawn = torch.randint(len(sides), (batch,), device=device)
    side = torch.tensor(sides, device=device)[drawn].view(batch, 1, 1)
    # As many draws as the finest grid has patches; coarser ones use the first of them.
    finest = min((s for s in sides if s), default=1)
    rows, columns = -(-height // finest), -(-width // finest)
    hidden = torch.rand(batch, rows, columns, device=device) < probability
    step = side.masked_fill(side == 0, max(height, width))
    y = torch.arange(height, device=device).view(1, -1, 1) // step
    x = torch.arange(width, device=device).view(1, 1, -1) // step
    image = torch.arange(batch, device=device).view(-1, 1, 1)
    return hidden[image, y, x] & (side > 0)
