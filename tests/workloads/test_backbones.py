"""Every registered backbone, and weights from files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from workloads.backbones import BACKBONES
from workloads.backbones.base import Backbone
from workloads.backbones.vgg import Vgg16
from workloads.backbones.weights import load_weights
from workloads.errors import ConfigError, IntegrityError, NotFound


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=sorted(BACKBONES))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    return BACKBONES[request.param]().eval()


def published_vgg16() -> dict[str, Tensor]:
    """Names of torchvision's file; the classifier's shapes do not matter, so they are small."""
    tensors = dict(Vgg16().state_dict())
    return tensors | {name: torch.zeros(2) for name in Vgg16().ignored_weights()}


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_features_have_the_promised_shape(backbone: Backbone, size: tuple[int, int]) -> None:
    features = backbone(torch.randn(2, 3, *size))
    stride = backbone.stride
    assert features.shape == (2, backbone.out_channels, size[0] // stride, size[1] // stride)
    assert (features >= 0).all()
    assert features.std() > 1e-3
    assert backbone.input_size % stride == 0


def test_the_same_seed_gives_the_same_network(backbone: Backbone) -> None:
    torch.manual_seed(0)
    again = BACKBONES[backbone.name]().state_dict()
    assert all(torch.equal(t, again[name]) for name, t in backbone.state_dict().items())


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (33, 16)])
def test_tiny_takes_any_size(size: tuple[int, int]) -> None:
    features = BACKBONES["tiny"]()(torch.randn(2, 3, *size))
    assert features.shape == (2, 128, -(-size[0] // 4), -(-size[1] // 4))


def test_vgg16_ends_before_the_last_pool() -> None:
    with torch.device("meta"):
        published = {name: t.shape for name, t in Vgg16().state_dict().items()}
    assert len(published) == 26
    assert published["features.28.weight"] == (512, 512, 3, 3)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_are_loaded_from_a_file(backbone: Backbone, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    tensors = {name: t.clone() for name, t in backbone.state_dict().items()}
    if suffix == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    other = BACKBONES[backbone.name]()
    load_weights(other, path)
    assert all(torch.equal(t, tensors[name]) for name, t in other.state_dict().items())


def test_the_classifier_of_torchvisions_vgg16_is_ignored_by_name(tmp_path: Path) -> None:
    torch.save(published_vgg16(), tmp_path / "vgg16.pth")
    load_weights(Vgg16(), tmp_path / "vgg16.pth")
    torch.save({**published_vgg16(), "classifier.9.bias": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(ConfigError, match=r"unexpected: classifier\.9\.bias$"):
        load_weights(Vgg16(), tmp_path / "more.pth")


def test_every_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    tiny = BACKBONES["tiny"]()
    tensors = {name: torch.ones_like(t) for name, t in tiny.state_dict().items()}
    del tensors["features.0.weight"]
    tensors["features.1.bias"] = torch.ones(5)
    tensors["fc.weight"] = torch.ones(1)
    save_file(tensors, tmp_path / "w.safetensors")
    before = {name: t.clone() for name, t in tiny.state_dict().items()}
    with pytest.raises(ConfigError) as caught:
        load_weights(tiny, tmp_path / "w.safetensors")
    message = str(caught.value)
    assert "missing: features.0.weight" in message
    assert "unexpected: fc.weight" in message
    assert "wrong shape: features.1.bias (given (5,), expected (32,))" in message
    assert all(torch.equal(t, before[name]) for name, t in tiny.state_dict().items())


def test_a_missing_file_says_what_to_place_where(backbone: Backbone, tmp_path: Path) -> None:
    wanted = backbone.weights() or f"a state dict of backbone '{backbone.name}'"
    with pytest.raises(NotFound, match=rf"absent\.pth: no such file; place .*{wanted}"):
        load_weights(backbone, tmp_path / "absent.pth")


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    tiny = BACKBONES["tiny"]()
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ConfigError, match="not a torch state dict"):
        load_weights(tiny, tmp_path / "text.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(ConfigError, match="not a torch state dict"):
        load_weights(tiny, tmp_path / "empty.pth")
    torch.save(tiny, tmp_path / "pickled.pth")  # a whole module would run code
    with pytest.raises(ConfigError, match="not a torch state dict"):
        load_weights(tiny, tmp_path / "pickled.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="something else than named tensors"):
        load_weights(tiny, tmp_path / "other.pth")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(IntegrityError, match="not a whole safetensors file"):
        load_weights(tiny, tmp_path / "text.safetensors")


def test_an_unknown_backbone_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'vgg'; did you mean 'vgg16'\?"):
        BACKBONES["vgg"]
