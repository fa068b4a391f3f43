"""timm's networks as backbones: with a small stand-in for the package, and with the real one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from workloads.backbones.registry import BACKBONES
from workloads.backbones.timm_network import TimmNetwork, timm_network
from workloads.backbones.weights import load_weights
from workloads.errors import ConfigError
from workloads.methods.base import Targets
from workloads.methods.registry import build_method


class Small(nn.Module):
    """A network as timm has them: features, then layers of which a map needs nothing."""

    default_cfg: ClassVar = {
        "input_size": (3, 32, 32),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.2, 0.2, 0.2),
    }

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.head_norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, num_classes) if num_classes else nn.Identity()

    def forward_features(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(self.stem(images)))


class Tokens(Small):
    def forward_features(self, images: Tensor) -> Tensor:
        return super().forward_features(images).flatten(2).transpose(1, 2)


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package that knows two networks."""
    made: Any = ModuleType("timm")
    known = {"small": Small, "tokens": Tokens}
    made.is_model = known.__contains__
    made.list_models = lambda: list(known)

    def create_model(name: str, *, pretrained: bool, **options: int) -> nn.Module:
        assert not pretrained, "nothing is downloaded"
        return known[name](**options)

    made.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", made)
    timm_network.cache_clear()
    yield made
    timm_network.cache_clear()


def test_facts_features_and_weights_are_those_of_the_network(timm: Any, tmp_path: Path) -> None:
    kind = BACKBONES["timm:small"]
    assert issubclass(kind, TimmNetwork)
    assert (kind.out_channels, kind.stride, kind.input_size) == (4, 4, 32)
    assert (kind.mean, kind.std) == ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    torch.manual_seed(3)
    theirs = Small().eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    backbone = kind().eval()
    assert kind.left_out == ("head_norm",)
    load_weights(backbone, tmp_path / "w.pth")
    images = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), theirs.forward_features(images))


def test_every_parameter_is_learnt_and_building_draws_nothing_else(timm: Any) -> None:
    torch.manual_seed(5)
    built = build_method("cam", "timm:small", 3, "singlelabel").train()
    torch.manual_seed(5)
    again = build_method("cam", "timm:small", 3, "singlelabel")  # its facts are known by now
    for one, other in zip(built.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    images, labels = torch.randn(2, 3, 32, 32), torch.eye(3)[:2]
    sum(built.loss(built(images, Targets(labels)), Targets(labels)).values()).backward()
    assert [name for name, p in built.named_parameters() if p.grad is None] == []
    assert built.eval().localize(images).scores.shape == (2, 3)


def test_what_cannot_be_a_backbone_says_so(timm: Any) -> None:
    with pytest.raises(ConfigError, match=r"unknown network of timm 'smal'; did you mean 'small'"):
        build_method("cam", "timm:smal", 3, "singlelabel")
    with pytest.raises(ConfigError, match=r"gives \(1, 256, 4\) for an image, not"):
        build_method("cam", "timm:tokens", 3, "singlelabel")
    assert "timm:small" in BACKBONES
    assert "timm:tokens" not in BACKBONES


def test_without_the_package_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    timm_network.cache_clear()
    with pytest.raises(ConfigError, match="timm is not installed; pip install timm"):
        build_method("cam", "timm:convnext_tiny", 3, "singlelabel")


@pytest.mark.parametrize(
    ("model", "channels", "stride"),
    [("resnet10t", 512, 32), ("convnext_atto", 320, 32), ("mobilenetv3_small_050", 288, 32)],
)
def test_the_real_package(model: str, channels: int, stride: int, tmp_path: Path) -> None:
    real = pytest.importorskip("timm")
    kind = timm_network(f"timm:{model}")
    assert (kind.out_channels, kind.stride) == (channels, stride)
    theirs = real.create_model(model, pretrained=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    backbone = kind().eval()
    load_weights(backbone, tmp_path / "w.pth")
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), theirs.forward_features(images))
    images, labels = torch.randn(2, 3, 64, 64), torch.eye(3)[:2]
    built = build_method("cam", f"timm:{model}", 3, "singlelabel").train()
    sum(built.loss(built(images, Targets(labels)), Targets(labels)).values()).backward()
    assert [name for name, p in built.named_parameters() if p.grad is None] == []
