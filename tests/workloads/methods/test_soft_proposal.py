"""The soft proposal against published facts, a plain reference, and its traps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workloads.errors import ConfigError
from workloads.methods.spn.soft_proposal import (
    SoftProposal,
    SoftProposalOptions,
    couple,
    resolve_epsilon,
)

# The authors' rule on `golden_features`, row-major 4x4.
GOLDEN = {
    2.4: (
        5,
        ".0956846 .0695379 .0553964 .0700085 .0771703 .0787832 .0609345 .0513899 "
        ".0507729 .0605386 .0593227 .0491637 .0588459 .0543849 .0529420 .0551238",
    ),
    0.6: (
        18,
        ".0668139 .0797510 .0762447 .0615484 .0749107 .0877435 .0753322 .0506027 "
        ".0651273 .0753288 .0644640 .0405899 .0452462 .0470723 .0459699 .0432545",
    ),
}


def proposal(features: Tensor, solver: str = "stationary", epsilon: str | float = "side") -> Tensor:
    options = SoftProposalOptions.parse({"solver": solver, "epsilon": epsilon}, "test")
    return SoftProposal(options)(features)


def golden_features() -> Tensor:
    c = torch.arange(6, dtype=torch.float64).view(6, 1, 1)
    i = torch.arange(4, dtype=torch.float64).view(1, 4, 1)
    j = torch.arange(4, dtype=torch.float64).view(1, 1, 4)
    wave = torch.sin(0.7 * c + 0.9 * i) + torch.cos(0.5 * c * j - 0.3 * i)
    return wave.clamp(min=0).unsqueeze(0)


def random_features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.relu(torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)


def reference_transition(features: Tensor, epsilon: float) -> Tensor:
    """D of one (C, H, W) map by the definition, position by position."""
    _, height, width = features.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    votes = torch.zeros(len(places), len(places), dtype=torch.float64)
    for a, (ya, xa) in enumerate(places):
        for b, (yb, xb) in enumerate(places):
            difference = (features[:, ya, xa] - features[:, yb, xb]).norm()
            near = math.exp(-((ya - yb) ** 2 + (xa - xb) ** 2) / (2 * epsilon**2))
            votes[a, b] = difference * near
    return votes / votes.sum(0)


def reference_power(transition: Tensor, limit: int, tolerance: float) -> tuple[Tensor, int]:
    """The authors' loop on one image, with the number of updates it made."""
    state = torch.full((len(transition),), 1 / len(transition), dtype=torch.float64)
    for count in range(limit):
        update = transition @ state
        if (update - state).norm() < tolerance:
            return state, count
        state = update / update.sum()
    return state, limit


@pytest.mark.parametrize("epsilon", GOLDEN)
def test_the_authors_rule_gives_the_golden_vectors(epsilon: float) -> None:
    iterations, text = GOLDEN[epsilon]
    expected = torch.tensor([float(v) for v in text.split()], dtype=torch.float64)
    found = proposal(golden_features(), "power", epsilon)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.flatten(), expected, atol=6e-8, rtol=0)
    plain, count = reference_power(reference_transition(golden_features()[0], epsilon), 20, 1e-4)
    assert count == iterations
    torch.testing.assert_close(found.flatten(), plain, atol=1e-12, rtol=0)


@pytest.mark.parametrize("epsilon", [*GOLDEN, "side", "area"])
def test_the_closed_form_is_what_5000_iterations_reach(epsilon: float | str) -> None:
    reach = resolve_epsilon(epsilon, 4, 4)
    limit, _ = reference_power(reference_transition(golden_features()[0], reach), 5000, 0.0)
    found = proposal(golden_features(), "stationary", epsilon)
    torch.testing.assert_close(found.flatten(), limit, atol=1e-9, rtol=0)


@pytest.mark.parametrize("shape", [(1, 2), (1, 5), (3, 3), (3, 6), (5, 7), (6, 2)])
def test_half_of_the_votes_say_all_of_them(shape: tuple[int, int]) -> None:
    """The sums of columns come from strips; sizes that strips do not divide count, too."""
    features = random_features(2, 3, *shape)
    votes = features.flatten(2).transpose(1, 2)
    places = [(y, x) for y in range(shape[0]) for x in range(shape[1])]
    near = [[math.exp(-((a - c) ** 2 + (b - d) ** 2) / 8) for c, d in places] for a, b in places]
    sums = (torch.cdist(votes, votes) * torch.tensor(near, dtype=torch.float64)).sum(dim=1)
    expected = sums / sums.sum(dim=1, keepdim=True)
    found = proposal(features, "stationary", 2.0).flatten(1)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_no_gradient_flows_through_the_proposal(solver: str) -> None:
    features = random_features(2, 3, 4, 5).requires_grad_()
    weight = random_features(2, 3, 4, 5, seed=1)
    objectness = proposal(features, solver)
    assert not objectness.requires_grad
    loss = (couple(features, objectness) * weight).sum()
    (gradient,) = torch.autograd.grad(loss, features)
    torch.testing.assert_close(gradient, weight * objectness.unsqueeze(1), atol=0, rtol=0)

    def difference(live: bool) -> float:
        """Central difference of the loss by one feature, with M following it or held."""
        values = []
        for step in (1e-6, -1e-6):
            moved = features.detach().clone()
            moved[1, 2, 3, 3] += step
            m = proposal(moved, solver) if live else objectness
            values.append((couple(moved, m) * weight).sum().item())
        return (values[0] - values[1]) / 2e-6

    assert gradient[1, 2, 3, 3].item() == pytest.approx(difference(live=False), rel=1e-6)
    assert gradient[1, 2, 3, 3].item() != pytest.approx(difference(live=True), rel=1e-3)


