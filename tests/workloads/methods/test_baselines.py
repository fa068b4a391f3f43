"""What baselines share: maps class by class in rounds, and maps of degenerate images."""

from __future__ import annotations

import pytest
import torch
from small_methods import class_map, tiny
from torch import Tensor

from workloads.methods.rounds import one_class_at_a_time


def test_every_round_has_the_whole_batch_and_maps_come_to_their_image_and_class() -> None:
    asked: list[list[int]] = []

    def map_of(labels: Tensor) -> Tensor:
        asked.append(labels.tolist())
        return labels.view(-1, 1, 1).double() + torch.zeros(1, 2, 3)

    maps = one_class_at_a_time([[4], [], [2, 9, 5]], map_of, (2, 3), torch.device("cpu"))
    assert asked == [[4, 0, 2], [0, 0, 9], [0, 0, 5]]
    assert [m.shape for (m,) in maps] == [(1, 2, 3), (0, 2, 3), (3, 2, 3)]
    assert [m[:, 1, 2].tolist() for (m,) in maps] == [[4], [], [2, 9, 5]]
    assert all(m.dtype == torch.float32 for (m,) in maps)


def test_without_a_wanted_class_nothing_is_computed() -> None:
    def never(labels: Tensor) -> Tensor:
        raise AssertionError("no class was asked for")

    assert [
        m.shape for (m,) in one_class_at_a_time([[], []], never, (4, 5), torch.device("cpu"))
    ] == [
        (0, 4, 5),
        (0, 4, 5),
    ]


@pytest.mark.parametrize("name", ["acol", "grad-cam", "gradient-saliency"])
def test_a_map_depends_neither_on_other_images_nor_on_other_wanted_classes(name: str) -> None:
    method = tiny(name)
    images = torch.randn(2, 3, 40, 52)
    with torch.inference_mode():
        together = method.localize(images).maps_of([[2], [1, 0, 2]])
        alone = method.localize(images[1:]).maps_of([[2]])
    torch.testing.assert_close(together[1][0][2], alone[0][0][0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["grad-cam", "gradient-saliency"])
def test_gradients_leave_no_trace(name: str) -> None:
    method = tiny(name)
    for parameter in method.parameters():
        parameter.requires_grad_(name == "gradient-saliency")  # a localizer's need none
    images = torch.randn(1, 3, 32, 32)
    (maps,) = method.localize(images).maps_of([[0, 1]])
    assert not maps[0].requires_grad
    assert not images.requires_grad
    assert all(parameter.grad is None for parameter in method.parameters())


@pytest.mark.parametrize(
    "name", ["acol", "centre-point", "grad-cam", "gradient-saliency", "hide-and-seek"]
)
def test_constant_images_give_finite_maps(name: str) -> None:
    method = tiny(name)
    for value in (0.0, 3.0):
        maps = class_map(method, torch.full((1, 3, 33, 17), value), 1)
        assert torch.isfinite(maps).all()
