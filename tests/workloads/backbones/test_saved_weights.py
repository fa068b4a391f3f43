"""Weights as training scripts save them are read under the network's own names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from workloads.backbones.saved_weights import without_prefix
from workloads.backbones.tiny import Tiny
from workloads.backbones.weights import load_weights, read_weights
from workloads.errors import ConfigError

NET = Tiny()
WEIGHTS = {name: torch.full_like(t, 3) for name, t in NET.state_dict().items()}
WRAPPED = {f"module.{name}": tensor for name, tensor in WEIGHTS.items()}


@pytest.mark.parametrize(
    "saved",
    [
        WRAPPED,
        {f"_orig_mod.module.{name}": tensor for name, tensor in WEIGHTS.items()},
        {"epoch": 3, "state_dict": WEIGHTS, "optimizer": {"lr": 0.1}},
        {"model": WRAPPED, "epoch": 3},
    ],
    ids=["data parallel", "compiled", "checkpoint", "both"],
)
def test_what_scripts_save_fits(tmp_path: Path, saved: dict) -> None:
    torch.save(saved, tmp_path / "w.pth")
    network = Tiny()
    load_weights(network, tmp_path / "w.pth")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, WEIGHTS[name]), name


def test_a_prefix_of_some_names_is_part_of_them() -> None:
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert without_prefix(mixed) == mixed
    assert without_prefix({}) == {}


def test_a_whole_network_is_refused_in_one_plain_line(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "net.pth")
    with pytest.raises(ConfigError) as raised:
        read_weights(tmp_path / "net.pth")
    message = str(raised.value)
    assert "it holds objects beside tensors, a whole network say" in message
    assert "save the network's state_dict()" in message
    assert "\x1b" not in message
    assert "\n" not in message
    assert len(message) < 400
