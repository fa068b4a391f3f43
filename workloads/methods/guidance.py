"""Masks of SPG: where is surely object, where surely background, what is undecided (SPG, 3.2).

Pure functions from confidences to masks (equation 1) and from masks to a loss. No gradient flows
through a mask.

Shapes: B batch, K classes, P pairs of an image and a class present in it, h w size of a class
map, H W size of a mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BACKGROUND, OBJECT, IGNORED = 0, 1, 255

# Maps whose values span less than this are divided by it: rounding noise is no attention.
LEAST_RANGE = 1e-6
# The released code's remedy for images with hardly an object pixel: 0.7 times the map's maximum,
# if there are fewer than `min_object` of them in a mask of 224 x 224.
RELATIVE_HIGH = 0.7
REFERENCE_AREA = 224 * 224


def resize(maps: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """(B, h, w) maps to (B, H, W), bilinear; maps of that size already are returned as they are."""
    if maps.shape[1:] == size:
        return maps
    inputs = maps.unsqueeze(1)
    return F.interpolate(inputs, size, mode="bilinear", align_corners=align_corners).squeeze(1)


def min_max(maps: Tensor) -> Tensor:
    """(P, H, W) maps of any range to [0, 1], each on its own; a constant map to 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=LEAST_RANGE)


@torch.no_grad()
def labelled_attention(
    class_maps: Tensor, labels: Tensor, size: tuple[int, int], align_corners: bool
) -> Tensor:
    """Attention to the labelled class O (SPG, algorithm 1, line 3); any number of labels.

    With several labels it is the pixelwise maximum of their maps, each normalised on its own:
    the objects of every present class are seeds, however weak its map is beside the others.

    Args:
        class_maps: (B, K, h, w) float, any range.
        labels: (B, K), above 0 for present classes.
        size: H, W. Maps are resized first and normalised afterwards, as in the released code.

    Returns:
        (B, H, W) in [0, 1]. The maximum of an image is 1, or less if it says nothing: without a
        label, or with maps only that are constant but for rounding noise.
    """
    images, classes = torch.nonzero(labels > 0, as_tuple=True)
    present = min_max(resize(class_maps[images, classes], size, align_corners))
    attention = present.new_zeros(len(labels), *size)
    rows = images[:, None, None].expand_as(present)
    return attention.scatter_reduce(0, rows, present, "amax")


def split_by_confidence(
    confidence: Tensor, high: float, low: float, min_object: int = 0, *, lasting: bool = False
) -> Tensor:
    """Masks by equation 1: object above `high`, background below `low`, the rest ignored.

    Args:
        confidence: (B, H, W) in [0, 1].
        high, low: delta_h and delta_l of the paper.
        min_object: an image with fewer pixels above `high` takes 0.7 times its own maximum in
            place of `high`. The number is for masks of 224 x 224, others in proportion to their
            area; 0 switches the rule off. Where it lowers `high` below `low`, background wins.
        lasting: what an image takes stays `high` for the images after it in the batch, until one
            has too few pixels above that too (the released code).

    Returns:
        (B, H, W) uint8, OBJECT, BACKGROUND or IGNORED.
    """
    above = confidence > high
    if min_object:
        least = min_object * confidence[0].numel() / REFERENCE_AREA
        lowered = RELATIVE_HIGH * confidence.amax(dim=(1, 2))
        above = confidence > _thresholds(confidence, high, lowered, least, lasting)
    masks = torch.full_like(confidence, IGNORED, dtype=torch.uint8)
    return masks.masked_fill_(above, OBJECT).masked_fill_(confidence < low, BACKGROUND)


def _thresholds(
    confidence: Tensor, high: float, lowered: Tensor, least: float, lasting: bool
) -> Tensor:
    """(B, 1, 1): `high` for each image, or its own of (B,) if fewer than `least` pixels exceed."""
    given = torch.full_like(lowered, high)
    if not lasting:
        few = (confidence > high).sum(dim=(1, 2)) < least
        return torch.where(few, lowered, given)[:, None, None]
    chosen, current = [], given[0]
    for image, own in zip(confidence, lowered, strict=True):
        current = torch.where((image > current).sum() < least, own, current)
        chosen.append(current)
    return torch.stack(chosen)[:, None, None]


def leave_out(masks: Tensor, images: Tensor, extents: Tensor | None) -> Tensor:
    """(B, H, W) masks in which some images and all padding are ignored.

    Args:
        images: (B,) bool, true for the images to leave out.
        extents: (B, 2), the share of height and width that is image; None for all.
    """
    out = images[:, None, None]
    if extents is not None:
        rows, columns = (
            (torch.arange(side, device=masks.device) + 0.5) / side > extents[:, axis, None]
            for axis, side in enumerate(masks.shape[1:])
        )
        out = out | rows[:, :, None] | columns[:, None, :]
    return masks.masked_fill(out, IGNORED)


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of (B, H, W) logits with masks, scalar.

    The mean over the pixels of the whole batch that are not ignored; 0, with gradient 0, if
    there are none.
    """
    counted = masks != IGNORED
    terms = F.binary_cross_entropy_with_logits(
        logits, (masks == OBJECT).to(logits.dtype), reduction="none"
    )
    return torch.where(counted, terms, 0).sum() / counted.sum().clamp(min=1)
