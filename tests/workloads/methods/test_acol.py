"""ACoL by hand: what is erased, what the second classifier sees, how maps are fused."""

from __future__ import annotations

import pytest
import torch
from small_methods import CLASSES, class_map, tiny
from torch import Tensor, nn

from workloads.methods.acol import Acol, erased_positions
from workloads.methods.base import Targets

MAPS = torch.tensor(  # one image, two classes, 2 x 3 positions
    [[[[0.0, 5.0, 10.0], [7.0, 6.0, 2.0]], [[-4.0, -4.0, -8.0], [-8.0, -5.0, -6.0]]]]
)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1.0, 0.0], [[0, 0, 1], [1, 1, 0]]),  # normalised: 0 .5 1 / .7 .6 .2, from .6 on
        ([0.0, 1.0], [[1, 1, 0], [0, 1, 0]]),  # 1 1 0 / 0 .75 .5
        ([1.0, 1.0], [[1, 1, 1], [1, 1, 0]]),
        ([0.0, 0.0], [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_erased_is_where_a_labelled_class_reaches_the_threshold(
    labels: list[float], expected: list[list[int]]
) -> None:
    erased = erased_positions(MAPS, torch.tensor([labels]), 0.6)
    assert erased[0].int().tolist() == expected


def test_a_constant_map_erases_nothing() -> None:
    assert not erased_positions(torch.full((2, 1, 3, 3), 4.0), torch.ones(2, 1), 1e-6).any()


def by_hand(scores: str = "first") -> Acol:
    """ACoL whose classifiers read their class map from the channel of the same number."""
    method = tiny("acol", scores=scores, threshold=0.6)
    assert isinstance(method, Acol)
    method.backbone = nn.Identity()
    for part in ("first", "second"):
        layer = nn.Conv2d(CLASSES, CLASSES, 1, bias=False)
        nn.init.dirac_(layer.weight)
        setattr(method, part, layer)
    method.second.weight.data[0, 1] = 2  # the second one's class 0 is channel 0 + 2 * channel 1
    return method


def features() -> Tensor:
    zeros = torch.zeros(1, 1, 2, 3)
    return torch.cat([MAPS.abs(), zeros], dim=1)


def test_the_map_of_a_wanted_class_is_the_larger_of_both_after_erasing_its_own() -> None:
    # Class 0: the first map is 0 .5 1 / .7 .6 .2; its positions from .6 on are erased. Of
    # the others the second sees 8 13 0 / 0 0 14, so 8/14 13/14 0 / 0 0 1.
    expected = torch.tensor([[8 / 14, 13 / 14, 1.0], [0.7, 0.6, 1.0]])
    torch.testing.assert_close(class_map(by_hand(), features(), 0)[0], expected)
    # Class 1: the first map, of 4 4 8 / 8 5 6, is 0 0 1 / 1 .25 .5; the second sees
    # 4 4 0 / 0 5 6, so 4/6 4/6 0 / 0 5/6 1.
    expected = torch.tensor([[4 / 6, 4 / 6, 1.0], [1.0, 5 / 6, 1.0]])
    torch.testing.assert_close(class_map(by_hand(), features(), 1)[0], expected)


def test_the_second_classifier_is_pooled_over_what_is_left_of_the_labelled_class() -> None:
    outputs = by_hand()(features(), Targets(torch.tensor([[1.0, 0, 0]])))
    torch.testing.assert_close(outputs["logits"], torch.tensor([[30.0, 35.0, 0.0]]) / 6)
    # Left are channel 0: 0 5 - / - - 2 and channel 1: 4 4 - / - - 6.
    left = torch.tensor([[7 + 2 * 14, 14.0, 0.0]]) / 6
    torch.testing.assert_close(outputs["erased_logits"], left)


def test_scores_are_the_first_classifiers_or_the_mean_with_the_predicted_class_erased() -> None:
    first, second = torch.tensor([[30.0, 35, 0]]) / 6, torch.tensor([[13 + 2 * 19.0, 19, 0]]) / 6
    # Class 1 is predicted; what it leaves of the channels is 0 5 - / - 6 2 and 4 4 - / - 5 6.
    images = features()
    torch.testing.assert_close(by_hand().localize(images).scores, first.sigmoid())
    mean = (first.sigmoid() + second.sigmoid()) / 2
    torch.testing.assert_close(by_hand("mean").localize(images).scores, mean)


def test_both_losses_are_summed_and_the_mask_carries_no_gradient() -> None:
    method = tiny("acol").train()
    assert isinstance(method, Acol)
    targets = Targets(torch.eye(CLASSES))
    terms = method.loss(method(torch.randn(3, 3, 32, 32), targets), targets)
    assert set(terms) == {"classification", "erased_classification"}
    terms["erased_classification"].backward()
    assert all(p.grad is None for p in method.first.parameters())
    assert all(p.grad is not None for p in method.second.parameters())
    assert any(p.grad.abs().sum() > 0 for p in method.backbone.parameters())
