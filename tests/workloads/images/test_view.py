"""Geometry of a network's view: pixels, maps and boxes move together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.images.view import View, padding_colour

SIDES = st.integers(5, 60)


def striped(width: int, height: int) -> np.ndarray:
    """An image whose red is its column and whose green is its row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    return image


@st.composite
def views(draw: st.DrawFn) -> View:
    margin = draw(st.integers(0, 8))
    if draw(st.booleans()):
        return View(draw(st.integers(8, 40)), fit="pad", flip=draw(st.booleans()))
    top, left = draw(st.integers(0, margin)), draw(st.integers(0, margin))
    return View(draw(st.integers(8, 40)), margin, top=top, left=left, flip=draw(st.booleans()))


def test_a_view_of_an_images_own_size_is_the_image() -> None:
    image = striped(8, 8)
    assert np.array_equal(View(8).pixels(image), image)


def test_a_crop_starts_where_it_says_and_is_mirrored_after() -> None:
    image = striped(8, 8)
    view = View(5, margin=3, top=1, left=2)
    assert np.array_equal(view.pixels(image), image[1:6, 2:7])
    assert np.array_equal(replace(view, flip=True).pixels(image), image[1:6, 2:7][:, ::-1])


def test_a_quarter_turn_is_counter_clockwise_about_the_centre() -> None:
    image = striped(8, 8)
    assert np.array_equal(View(8, angle_deg=90.0).pixels(image), np.rot90(image))


def test_padding_stays_right_and_below_however_it_is_mirrored() -> None:
    wide = np.full((4, 8, 3), 200, np.uint8)
    for flip in (False, True):
        seen = View(8, fit="pad", flip=flip, padding=(1, 2, 3)).pixels(wide)
        assert (seen[:4] == 200).all()
        assert (seen[4:] == (1, 2, 3)).all()
        seen = View(8, fit="pad", flip=flip, padding=(1, 2, 3)).pixels(wide.transpose(1, 0, 2))
        assert (seen[:, :4] == 200).all()
        assert (seen[:, 4:] == (1, 2, 3)).all()


def test_the_padding_colour_is_nearly_the_mean() -> None:
    assert padding_colour((0.485, 0.456, 0.406)) == (124, 116, 104)
    assert padding_colour((0.0, 0.5, 1.0)) == (0, 128, 255)


def test_noise_is_that_of_its_seed_and_stays_a_grey_level() -> None:
    grey = np.full((30, 30, 3), 128, np.uint8)
    noisy = View(30, noise=10.0, seed=3)
    first = noisy.pixels(grey)
    assert np.array_equal(first, noisy.pixels(grey))
    assert not np.array_equal(first, replace(noisy, seed=4).pixels(grey))
    spread = first.astype(float) - 128
    assert abs(spread.mean()) < 1
    assert spread.std() == pytest.approx(10, rel=0.05)
    white = np.full((30, 30, 3), 255, np.uint8)
    assert noisy.pixels(white).min() > 200  # clipped, not wrapped around


def test_boxes_by_hand() -> None:
    boxes = np.array([[10, 5, 20, 15]], np.float32)
    # 20 x 40 becomes 10 x 10: x is halved, y is quartered.
    assert View(10).boxes(boxes, 20, 40).tolist() == [[5, 1.25, 10, 3.75]]
    crop = View(8, margin=2, top=1, left=2)
    assert crop.boxes(boxes, 20, 40).tolist() == [[3, 0.25, 8, 2.75]]
    assert replace(crop, flip=True).boxes(boxes, 20, 40).tolist() == [[0, 0.25, 5, 2.75]]
    # Padded: 20 x 40 becomes 5 x 10, and its mirror image lies in the left half.
    padded = View(10, fit="pad")
    assert padded.boxes(boxes, 20, 40).tolist() == [[2.5, 1.25, 5, 3.75]]
    assert replace(padded, flip=True).boxes(boxes, 20, 40).tolist() == [[0, 1.25, 2.5, 3.75]]


def test_a_box_outside_of_the_crop_is_empty_but_there() -> None:
    boxes = np.array([[0, 0, 2, 2], [4, 4, 8, 8]], np.float32)
    seen = View(4, margin=4, top=4, left=4).boxes(boxes, 8, 8)
    assert seen.tolist() == [[0, 0, 0, 0], [0, 0, 4, 4]]
    assert View(4).boxes(np.zeros((0, 4), np.float32), 8, 8).shape == (0, 4)


def test_boxes_do_not_follow_a_rotation() -> None:
    with pytest.raises(ValueError, match=r"^boxes cannot follow a rotation; set train\.rotation"):
        View(8, angle_deg=5.0).boxes(np.zeros((1, 4), np.float32), 8, 8)


@pytest.mark.parametrize(
    ("size", "extent"), [((20, 40), (1.0, 0.5)), ((40, 20), (0.5, 1.0)), ((7, 7), (1.0, 1.0))]
)
def test_the_extent_of_a_padded_image(size: tuple[int, int], extent: tuple[float, float]) -> None:
    assert View(10, fit="pad").extent(*size) == extent
    assert View(10, margin=3).extent(*size) == (1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(view=views(), width=SIDES, height=SIDES, data=st.data())
def test_boxes_lie_in_the_input_and_mirroring_keeps_their_size(
    view: View, width: int, height: int, data: st.DataObject
) -> None:
    x0, x1 = sorted(data.draw(st.tuples(*[st.floats(0, width, width=32)] * 2)))
    y0, y1 = sorted(data.draw(st.tuples(*[st.floats(0, height, width=32)] * 2)))
    boxes = np.array([[x0, y0, x1, y1]], np.float32)
    seen = view.boxes(boxes, width, height)
    assert (seen >= 0).all()
    assert (seen <= view.size).all()
    assert (seen[:, 2:] >= seen[:, :2]).all()
    other = replace(view, flip=not view.flip).boxes(boxes, width, height)
    np.testing.assert_allclose(other[:, 2] - other[:, 0], seen[:, 2] - seen[:, 0], atol=1e-4)
    assert np.array_equal(other[:, [1, 3]], seen[:, [1, 3]])


@settings(max_examples=60, deadline=None)
@given(view=views(), width=SIDES, height=SIDES)
def test_maps_go_where_the_pixels_go(view: View, width: int, height: int) -> None:
    left = np.zeros((height, width), np.float32)
    left[:, : width // 2] = 1
    image = np.repeat((255 * left).astype(np.uint8)[..., None], 3, axis=2)
    seen, heat = view.pixels(image), view.map01(left, width, height)
    assert seen.shape == (view.size, view.size, 3)
    assert heat.shape == (view.size, view.size)
    assert heat.dtype == np.float32
    assert not heat.size or (heat.min() >= 0 and heat.max() <= 1)
    # They are interpolated in different ways, so they may differ beside the one edge.
    far = np.abs(seen[..., 0] / 255.0 - heat) > 0.5
    assert far.any(axis=0).sum() <= 2 + view.size // min(width, height)


def test_a_map_needs_only_the_frame_of_its_image() -> None:
    coarse = np.array([[1.0, 0.0]], np.float32)
    heat = View(8, fit="pad").map01(coarse, 400, 200)
    assert heat[:4, 0].tolist() == [1, 1, 1, 1]
    assert not heat[4:].any()
    flipped = View(8, fit="pad", flip=True).map01(coarse, 400, 200)
    assert np.array_equal(flipped[:4], heat[:4, ::-1])
