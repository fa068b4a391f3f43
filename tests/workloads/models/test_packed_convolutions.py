"""Packed convolutions answer as torch's own, whatever their shape, and learn nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from workloads.models.packed_convolutions import PackedConvolution, pack_convolutions


def packed(network: nn.Module, usual: Tensor) -> nn.Module:
    """A copy of a network with packed convolutions."""
    torch.manual_seed(0)
    pack_convolutions(network.eval().requires_grad_(False), lambda: network(usual))
    return network


@st.composite
def convolutions(draw: st.DrawFn) -> nn.Conv2d:
    groups = draw(st.sampled_from([1, 2, 4]))
    whole = st.integers(1, 4)
    torch.manual_seed(draw(whole))
    return nn.Conv2d(
        4 * draw(whole), 4 * draw(whole), draw(st.sampled_from([1, 2, 3, (1, 3)])),
        stride=draw(st.integers(1, 2)), padding=draw(st.integers(0, 3)),
        dilation=draw(st.integers(1, 3)), groups=groups, bias=draw(st.booleans()),
    )  # fmt: skip


@settings(max_examples=60)
@given(convolutions(), st.integers(9, 20), st.integers(9, 20), st.booleans())
def test_any_convolution_of_any_image(own: nn.Conv2d, side: int, other: int, last: bool) -> None:
    images = torch.randn(1, own.in_channels, side, other)
    if last:
        images = images.to(memory_format=torch.channels_last)
    network = nn.Sequential(own)
    expected = network(images).detach()
    usual = torch.randn(1, own.in_channels, 16, 16)
    found = packed(network, usual)
    assert type(found[0]) is PackedConvolution
    torch.testing.assert_close(found(images), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(found(images), found(images))


def small() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))


def test_what_was_asked_before_changes_no_bit() -> None:
    few, many = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 90, 70)
    usual = torch.randn(1, 3, 32, 32)
    one, other = packed(small(), usual), packed(small(), usual)
    one(few)
    assert torch.equal(one(many), other(many))
    assert torch.equal(one(few), other(few))


def test_gradients_are_torchs_own() -> None:
    plain, images = small().eval().requires_grad_(False), torch.randn(1, 3, 16, 16)
    of_plain = images.clone().requires_grad_()
    plain(of_plain).square().sum().backward()
    of_packed = images.clone().requires_grad_()
    packed(small(), images)(of_packed).square().sum().backward()
    assert torch.equal(of_packed.grad, of_plain.grad)


def test_what_is_saved_is_the_same() -> None:
    before, after = small().state_dict(), packed(small(), torch.randn(1, 3, 8, 8)).state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_new_weights_are_packed_anew() -> None:
    images, network = torch.randn(1, 3, 16, 16), small()
    first = packed(network, images)(images)
    torch.manual_seed(5)
    for weight in network.parameters():
        weight.normal_()
    again = packed(network, images)
    assert not torch.equal(again(images), first)
    expected = small()
    expected.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(images), expected(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 3).double(),
    ],
)
def test_others_stay_as_they_are(other: nn.Conv2d) -> None:
    images = torch.randn(1, 3, 8, 8, dtype=other.weight.dtype)
    assert type(packed(nn.Sequential(other), images)[0]) is nn.Conv2d


def test_what_the_pass_does_not_come_by_stays() -> None:
    network = small()
    pack_convolutions(network, lambda: network[0](torch.randn(1, 3, 8, 8)))
    assert [type(network[k]) for k in (0, 2)] == [PackedConvolution, nn.Conv2d]


def test_without_the_operator_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert type(packed(small(), torch.randn(1, 3, 8, 8))[0]) is nn.Conv2d
