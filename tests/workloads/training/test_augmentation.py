"""Views: pixels, boxes and maps land in the same place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.images.decode import resize_square
from workloads.images.view import View, padding_colour
from workloads.training.augmentation import Augmentation


def block(width: int, height: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """A black image with a white box."""
    image = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = 255
    return image


def test_the_whole_view_is_the_warped_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    np.testing.assert_array_equal(View(32).pixels(image), resize_square(image, 32))


def test_a_padded_image_keeps_its_shape_at_the_top_left() -> None:
    view = View(10, fit="pad", padding=(7, 8, 9))
    seen = view.pixels(np.full((20, 40, 3), 200, np.uint8))
    assert (seen[:5] == 200).all()
    assert (seen[5:] == (7, 8, 9)).all()
    assert view.extent(40, 20) == (0.5, 1.0)
    assert View(10).extent(40, 20) == (1.0, 1.0)
    assert view.extent(1, 1000) == (1.0, 0.1)  # at least one pixel of it


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("fit", ["warp", "pad"])
def test_boxes_by_hand(fit: str, flip: bool) -> None:
    box = np.array([[8, 4, 16, 12]], np.float32)  # in 32 x 16 pixels
    seen = View(16, fit=fit, flip=flip).boxes(box, 32, 16)  # type: ignore[arg-type]
    heights = [4, 12] if fit == "warp" else [2, 6]
    across = [8, 12] if flip else [4, 8]
    assert seen.tolist() == [[across[0], heights[0], across[1], heights[1]]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(24, 60), st.integers(24, 60), st.sampled_from(["warp", "pad"]),
    st.booleans(), st.integers(0, 6), st.integers(0, 6),
)  # fmt: skip
def test_pixels_boxes_and_maps_agree(
    width: int, height: int, fit: str, flip: bool, top: int, left: int
) -> None:
    box = (6, 5, width - 7, height - 4)
    view = View(48, 0 if fit == "pad" else 6, fit, 0, 0, flip)  # type: ignore[arg-type]
    if fit == "warp":
        view = View(48, 6, top=top, left=left, flip=flip)
    image = block(width, height, box)
    (x0, y0, x1, y1), *_ = view.boxes(np.array([box], np.float32), width, height)
    for seen in (view.pixels(image)[..., 0] / 255, view.map01(image[..., 0] / 255, width, height)):
        rows, columns = (np.flatnonzero(seen.max(axis=a) > 0.5) for a in (1, 0))
        found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.abs(np.subtract(found, (x0, y0, x1, y1))).max() <= 1.5


def test_a_box_outside_of_the_crop_is_empty() -> None:
    view = View(10, 10, top=10, left=10)
    boxes = view.boxes(np.array([[0, 0, 10, 10], [5, 5, 20, 20]], np.float32), 20, 20)
    assert boxes.tolist() == [[0, 0, 0, 0], [0, 0, 10, 10]]


def test_a_quarter_turn_moves_the_mark() -> None:
    image = block(20, 20, (14, 0, 20, 6))  # top right
    turned = View(20, angle_deg=90).pixels(image)[..., 0]
    assert turned[:5, :5].min() > 200  # counter-clockwise: now top left
    assert turned[:5, 15:].max() < 50
    with pytest.raises(ValueError, match="rotation"):
        View(20, angle_deg=1).boxes(np.zeros((1, 4), np.float32), 20, 20)


def test_noise_has_its_deviation_and_follows_its_seed() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    one, same, other = (View(64, noise=10, seed=s).pixels(image) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert one.astype(float).std() == pytest.approx(10, rel=0.05)


def test_only_repeated_images_are_turned_and_noisy() -> None:
    augmentation = Augmentation(32, 4, flip=True, rotation_deg=30, noise=5)
    rng = np.random.default_rng(0)
    first = [augmentation.draw(rng, 40, 30) for _ in range(50)]
    assert {(v.angle_deg, v.noise) for v in first} == {(0.0, 0.0)}
    assert {v.flip for v in first} == {False, True}
    assert {v.top for v in first} == {0, 1, 2, 3, 4}
    again = [augmentation.draw(rng, 40, 30, repeated=True) for _ in range(50)]
    angles = np.array([v.angle_deg for v in again])
    assert angles.min() < -15 < 15 < angles.max()
    assert np.abs(angles).max() <= 30
    assert {v.noise for v in again} == {5}


def test_padding_becomes_nearly_zero_after_normalisation() -> None:
    mean = (0.485, 0.456, 0.406)
    assert np.abs(np.array(padding_colour(mean)) / 255 - mean).max() < 0.002


def test_a_crop_from_the_short_side_keeps_the_shape() -> None:
    # 40 x 25 scaled to a shorter side of 10 is 16 x 10; a quarter of it is black: x from 0 to 4.
    image = np.full((25, 40, 3), 200, np.uint8)
    image[:, :10] = 0
    view = View(8, 2, top=1, left=1, keeps_shape=True)
    seen = view.pixels(image)
    assert seen.shape == (8, 8, 3)
    assert seen[0, :, 0].tolist() == [0, 0, 0, 200, 200, 200, 200, 200]
    assert view.boxes(np.array([[10, 0, 40, 25]], np.float32), 40, 25).tolist() == [[3, 0, 8, 8]]
    mirrored = View(8, 2, top=1, left=1, keeps_shape=True, flip=True)
    np.testing.assert_array_equal(mirrored.pixels(image), seen[:, ::-1])
    boxes = mirrored.boxes(np.array([[10, 0, 40, 25]], np.float32), 40, 25)
    assert boxes.tolist() == [[0, 0, 5, 8]]
    assert view.extent(40, 25) == (1.0, 1.0)
    values = (image[..., 0] / 200).astype(np.float32)
    assert view.map01(values, 40, 25)[0].round().tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns"),
    # 356 at the shorter side: 356 * 500 / 375 is 474.67, of which 474 - 321 remain.
    [(500, 375, 35, 153), (375, 500, 153, 35), (300, 300, 35, 35), (3, 1000, 118345, 35)],
)
def test_crops_from_the_short_side_begin_anywhere_in_the_image(
    width: int, height: int, rows: int, columns: int
) -> None:
    augmentation = Augmentation(321, 35, flip=True, resize="short_side")
    rng = np.random.default_rng(0)
    views = [augmentation.draw(rng, width, height) for _ in range(600)]
    for found, most in (([v.top for v in views], rows), ([v.left for v in views], columns)):
        assert 0 <= min(found) <= most * 0.05
        assert most * 0.95 <= max(found) <= most
    assert all(v.keeps_shape for v in views)
    assert not augmentation.whole().keeps_shape


def test_square_views_are_drawn_as_ever() -> None:
    rng = np.random.default_rng(3)
    top, left = (int(at) for at in np.random.default_rng(3).integers(0, 7, size=2))
    view = Augmentation(32, 6).draw(rng, 500, 375)
    assert (view.top, view.left) == (top, left)
