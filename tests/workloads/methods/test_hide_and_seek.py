"""Hide-and-Seek: whole patches, as often as said, in training only."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_methods import tiny
from torch import Tensor

from workloads.methods.cam import Cam
from workloads.methods.hide_and_seek import HideAndSeekOptions, hidden_patches
from workloads.methods.registry import METHODS, build_method


def test_patches_are_hidden_as_a_whole_and_cut_off_at_the_edges() -> None:
    hidden = hidden_patches(torch.zeros(50, 3, 10, 7), [4], 0.5)
    assert hidden.shape == (50, 10, 7)
    grid = hidden[:, ::4, ::4]  # one pixel of each patch: rows at 0, 4, 8, columns at 0, 4
    assert grid.shape == (50, 3, 2)
    spread = grid.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    torch.testing.assert_close(hidden, spread[:, :10, :7])


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.integers(0, 50), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_each_image_is_cut_by_one_of_the_sides(height: int, width: int, sides: list[int]) -> None:
    hidden = hidden_patches(torch.zeros(3, 3, height, width), sides, 0.5)
    assert hidden.shape == (3, height, width)
    for image in hidden:
        fitting = [s for s in sides if torch.equal(image, _as_patches(image, s))]
        assert fitting


def _as_patches(image: Tensor, side: int) -> Tensor:
    if side == 0:
        return torch.zeros_like(image)
    spread = image[::side, ::side].repeat_interleave(side, 0).repeat_interleave(side, 1)
    return spread[: image.shape[0], : image.shape[1]]


def test_as_many_patches_are_hidden_as_the_probability_says() -> None:
    images = torch.zeros(200, 3, 56, 56)
    assert not hidden_patches(images, [8], 0).any()
    assert hidden_patches(images, [8], 1).all()
    share = hidden_patches(images, [8], 0.3)[:, ::8, ::8].float().mean()  # 9,800 patches
    assert abs(share.item() - 0.3) < 4 * (0.3 * 0.7 / 9800) ** 0.5


def test_of_several_sides_each_is_drawn_equally_often_and_0_hides_nothing() -> None:
    hidden = hidden_patches(torch.zeros(1000, 3, 4, 4), [0, 4], 1)
    untouched = (~hidden.flatten(1).any(1)).float().mean().item()
    assert abs(untouched - 0.5) < 4 * (0.25 / 1000) ** 0.5


def test_masks_follow_the_global_generator() -> None:
    images = torch.zeros(4, 3, 32, 32)
    masks = []
    for _ in range(2):
        torch.manual_seed(7)
        masks.append(hidden_patches(images, [0, 5, 9], 0.5))
    torch.testing.assert_close(masks[0], masks[1])
    assert not torch.equal(masks[1], hidden_patches(images, [0, 5, 9], 0.5))


def test_only_training_hides_and_hidden_pixels_get_the_mean() -> None:
    method = tiny("hide-and-seek", patch_px=[64], hide_probability=1.0)
    plain = tiny("cam")
    plain.load_state_dict(method.state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(method(images)["logits"], plain(images)["logits"])
    method.train()
    for module in method.backbone.modules():  # so that both see the same statistics
        module.eval()
    nothing = plain(torch.zeros_like(images))["logits"]
    torch.testing.assert_close(method(images)["logits"], nothing)


@pytest.mark.parametrize(
    ("backbone", "colour"),
    [
        ("tiny", (0.0, 0.0, 0.0)),
        # 2 * 0.485 - 1 and so on: the mean of ImageNet in inputs of -1 to 1.
        ("googlenet", (-0.03, -0.088, -0.188)),
        ("inception_v3", (-0.03, -0.088, -0.188)),
        ("inception_v3_spg", (0.0, 0.0, 0.0)),
    ],
)
def test_the_hidden_colour_is_the_training_mean_whatever_the_normalisation(
    backbone: str, colour: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        method = build_method(
            "hide-and-seek", backbone, 3, "multilabel", None, {"patch_px": [8]}
        ).train()
    seen: list[Tensor] = []
    monkeypatch.setattr(Cam, "forward", lambda _self, images, _targets=None: seen.append(images))
    images = torch.full((4, 3, 32, 32), 9.0)
    method(images)
    kept = seen[0] == 9
    assert kept.any()
    for channel, value in enumerate(colour):
        hidden = seen[0][:, channel][~kept[:, channel]]
        torch.testing.assert_close(hidden, torch.full_like(hidden, value), atol=1e-6, rtol=0)
    assert torch.equal(kept[:, 0], kept[:, 2])


def test_the_papers_patches_and_those_of_the_small_input_are_the_same_shares() -> None:
    paper = HideAndSeekOptions().patch_px
    assert paper == (0, 16, 32, 44, 56)
    small = METHODS["hide-and-seek"].presets["tiny"]["patch_px"]
    assert small == tuple(round(side * 64 / 224) for side in paper)
