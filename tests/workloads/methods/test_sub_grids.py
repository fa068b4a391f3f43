"""Sub-grids of maps and crops of images, resized by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.methods.bency.sub_grids import axis_weights, crops, resized_sub_grids


def weights(start: int, stop: int, size: int, side: int) -> list[list[float]]:
    return axis_weights(np.array([float(start)]), np.array([float(stop)]), size, side)[0].tolist()


def resized(maps: torch.Tensor, box: tuple[int, int, int, int], side: int) -> torch.Tensor:
    return resized_sub_grids(maps, torch.zeros(1, dtype=torch.int64), np.array([box], float), side)


def test_the_weights_of_an_axis_by_hand() -> None:
    # Two positions over four: centres at 1/4, 3/4, 5/4, 7/4, the outer ones held.
    assert weights(1, 3, 4, 4) == [
        [0, 1, 0, 0], [0, 0.75, 0.25, 0], [0, 0.25, 0.75, 0], [0, 0, 1, 0],
    ]  # fmt: skip
    # Three over two: a position and half of the next, averaged.
    expected = [[2 / 3, 1 / 3, 0, 0], [0, 1 / 3, 2 / 3, 0]]
    np.testing.assert_allclose(weights(0, 3, 4, 2), expected)
    assert weights(0, 4, 4, 2) == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert weights(2, 3, 4, 3) == [[0, 0, 1, 0]] * 3


def test_the_whole_grid_is_itself() -> None:
    maps = torch.randn(2, 3, 6, 6)
    assert torch.equal(resized(maps, (0, 0, 6, 6), 6)[0], maps[0])


@settings(max_examples=30, deadline=None)
@given(
    x=st.tuples(st.integers(0, 4), st.integers(1, 5)),
    y=st.tuples(st.integers(0, 4), st.integers(1, 5)),
)
def test_enlarging_is_bilinear_of_the_cut_out_grid(x: tuple[int, int], y: tuple[int, int]) -> None:
    maps = torch.randn(1, 2, 9, 10)
    box = (x[0], y[0], x[0] + x[1], y[0] + y[1])
    cut = maps[:, :, box[1] : box[3], box[0] : box[2]]
    expected = F.interpolate(cut, size=(5, 5), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resized(maps, box, 5), expected, atol=1e-6, rtol=1e-5)


def test_shrinking_averages() -> None:
    maps = torch.randn(1, 2, 8, 13)
    expected = F.avg_pool2d(maps[..., 1:13], (2, 3))
    torch.testing.assert_close(resized(maps, (1, 0, 13, 8), 4), expected)


@given(start=st.integers(0, 5), length=st.integers(1, 9), side=st.integers(1, 8))
def test_a_constant_stays_one_and_nothing_outside_takes_part(
    start: int, length: int, side: int
) -> None:
    found = np.array(weights(start, start + length, 14, side))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()
    assert not found[:, :start].any()
    assert not found[:, start + length :].any()


def test_sub_grids_are_of_their_owners() -> None:
    maps = torch.randn(3, 2, 4, 4)
    boxes = np.array([[0, 0, 4, 4], [1, 1, 3, 3], [0, 0, 4, 4.0]])
    found = resized_sub_grids(maps, torch.tensor([2, 0, 1]), boxes, 4)
    assert torch.equal(found[0], maps[2])
    assert torch.equal(found[1], resized(maps, (1, 1, 3, 3), 4)[0])
    assert torch.equal(found[2], maps[1])


def ramp(height: int, width: int) -> torch.Tensor:
    """(1, 2, H, W): x and y of the pixels' centres, as shares of the image."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([(x + 0.5) / width, (y + 0.5) / height])[None]


def test_a_crop_of_a_linear_image_is_linear() -> None:
    """What a crop shows at a pixel's centre is the image at that point."""
    box = np.array([[0.25, 0.5, 0.75, 0.875]])
    found = crops(ramp(8, 16), torch.tensor([0]), box)[0]
    np.testing.assert_allclose(found[0, 3], 0.25 + 0.5 * (np.arange(16) + 0.5) / 16, rtol=1e-6)
    np.testing.assert_allclose(found[1, :, 5], 0.5 + 0.375 * (np.arange(8) + 0.5) / 8, rtol=1e-6)


def test_a_crop_holds_the_border_of_the_image_and_looks_past_its_own() -> None:
    image = torch.tensor([[[[0.0, 4.0, 8.0, 12.0]]]])
    left = crops(image, torch.tensor([0]), np.array([[0.0, 0, 0.5, 1]]))
    # Centres at 1/2, 3/2, ... half pixels: the first is left of the first pixel's centre.
    assert left.flatten().tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize("shape", [(5, 7), (64, 64)])
def test_the_crop_of_everything_is_the_image(shape: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *shape)
    found = crops(images, torch.tensor([1, 0]), np.array([[0.0, 0, 1, 1]] * 2))
    torch.testing.assert_close(found, images.flip(0), atol=1e-5, rtol=0)
