"""Boxes, maps and captions on images; images in a grid."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.images.drawing import GREEN, captioned, draw_boxes, fit, grid, overlay


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
