"""torchvision's networks as backbones: their own features, their own weights, nothing unused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from workloads.backbones.feature_network import feature_network
from workloads.backbones.weights import load_weights
from workloads.errors import ConfigError
from workloads.methods.base import Targets
from workloads.methods.registry import build_method

SMALL = "torchvision:shufflenet_v2_x0_5"


def shufflenet_features(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    for name in ("conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"):
        images = network.get_submodule(name)(images)
    return images


def resnet_features(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        images = network.get_submodule(name)(images)
    return images


def mobilenet_features(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return network.get_submodule("features")(images)


# Channels and stride as the papers of the networks have them.
@pytest.mark.parametrize(
    ("model", "channels", "stride", "features"),
    [
        ("shufflenet_v2_x0_5", 1024, 32, shufflenet_features),
        ("resnet18", 512, 32, resnet_features),
        ("mobilenet_v3_small", 576, 32, mobilenet_features),
    ],
)
def test_features_and_weights_are_those_of_torchvision(
    tmp_path: Path, model, channels, stride, features
) -> None:
    torch.manual_seed(3)
    theirs = torchvision.models.get_model(model, weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    kind = feature_network(f"torchvision:{model}")
    assert (kind.out_channels, kind.stride, kind.input_size) == (channels, stride, 224)
    backbone = kind().eval()
    load_weights(backbone, tmp_path / "w.pth")
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found, expected = backbone(images), features(theirs, images)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert found.shape == (2, channels, 2, 3)
    assert str(backbone.weights()).endswith("IMAGENET1K_V1")


@pytest.mark.parametrize("method", ["cam", "spn", "acol"])
def test_every_parameter_is_learnt_and_none_is_left_over(method: str) -> None:
    built = build_method(method, SMALL, 3, "singlelabel").train()
    images, labels = torch.randn(2, 3, 64, 64), torch.eye(3)[:2]
    targets = Targets(labels)
    sum(built.loss(built(images, targets), targets).values()).backward()
    assert [name for name, p in built.named_parameters() if p.grad is None] == []
    again = build_method(method, SMALL, 3, "singlelabel")
    again.load_state_dict(built.state_dict())
    with torch.no_grad():
        scores = [m.eval().localize(images).scores for m in (built, again)]
    torch.testing.assert_close(*scores)


def test_what_cannot_be_a_backbone_says_so() -> None:
    with pytest.raises(ConfigError, match="classifies tokens, not a feature map"):
        build_method("cam", "torchvision:vit_b_32", 3, "singlelabel")
    with pytest.raises(ConfigError, match="needs fully connected layers"):
        build_method("oquab", SMALL, 3, "singlelabel")
    with pytest.raises(ConfigError, match="has no stages for its guidance"):
        build_method("spg", SMALL, 3, "singlelabel")
