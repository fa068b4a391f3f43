"""The truth of an image in the pixels of the upright image, whatever frame its boxes lie in.

Cameras store an image as the sensor saw it and note in EXIF how to turn it. The tools of COCO, VOC,
ILSVRC, CUB and of the field's evaluation read pixels as stored; browsers, and so labelling tools in
them, show it upright. The option `boxes_frame` says which, and boxes are turned along.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workloads.datasets.annotation_checks import ADVICE, SWAPPED, OtherSize
from workloads.datasets.base import Dataset, Item
from workloads.datasets.remarks import remark
from workloads.errors import InputRejected
from workloads.images.decode import SWAPS_SIDES
from workloads.images.masks import decode_mask, encode_mask
from workloads.records import GroundTruth

STORED = (
    "images with an EXIF orientation: their boxes were read in the image as stored and turned "
    "along with it; if they were drawn on the upright image, ingest with "
    "--set ingest.options.boxes_frame=upright"
)
UPRIGHT = (
    "images with an EXIF orientation: their boxes were read in the upright image, as the option "
    "boxes_frame says"
)
SCALED = "boxes were scaled from the stated size of their image to its own, by option scale_boxes"

_TRANSPOSED = SWAPS_SIDES
_MIRRORED_X = (2, 3, 6, 7)  # after the transposition
_MIRRORED_Y = (3, 4, 7, 8)


def read_truth(
    dataset: Dataset, item: Item, width: int, height: int, orientation: int
) -> GroundTruth:
    """The truth of an image, in the frame of the upright image of width x height.

    Args:
        orientation: EXIF orientation, 1 to 8.

    Raises:
        InputRejected: as `Dataset.annotation` does.
    """
    stored = dataset.options.boxes_frame == "stored" and orientation != 1
    if not stored:
        truth = _scaled(dataset, item, width, height, orientation)
        if orientation != 1 and _has_places(truth):
            remark(UPRIGHT)
        return truth
    sides = (height, width) if orientation in SWAPS_SIDES else (width, height)
    try:
        truth = _scaled(dataset, item, *sides, orientation)
    except InputRejected as error:
        error.args = (str(error).replace("the upright image", "the image as stored"),)
        raise
    if _has_places(truth):
        remark(STORED)
    return turned(truth, *sides, orientation)


def turned(truth: GroundTruth, width: int, height: int, orientation: int) -> GroundTruth:
    """A truth in the stored image of width x height, in the frame of the upright one.

    Args:
        orientation: EXIF orientation, 1 to 8.
    """
    boxes = truth.boxes_xyxy
    if orientation in _TRANSPOSED:
        boxes, width, height = boxes[:, [1, 0, 3, 2]], height, width
    if orientation in _MIRRORED_X:
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
    if orientation in _MIRRORED_Y:
        boxes = np.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], 1)
    mask = None if truth.mask is None else _turned_mask(truth.mask, orientation)
    return replace(truth, boxes_xyxy=boxes.astype(np.float32), mask=mask)


def _turned_mask(data: bytes, orientation: int) -> bytes:
    mask = decode_mask(data)
    mask = mask.T if orientation in _TRANSPOSED else mask
    mask = mask[:, ::-1] if orientation in _MIRRORED_X else mask
    mask = mask[::-1] if orientation in _MIRRORED_Y else mask
    return encode_mask(np.ascontiguousarray(mask))


def _scaled(dataset: Dataset, item: Item, width: int, height: int, orientation: int) -> GroundTruth:
    """The truth in a frame of width x height; boxes of another scale are scaled if so asked."""
    try:
        return dataset.annotation(item, width, height)
    except OtherSize as error:
        stated_width, stated_height = error.stated
        if not _same_shape(error.stated, width, height):
            error.args = (_explained(str(error), orientation, dataset.options.boxes_frame),)
            raise
        if not dataset.options.scale_boxes:
            more = "scale such boxes with the data set's option scale_boxes"
            error.args = (str(error).replace(ADVICE, f"{ADVICE}, or {more}"),)
            raise
    truth = dataset.annotation(item, round(stated_width), round(stated_height))
    factors = np.array([width / stated_width, height / stated_height] * 2)
    limits = np.array([width, height] * 2)
    remark(SCALED)
    boxes = np.minimum(truth.boxes_xyxy * factors, limits).astype(np.float32)
    return replace(truth, boxes_xyxy=boxes)


def _same_shape(stated: tuple[float, float], width: int, height: int) -> bool:
    """Whether a size differs in scale only, give or take the rounding to whole pixels."""
    stated_width, stated_height = stated
    return (
        abs(stated_width * height / width - stated_height) <= 1
        or abs(stated_height * width / height - stated_width) <= 1
    )


def _explained(text: str, orientation: int, frame: str) -> str:
    """A reason with what swapped sides mean for an image that is stored on its side."""
    if orientation not in SWAPS_SIDES:
        return text
    other = "upright" if frame == "stored" else "stored"
    return text.replace(
        SWAPPED,
        f": the sides are swapped, so the boxes lie in the {other} image; ingest with the data "
        f"set's option boxes_frame={other}",
    )


def _has_places(truth: GroundTruth) -> bool:
    return len(truth.boxes_xyxy) > 0 or truth.mask is not None
