"""Weights from files: every tensor is accounted for, and published files are found and checked."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from workloads.backbones import weights as weights_module
from workloads.backbones.base import Backbone
from workloads.backbones.cnn_s import CnnS
from workloads.backbones.googlenet import GoogLeNet
from workloads.backbones.registry import BACKBONES
from workloads.backbones.tiny import Tiny
from workloads.backbones.torchvision_backbone import TorchvisionBackbone
from workloads.backbones.vgg import Vgg16
from workloads.backbones.weights import (
    check_hash,
    load_weights,
    published_file,
    read_weights,
)
from workloads.errors import ConfigError, IntegrityError, NotFound

PUBLISHED = [kind for kind in BACKBONES.values() if issubclass(kind, TorchvisionBackbone)]


def published(backbone: Backbone) -> dict[str, Tensor]:
    """As torchvision's file; the shapes of what is ignored do not matter, so they are small."""
    return backbone.state_dict() | {name: torch.zeros(2) for name in backbone.ignored_weights()}


def same(one: Backbone, other: Backbone) -> bool:
    tensors = other.state_dict()
    return all(torch.equal(t, tensors[name]) for name, t in one.state_dict().items())


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("kind", [Tiny, CnnS])
def test_weights_are_loaded_from_a_file(kind: type[Backbone], suffix: str, tmp_path: Path) -> None:
    path, written, read = tmp_path / f"weights.{suffix}", kind(), kind()
    assert not same(written, read)
    save = save_file if suffix == "safetensors" else torch.save
    save(written.state_dict(), path)
    load_weights(read, path)
    assert same(written, read)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_what_a_published_file_has_beyond_the_backbone_is_ignored_by_name(
    kind: type[Backbone], tmp_path: Path
) -> None:
    path, written, read = tmp_path / "published.pth", kind(), kind()
    torch.save(published(written), path)
    load_weights(read, path)
    assert same(written, read)


def test_a_tensor_that_no_one_knows_is_refused(tmp_path: Path) -> None:
    tensors = published(Vgg16()) | {"classifier.9.bias": torch.zeros(1)}
    torch.save(tensors, tmp_path / "more.pth")
    with pytest.raises(ConfigError, match=r"unexpected: classifier\.9\.bias$"):
        load_weights(Vgg16(), tmp_path / "more.pth")


def test_with_its_own_layers_a_backbone_wants_them_from_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Vgg16, "hidden_channels", 8)
    backbone = Vgg16(fully_connected=True)
    assert backbone.ignored_weights() == {"classifier.6.weight", "classifier.6.bias"}
    torch.save(Vgg16().state_dict(), tmp_path / "features.pth")
    with pytest.raises(ConfigError, match=r"missing: classifier\.0\.bias, classifier\.0\.weight"):
        load_weights(backbone, tmp_path / "features.pth")


@pytest.mark.parametrize("kind", [Tiny, GoogLeNet])
def test_old_files_may_lack_the_counters_of_batch_normalisation_only(
    kind: type[Backbone], tmp_path: Path
) -> None:
    written, read = kind(), kind()
    tensors = written.state_dict()
    counters = [name for name in tensors if name.endswith("num_batches_tracked")]
    assert counters
    old = {name: t for name, t in tensors.items() if name not in counters}
    save_file(old, tmp_path / "old.safetensors")
    load_weights(read, tmp_path / "old.safetensors")
    assert same(written, read)
    name = next(name for name in old if name.endswith("running_mean"))
    save_file({n: t for n, t in old.items() if n != name}, tmp_path / "broken.safetensors")
    with pytest.raises(ConfigError, match=f"missing: {name}$"):
        load_weights(read, tmp_path / "broken.safetensors")


def test_every_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    tiny = Tiny()
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


@pytest.mark.parametrize("kind", BACKBONES.values(), ids=BACKBONES)
def test_a_missing_file_says_what_to_place_where(kind: type[Backbone], tmp_path: Path) -> None:
    backbone = kind()
    wanted = backbone.weights() or f"a state dict of backbone '{backbone.name}'"
    with pytest.raises(NotFound, match=rf"absent\.pth: no such file; place .*{wanted}"):
        load_weights(backbone, tmp_path / "absent.pth")


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    tiny = Tiny()
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
    with pytest.raises(NotFound, match=r"absent\.pth: no such file"):
        read_weights(tmp_path / "absent.pth")


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_published_file_is_looked_for_where_torch_keeps_it(
    kind: type[Backbone], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    backbone = kind()
    folder = tmp_path / "hub" / "checkpoints"
    with pytest.raises(NotFound) as caught:
        published_file(backbone)
    message = str(caught.value)
    with pytest.raises(NotFound, match=re.escape(message)):
        published_file(str(backbone.weights()))
    path, _, rest = message.partition(": ")
    assert Path(path).parent == folder
    assert Path(path).suffix == ".pth"
    assert rest.startswith(f"no such file; place torchvision's {backbone.weights()} there")
    assert "path of another file" in rest
    assert "http" not in message
    folder.mkdir(parents=True)
    Path(path).write_bytes(b"something else")
    with pytest.raises(IntegrityError, match=r"its SHA-256 begins with .* copy the file again"):
        published_file(backbone)


def test_a_published_file_with_the_hash_of_its_name_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    content = b"weights"
    name = f"net_v2.1-a-{hashlib.sha256(content).hexdigest()[:10]}.pth"
    entry = SimpleNamespace(url=f"https://example.invalid/models/{name}")
    monkeypatch.setattr(weights_module, "_published", lambda _: entry)
    path = tmp_path / "hub" / "checkpoints" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert published_file("Net_Weights.V1") == path


def test_a_name_without_a_hash_is_not_checked(tmp_path: Path) -> None:
    for name in ("weights.pth", "my-net.pth", "net-1234567.pth"):
        (tmp_path / name).write_bytes(b"weights")
        check_hash(tmp_path / name)


def test_unknown_weights_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no weights 'VGG16_Weight\.IMAGENET1K_V1'; .*VGG16_W"):
        published_file("VGG16_Weight.IMAGENET1K_V1")
    with pytest.raises(ConfigError, match=r"ResNet50_Weights\.IMAGENET1K_V2"):
        published_file("ResNet50_Weights.IMAGENET1K_V3")
    with pytest.raises(ConfigError, match="a name is like VGG16_Weights"):
        published_file("x")
    for kind in (Tiny, CnnS):
        with pytest.raises(ConfigError, match=f"backbone {kind.name}: .* no ImageNet weights"):
            published_file(kind())
