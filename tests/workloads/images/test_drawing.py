"""Boxes, maps and captions on images; images in a grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import made_record, made_truth
from PIL import Image

from workloads.errors import TooLarge
from workloads.images.decode import ImageLimits
from workloads.images.drawing import (
    GREEN,
    ORANGE,
    captioned,
    contact_sheet,
    draw_boxes,
    fit,
    grid,
    overlay,
)
from workloads.records import GroundTruth, Record


def test_draw_boxes() -> None:
    image = np.zeros((10, 12, 3), np.uint8)
    box = np.array([[2, 3, 7, 9]], np.float32)
    drawn = draw_boxes(image, box, [""], GREEN)
    assert drawn.shape == image.shape
    ys, xs = np.nonzero(drawn.any(axis=2))
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (2, 3, 6, 8)
    assert len(ys) == 2 * (5 + 6) - 4
    assert not image.any()
    assert draw_boxes(image, np.zeros((0, 4), np.float32), []).shape == image.shape
    large = np.zeros((60, 60, 3), np.uint8)
    plain = draw_boxes(large, 5 * box, [""])
    named = draw_boxes(large, 5 * box, ["säven"])
    assert named.any(axis=2).sum() > plain.any(axis=2).sum() + 30
    dashed = draw_boxes(large, 5 * box, [""], dashed=True)
    assert dashed[15, 10].any()
    assert 0.4 < dashed.any(axis=2).sum() / plain.any(axis=2).sum() < 0.8
    with pytest.raises(ValueError, match="zip"):
        draw_boxes(image, box, [])


def test_grid() -> None:
    images = [np.zeros((4, 6, 3), np.uint8), np.zeros((8, 2, 3), np.uint8)]
    sheet = grid([*images, images[0]], columns=2, gap=2)
    assert sheet.shape == (8 + 2 + 4 + 2, 2 * (6 + 2), 3)
    assert (sheet == 0).all(axis=2).sum() == 2 * 24 + 16
    with pytest.raises(ValueError, match="at least one"):
        grid([], 2)


@pytest.mark.parametrize(
    ("size", "fitted"), [((30, 40), (60, 80)), ((30, 60), (30, 60)), ((400, 10), (100, 2))]
)
def test_fit(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fit(np.zeros((*size, 3), np.uint8), 100).shape == (*fitted, 3)


def test_an_overlay_shows_the_image_where_the_map_is_low() -> None:
    image = np.full((4, 6, 3), 200, np.uint8)
    heat = np.zeros((4, 6), np.float32)
    heat[0, 0] = 1
    shown = overlay(image, heat)
    assert shown.dtype == np.uint8
    assert (shown[1:] >= 140).all()
    assert shown[0, 0, 0] > shown[0, 0, 2]  # hot is yellow


def test_a_caption_stands_below_and_ends_with_what_differs() -> None:
    image = np.zeros((10, 60, 3), np.uint8)
    short, long = captioned(image, "a"), captioned(image, "a" * 50 + "z")
    assert short.shape == long.shape == (26, 60, 3)
    assert (short[:10] == 0).all()
    assert (short[10:] < 255).any()
    assert not np.array_equal(long, captioned(image, "a" * 50 + "y"))


def record_of(*boxes: tuple, size: tuple[int, int] = (40, 30), **flags: list) -> Record:
    return made_record("an id", made_truth(*boxes, **flags), size)


def of_colour(sheet: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixels (rows, columns) that have just this colour."""
    return np.argwhere((np.asarray(sheet) == colour).all(axis=2))


def test_a_sheet_scales_boxes_with_their_images() -> None:
    sheet = contact_sheet([record_of((0, (10, 10, 20, 20)))], [""], side=120)
    rows, columns = of_colour(sheet, GREEN).T
    assert sheet.size == (124, 94)  # three times the image and the gap of the grid
    assert (columns.min(), columns.max()) == (32, 61)
    assert (rows.min(), rows.max()) == (32, 61)


@pytest.mark.parametrize("flag", ["box_difficult", "box_crowd"])
def test_boxes_that_need_not_be_found_are_orange(flag: str) -> None:
    boxes = (0, (2, 2, 20, 20)), (0, (22, 2, 38, 20))
    sheet = contact_sheet([record_of(*boxes, **{flag: [False, True]})], [""], side=40)
    assert of_colour(sheet, GREEN)[:, 1].max() < 24
    assert of_colour(sheet, ORANGE)[:, 1].min() >= 24


def test_an_image_of_which_only_classes_are_known_names_them() -> None:
    named = made_record("a", GroundTruth(labels=(0,)), (60, 40))
    plain = made_record("a", GroundTruth(), (60, 40))
    with_name, without = (contact_sheet([r], ["owl"], side=60) for r in (named, plain))
    assert len(of_colour(without, GREEN)) == 0
    changed = np.argwhere((np.asarray(with_name) != np.asarray(without)).any(axis=2))
    assert len(changed) > 0
    assert changed[:, 0].max() < 20  # at the top left
    assert changed[:, 1].max() < 40


def test_captions_make_cells_higher_and_rows_hold_what_they_are_told() -> None:
    records = [record_of()] * 5
    plain = contact_sheet(records, [], columns=2, side=40)
    captioned_ = contact_sheet(records, [], columns=2, side=40, captions=True)
    assert plain.size == (2 * 44, 3 * 34)
    assert captioned_.size == (2 * 44, 3 * (34 + 16))


def test_a_sheet_refuses_what_is_over_the_limits() -> None:
    with pytest.raises(TooLarge):
        contact_sheet([record_of()], [], limits=ImageLimits(max_pixels=1199))
    with pytest.raises(ValueError, match=r"^0 images in 8 columns; give at least one of each$"):
        contact_sheet([], [])
    with pytest.raises(ValueError, match=r"^1 images in 0 columns"):
        grid([np.zeros((1, 1, 3), np.uint8)], 0)


@settings(max_examples=50, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300), side=st.integers(1, 200))
def test_nothing_grows_beyond_its_side_and_nothing_vanishes(
    width: int, height: int, side: int
) -> None:
    fitted = fit(np.zeros((height, width, 3), np.uint8), side).shape[:2]
    assert min(fitted) >= 1
    assert side / 2 < max(fitted) <= side
    if max(width, height) <= side:  # a whole factor keeps the shape
        assert fitted[0] * width == fitted[1] * height


@settings(max_examples=50, deadline=None)
@given(
    box=st.tuples(*[st.floats(-30, 60, width=32)] * 4),
    name=st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=5),
    dashed=st.booleans(),
)
def test_any_box_and_any_name_can_be_drawn(
    box: tuple[float, ...], name: str, *, dashed: bool
) -> None:
    image = np.full((20, 30, 3), 7, np.uint8)
    drawn = draw_boxes(image, np.array([box], np.float32), [name], dashed=dashed)
    assert drawn.shape == image.shape
    assert (image == 7).all()


@pytest.mark.parametrize("text", ["a\nb", "\r"])
def test_a_name_with_a_line_break_can_be_drawn(text: str) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    assert captioned(image, text).shape == (36, 30, 3)
    assert draw_boxes(image, np.array([[1, 1, 9, 9]], np.float32), [text]).any()
