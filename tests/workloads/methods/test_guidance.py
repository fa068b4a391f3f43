"""Masks of SPG against equation 1 by hand, and the traps of the released code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workloads.methods.guidance import (
    labelled_attention,
    leave_out,
    mask_loss,
    min_max,
    resize,
    split_by_confidence,
)


def random_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equation_1_is_strict_on_both_sides() -> None:
    confidence = torch.tensor([[[0.0, 0.0499, 0.05], [0.3, 0.7, 0.7001]]], dtype=torch.float64)
    masks = split_by_confidence(confidence, high=0.7, low=0.05)
    assert masks.dtype == torch.uint8
    assert masks.tolist() == [[[0, 0, 255], [255, 255, 1]]]


def test_an_image_with_hardly_an_object_is_split_by_its_own_maximum_alone() -> None:
    # 2 pixels of 224 x 224 are less than one of 4, so only images without any are concerned.
    faint, plain = [[0.2, 0.3], [0.4, 0.1]], [[0.6, 0.3], [0.45, 0.0]]
    expected = {"faint": [[255, 1], [1, 255]], "plain": [[1, 255], [255, 0]]}
    for order in (("faint", "plain"), ("plain", "faint"), ("faint",), ("plain",)):
        batch = torch.tensor([{"faint": faint, "plain": plain}[name] for name in order])
        masks = split_by_confidence(batch, high=0.5, low=0.05, min_object=2)
        assert masks.tolist() == [expected[name] for name in order]
    assert split_by_confidence(torch.tensor([faint]), 0.5, 0.05).eq(255).all()


def test_the_released_code_keeps_a_lowered_threshold_for_the_rest_of_the_batch() -> None:
    faint, plain = [[0.2, 0.3], [0.4, 0.1]], [[0.6, 0.3], [0.45, 0.0]]
    fainter = [[0.1, 0.2], [0.05, 0.06]]

    def split(*images: list[list[float]]) -> list[list[list[int]]]:
        confidence = torch.tensor(images, dtype=torch.float64)
        return split_by_confidence(confidence, 0.5, 0.05, min_object=2, lasting=True).tolist()

    # The first is cut at 0.5; the second at 0.7 * 0.4 = 0.28; so is the next of its kind.
    first, second = [[1, 255], [255, 0]], [[255, 1], [1, 255]]
    assert split(plain, faint, plain) == [first, second, [[1, 1], [1, 0]]]
    # 0.28 leaves the third nothing, so 0.7 * 0.2 = 0.14 is what the fourth gets.
    third = [[255, 1], [255, 255]]
    assert split(faint, fainter, faint) == [second, third, [[1, 1], [1, 255]]]


def test_a_lasting_threshold_is_the_released_loop() -> None:
    """Against a plain restatement, image by image, at the size that its 30 pixels mean."""
    maps = random_maps(6, 224, 224, seed=3).sigmoid()
    maps[[1, 4]] *= 0.5
    expected = torch.full(maps.shape, 255, dtype=torch.uint8)
    high = 0.7
    for mask, image in zip(expected, maps, strict=True):
        if (image > high).sum() < 30:
            high = float(image.max()) * 0.7
        mask[image > high] = 1
        mask[image < 0.05] = 0
    assert torch.equal(split_by_confidence(maps, 0.7, 0.05, 30, lasting=True), expected)
    alone = split_by_confidence(maps, 0.7, 0.05, 30)
    same = [torch.equal(a, b) for a, b in zip(alone, expected, strict=True)]
    assert same[:2] == [True, True]  # the first faint image changes only what follows it
    assert not all(same)


@pytest.mark.parametrize(("count", "lowered"), [(29, True), (30, False)])
def test_thirty_pixels_are_meant_for_masks_of_224(count: int, lowered: bool) -> None:
    confidence = torch.full((1, 224, 224), 0.65)
    confidence.view(-1)[:count] = 0.8  # 0.7 * 0.8 = 0.56
    masks = split_by_confidence(confidence, high=0.7, low=0.05, min_object=30)
    assert (masks == 1).sum().item() == (224 * 224 if lowered else count)
    # A quarter of the area, a quarter of the pixels.
    quarter = torch.full((1, 112, 112), 0.65)
    quarter.view(-1)[: 7 if lowered else 8] = 0.8
    masks = split_by_confidence(quarter, high=0.7, low=0.05, min_object=30)
    assert (masks == 1).all().item() is lowered


def test_background_wins_where_the_lowered_threshold_is_below_it() -> None:
    confidence = torch.tensor([[[0.04, 0.03], [0.0, 0.0]]])
    assert split_by_confidence(confidence, 0.5, 0.05, min_object=30).tolist() == [[[0, 0], [0, 0]]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e6), offset=st.floats(-100, 100))
def test_min_max_fills_the_unit_interval_whatever_the_range(
    seed: int, scale: float, offset: float
) -> None:
    maps = random_maps(2, 3, 4, seed=seed)
    found = min_max(maps)
    assert found.amin(dim=(1, 2)).tolist() == [0, 0]
    assert found.amax(dim=(1, 2)).tolist() == [1, 1]
    torch.testing.assert_close(min_max(maps * scale + offset), found, atol=1e-9, rtol=0)


@pytest.mark.parametrize("value", [0.0, -3.7, 1e6])
def test_a_constant_map_becomes_zero(value: float) -> None:
    assert min_max(torch.full((1, 3, 4), value)).tolist() == torch.zeros(1, 3, 4).tolist()


def test_attention_is_the_labelled_class_resized_then_normalised() -> None:
    maps = random_maps(2, 3, 4, 5)
    found = labelled_attention(maps, torch.eye(3)[[2, 0]], (9, 7), align_corners=False)
    expected = min_max(resize(torch.stack([maps[0, 2], maps[1, 0]]), (9, 7), False))
    assert torch.equal(found, expected)
    assert not torch.allclose(found, resize(min_max(maps[:, 0]), (9, 7), False))


def test_of_several_labels_each_is_normalised_before_the_maximum() -> None:
    strong = torch.tensor([[10.0, 0.0], [0.0, 5.0]])
    weak = torch.tensor([[0.125, 0.0], [0.25, 0.0]])
    absent = torch.full((2, 2), 99.0)
    maps = torch.stack([strong, weak, absent]).expand(3, 3, 2, 2)
    labels = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    found = labelled_attention(maps, labels, (2, 2), align_corners=False)
    assert found.tolist() == [[[1, 0], [1, 0.5]], [[0, 0], [0, 0]], [[0.5, 0], [1, 0]]]


def test_a_batch_without_any_label_has_no_attention() -> None:
    maps = random_maps(2, 3, 4, 4)
    assert labelled_attention(maps, torch.zeros(2, 3), (8, 8), True).eq(0).all()


def test_masks_carry_no_gradient() -> None:
    maps = random_maps(1, 2, 2, 2).requires_grad_()
    attention = labelled_attention(maps, torch.ones(1, 2), (4, 4), align_corners=True)
    assert not attention.requires_grad
    assert not split_by_confidence(maps[0].sigmoid(), 0.5, 0.1).requires_grad


def test_corners_are_aligned_or_pixels_are_cells() -> None:
    maps = torch.tensor([[[0.0, 1.0]]])
    assert resize(maps, (1, 5), align_corners=True).tolist() == [[[0, 0.25, 0.5, 0.75, 1]]]
    assert resize(maps, (1, 4), align_corners=False).tolist() == [[[0, 0.25, 0.75, 1]]]
    assert resize(maps, (1, 2), align_corners=True) is maps


def test_padding_and_images_left_out_are_ignored() -> None:
    masks = torch.ones(3, 2, 4, dtype=torch.uint8)
    silent = torch.tensor([False, True, False])
    found = leave_out(masks, silent, torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.5, 0.6]]))
    rows = [[1, 1, 1, 1]] * 2, [[255] * 4] * 2, [[1, 1, 255, 255], [255] * 4]
    assert found.tolist() == list(rows)
    assert leave_out(masks, silent, None).amax(dim=(1, 2)).tolist() == [1, 255, 1]


def test_the_loss_is_the_mean_over_all_pixels_that_count() -> None:
    logits = torch.tensor([[[2.0, -1.0], [0.5, 9.0]], [[3.0, 9.0], [9.0, 9.0]]])
    masks = torch.tensor([[[1, 0], [1, 255]], [[0, 255], [255, 255]]], dtype=torch.uint8)
    terms = [
        math.log1p(math.exp(-2.0)),  # object: -log sigmoid(x)
        math.log1p(math.exp(-1.0)),  # background: -log(1 - sigmoid(x))
        math.log1p(math.exp(-0.5)),
        math.log1p(math.exp(3.0)),
    ]
    # Not the mean of the two images' means: the second has one pixel.
    assert mask_loss(logits, masks).item() == pytest.approx(sum(terms) / 4, rel=1e-6)


@pytest.mark.parametrize("value", [0.3, math.inf, -math.inf])
def test_an_empty_mask_costs_nothing_and_teaches_nothing(value: float) -> None:
    logits = torch.full((1, 2, 2), value, requires_grad=True)
    loss = mask_loss(logits, torch.full((1, 2, 2), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.tolist() == [[[0, 0], [0, 0]]]
