"""Masks: PNG round trips, and the toolkit's rule for objects and ignored pixels."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from PIL import Image

from workloads.errors import InputRejected, NotAnImage, TooLarge
from workloads.images.decode import ImageLimits
from workloads.images.masks import (
    BACKGROUND,
    FOREGROUND,
    IGNORED,
    combine_masks,
    decode_mask,
    encode_mask,
    resize_mask,
)

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MASKS = nps.arrays(np.uint8, SHAPES, elements=st.sampled_from([BACKGROUND, FOREGROUND, IGNORED]))


def greys(number: int) -> Any:
    """That many grey masks of one size."""
    values = st.sampled_from([0, 1, 127, 128, 255])
    return SHAPES.flatmap(
        lambda shape: st.lists(
            nps.arrays(np.uint8, shape, elements=values), min_size=number, max_size=number
        )
    )


@given(MASKS)
def test_round_trip(mask: np.ndarray) -> None:
    data = encode_mask(mask)
    back = decode_mask(data)
    np.testing.assert_array_equal(back, mask)
    assert back.dtype == np.uint8
    assert encode_mask(back) == data


def test_large_masks_are_small() -> None:
    mask = np.zeros((1200, 1600), np.uint8)
    mask[300:900, 200:1000] = FOREGROUND
    assert len(encode_mask(mask)) < 20_000


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((2, 2), bool), r"mask is bool \(2, 2\); give uint8 \(H, W\)"),
        (np.zeros((2, 2), np.int64), "mask is int64"),
        (np.zeros((2, 2, 1), np.uint8), r"mask is uint8 \(2, 2, 1\)"),
        (np.full((2, 2), 2, np.uint8), "other values than 0, 1 and 255"),
        (np.zeros((0, 3), np.uint8), r"mask is uint8 \(0, 3\)"),
    ],
)
def test_what_is_no_mask(mask: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode_mask(mask)


def test_what_cannot_be_decoded() -> None:
    data = encode_mask(np.zeros((4, 5), np.uint8))
    with pytest.raises(NotAnImage):
        decode_mask(b"mask")
    with pytest.raises(InputRejected):
        decode_mask(data[: len(data) // 2])
    with pytest.raises(TooLarge):
        decode_mask(data, ImageLimits(max_pixels=19))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_files_of_any_depth(mode: str) -> None:
    """OpenImages has one bit per pixel, others have 8 or a palette: what is not 0 is the object."""
    grey = np.zeros((6, 8), np.uint8)
    grey[2:4, 3:7] = 255
    stream = io.BytesIO()
    picture = Image.fromarray(grey)
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    (picture if mode == "I;16" else picture.convert(mode)).save(stream, "PNG")
    combined = combine_masks([decode_mask(stream.getvalue())], None)
    np.testing.assert_array_equal(combined, grey // 255)


@given(greys(3))
def test_foreground_is_any_object_and_wins_over_ignored(masks: list[np.ndarray]) -> None:
    one, two, ignore = masks
    combined = combine_masks([one, two], ignore)
    for pixel in np.ndindex(combined.shape):
        objects = one[pixel] > 0 or two[pixel] > 0
        rest = IGNORED if ignore[pixel] > 0 else BACKGROUND
        assert combined[pixel] == (FOREGROUND if objects else rest)
    assert combined.dtype == np.uint8
    encode_mask(combined)


@given(greys(2))
def test_without_an_ignore_mask(masks: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(combine_masks(masks, None), np.any(masks, axis=0))


@given(greys(2), st.integers(1, 20))
def test_combining_and_resizing_may_change_places(masks: list[np.ndarray], size: int) -> None:
    """The toolkit resizes every file first; the nearest pixel is the same one."""
    one, ignore = masks
    sides = (size, size)
    each = [cv2.resize(mask, sides, interpolation=cv2.INTER_NEAREST) for mask in (one, ignore)]
    theirs = combine_masks([each[0]], each[1])
    np.testing.assert_array_equal(resize_mask(combine_masks([one], ignore), size), theirs)


def test_masks_of_different_sizes_meet_in_the_frame_of_the_evaluation() -> None:
    left, lower = np.zeros((2, 4), np.uint8), np.zeros((8, 2), np.uint8)
    left[:, :2], lower[4:] = 255, 255
    found = combine_masks([left], lower)
    assert found.shape == (224, 224)
    assert (found[:, :112] == 1).all()
    assert (found[:112, 112:] == 0).all()
    assert (found[112:, 112:] == 255).all()