@pytest.mark.parametrize("solver", ["stationary", "power"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, 1000.0])
def test_constant_features_are_uniform(solver: str, dtype: torch.dtype, value: float) -> None:
    channels = torch.linspace(0.5, 1.5, 48).view(1, 48, 1, 1) * value
    found = proposal(channels.expand(2, 48, 5, 7).to(dtype), solver)
    assert found.eq(found.new_tensor(1 / 35)).all()


def test_one_odd_position_among_constant_ones_gets_half_of_everything() -> None:
    features = torch.ones(1, 512, 6, 6)
    features[0, :, 2, 4] = 2.0
    # All votes pass between it and the others: equal positions are at distance 0 exactly.
    assert proposal(features, "stationary", 2.0)[0, 2, 4].item() == pytest.approx(0.5, abs=1e-6)


def test_the_authors_rule_swings_where_the_closed_form_stands() -> None:
    # With two kinds of features only, confidence walks to and fro and never settles.
    features = torch.ones(1, 8, 6, 6)
    features[0, :, 2, 4] = 2.0
    assert proposal(features, "power", 2.0)[0, 2, 4].item() < 0.1


@pytest.mark.parametrize("shape", [(3, 9), (9, 3), (1, 7), (2, 2), (1, 1)])
@pytest.mark.parametrize("epsilon", ["side", "area", 1.5])
def test_maps_need_not_be_square(shape: tuple[int, int], epsilon: str | float) -> None:
    features = random_features(1, 4, *shape)
    found = proposal(features, "stationary", epsilon)[0]
    assert found.shape == shape
    assert found.sum().item() == pytest.approx(1)
    flipped = proposal(features.transpose(2, 3), "stationary", epsilon)[0]
    torch.testing.assert_close(flipped.T, found, atol=1e-12, rtol=0)


def test_epsilon_follows_the_size_of_each_forward() -> None:
    assert resolve_epsilon("side", 14, 14) == pytest.approx(2.1)
    assert resolve_epsilon("area", 14, 14) == pytest.approx(29.4)
    assert resolve_epsilon("side", 4, 16) == pytest.approx(0.15 * 8)
    module = SoftProposal(SoftProposalOptions())
    for side in (4, 7, 4):
        features = random_features(1, 5, side, side)
        expected = proposal(features, "stationary", 0.15 * side)
        torch.testing.assert_close(module(features), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, solver: str) -> None:
    features = random_features(2, 64, 7, 7).to(dtype)
    expected = proposal(features.float(), solver)
    found = proposal(features, solver)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(proposal(features.float(), solver), expected)


def test_float32_is_near_float64_even_on_a_common_offset() -> None:
    features = random_features(2, 256, 14, 14)
    for offset in (0.0, 1.0, 300.0):
        exact = proposal((features + offset).float().double())
        found = proposal((features + offset).float())
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=0)


def test_self_votes_are_zero() -> None:
    # Two positions: all that is left besides self-votes is what they say of each other.
    features = random_features(1, 512, 1, 2, dtype=torch.float32) * 100
    assert proposal(features).tolist() == [[[0.5, 0.5]]]


def test_each_image_of_a_batch_stops_on_its_own() -> None:
    slow, fast = golden_features(), torch.zeros(1, 6, 4, 4, dtype=torch.float64)
    fast[0, :, :2] = 1.0  # nearly stable at the start
    alone = [proposal(f, "power", 0.6) for f in (slow, fast)]
    together = proposal(torch.cat([slow, fast]), "power", 0.6)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-12, rtol=0)
    counts = {reference_power(reference_transition(f[0], 0.6), 20, 1e-4)[1] for f in (slow, fast)}
    assert len(counts) == 2


def test_a_batch_of_one_and_both_memory_formats_agree() -> None:
    features = random_features(3, 16, 6, 5, dtype=torch.float32)
    whole = proposal(features)
    for row in range(3):
        torch.testing.assert_close(proposal(features[row : row + 1])[0], whole[row])
    last = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(proposal(last), whole)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-4, 1e4), offset=st.floats(-10, 10))
def test_scale_offset_and_order_of_channels_do_not_matter(
    seed: int, scale: float, offset: float
) -> None:
    features = random_features(1, 8, 4, 6, seed=seed)
    expected = proposal(features)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(proposal(features[:, order]), expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(proposal(features * scale), expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(proposal(features + offset), expected, atol=1e-9, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 6), width=st.integers(1, 6))
def test_permuting_images_and_mirroring_maps_permutes_and_mirrors(
    seed: int, height: int, width: int
) -> None:
    features = random_features(3, 4, height, width, seed=seed)
    found = proposal(features)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(proposal(features[[2, 0, 1]]), found[[2, 0, 1]], atol=1e-12, rtol=0)
    torch.testing.assert_close(proposal(features.flip(3)), found.flip(2), atol=1e-12, rtol=0)


def test_it_can_be_used_in_inference_first_and_in_training_afterwards() -> None:
    features = random_features(1, 4, 3, 11)  # a size that no other test has cached
    with torch.inference_mode():
        first = proposal(features)
    features.requires_grad_()
    loss = couple(features, proposal(features)).sum()
    loss.backward()
    assert features.grad is not None
    torch.testing.assert_close(features.grad[0, 0], first[0].clone())


@pytest.mark.parametrize("value", ["sides", 0, -1.0, True, float("inf"), None])
def test_a_wrong_epsilon_is_refused_with_what_is_allowed(value: object) -> None:
    with pytest.raises(ConfigError, match=r"test: epsilon: .*'side', 'area' or a number above 0"):
        SoftProposalOptions.parse({"epsilon": value}, "test")
