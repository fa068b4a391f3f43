"""Parts of images, cut at the resolution of the images."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.images.crop import crop, frame
from workloads.images.decode import shrink_within

GREEN = (0, 255, 0)


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_part_as_large_as_the_input_is_its_pixels() -> None:
    image = noise(40, 20)
    found = crop(frame(image, "warp", GREEN), np.array([0.25, 0.5, 0.5, 1.0]), 10)
    np.testing.assert_array_equal(found, image[10:20, 10:20])


def test_edges_go_to_the_nearest_pixels_and_one_pixel_stays() -> None:
    image = noise(10, 10)
    found = crop(image, np.array([0.14, 0.26, 0.44, 0.61]), 3)  # 1.4 to 4.4, 2.6 to 6.1
    np.testing.assert_array_equal(found, image[3:6, 1:4])
    for at, pixel in ((0.98, 9), (0.501, 5), (0.0, 0)):
        dot = crop(image, np.array([at, at, at + 0.001, at + 0.001]), 2)
        np.testing.assert_array_equal(dot, np.broadcast_to(image[pixel, pixel], (2, 2, 3)))


def test_a_padded_input_has_its_padding_in_pixels_of_the_image() -> None:
    image = noise(40, 20)
    framed = frame(image, "pad", GREEN)
    assert framed.shape == (40, 40, 3)
    np.testing.assert_array_equal(framed[:20], image)
    below = crop(framed, np.array([0.0, 0.25, 0.5, 0.75]), 20)  # half image, half padding
    np.testing.assert_array_equal(below[:10], image[10:, :20])
    assert (below[10:] == GREEN).all()


def test_an_image_is_shrunk_only_where_it_is_too_large() -> None:
    image = noise(40, 20)
    assert shrink_within(image, 40) is image
    small = shrink_within(image, 20)
    pairs = image.reshape(10, 2, 20, 2, 3).mean((1, 3))
    np.testing.assert_allclose(small, pairs, atol=0.51)  # 2 x 2 pixels are one, by area
    assert shrink_within(noise(500, 2), 100).shape == (1, 100, 3)
    with pytest.raises(ValueError, match="give at least 1"):
        shrink_within(image, 0)
