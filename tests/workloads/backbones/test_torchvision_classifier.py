"""Classifiers of torchvision by name: their maps, their files, their preprocessing."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from workloads.backbones.torchvision_classifier import (
    TorchvisionClassifier,
    open_classifier,
    todays_names,
)
from workloads.errors import ConfigError, IntegrityError, NotFound

SMALL = "torchvision:shufflenet_v2_x0_5"


def saved(network: torch.nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("model", "maps"),
    [
        ("alexnet", "features.11"),
        ("densenet121", "features"),
        ("googlenet", "inception5b"),
        ("inception_v3", "Mixed_7c"),
        ("mobilenet_v3_small", "features"),
        ("regnet_y_400mf", "trunk_output"),
        ("resnet18", "layer4"),
        ("squeezenet1_1", "classifier.2"),
        ("swin_t", "permute"),
    ],
)
def test_the_last_map_is_found_before_pooling(model: str, maps: str) -> None:
    classifier = TorchvisionClassifier(f"torchvision:{model}")
    assert classifier.last_maps is classifier.network.get_submodule(maps)
    hooks = [len(module._forward_hooks) for module in classifier.modules()]
    assert not any(hooks)  # what it took to find it is gone


def test_a_network_of_tokens_classifies_but_has_no_maps() -> None:
    classifier = TorchvisionClassifier("torchvision:vit_b_32").eval()
    with torch.inference_mode():
        assert classifier.classify(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    with pytest.raises(ConfigError, match="vit_b_32 classifies tokens, not a feature map"):
        _ = classifier.last_maps


def test_logits_are_a_function_of_the_maps() -> None:
    classifier = TorchvisionClassifier("torchvision:resnet18").eval()
    logits, maps = classifier.with_maps(torch.randn(2, 3, 64, 96))
    assert maps.shape == (2, 512, 2, 3)
    torch.testing.assert_close(classifier.network.fc(maps.mean((2, 3))), logits)
    (gradient,) = torch.autograd.grad(logits[:, 7].sum(), maps)
    expected = classifier.network.fc.weight[7] / 6
    torch.testing.assert_close(gradient, expected[None, :, None, None].expand_as(maps))
    torch.testing.assert_close(classifier(torch.zeros(1, 3, 64, 64)).shape, (1, 1000))


def test_maps_after_which_a_network_works_in_place_have_gradients_too() -> None:
    """DenseNet's last ReLU overwrites the map; then the map is what the ReLU gives."""
    classifier = TorchvisionClassifier("torchvision:densenet121").eval()
    logits, maps = classifier.with_maps(torch.randn(1, 3, 64, 64))
    assert (maps >= 0).all()
    torch.testing.assert_close(classifier.network.classifier(maps.mean((2, 3))), logits)
    (gradient,) = torch.autograd.grad(logits[0, 3], maps)
    expected = classifier.network.classifier.weight[3] / 4
    torch.testing.assert_close(gradient, expected[None, :, None, None].expand_as(maps))


def test_another_threads_maps_are_not_taken_for_ones_own() -> None:
    classifier = TorchvisionClassifier(SMALL).eval()
    mine = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        _, expected = classifier.with_maps(mine)

    def interrupt(*_: object) -> None:
        handle.remove()
        other = threading.Thread(target=lambda: classifier.classify(torch.zeros(2, 3, 96, 96)))
        other.start()
        other.join()

    handle = classifier.network.fc.register_forward_hook(interrupt)  # after the map, before the end
    with torch.no_grad():
        _, maps = classifier.with_maps(mine)
    torch.testing.assert_close(maps, expected)


@pytest.mark.parametrize("model", ["googlenet", "inception_v3"])
def test_inception_networks_classify_as_torchvision_has_them_with_weights(
    model: str, tmp_path: Path
) -> None:
    """From a file with auxiliary classifiers, input converted, in training without more outputs."""
    theirs = models.get_model(model, init_weights=False, aux_logits=True, transform_input=True)
    classifier = open_classifier(f"torchvision:{model}", saved(theirs, tmp_path / "whole.pth"))
    batch = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(classifier.classify(batch), theirs.eval()(batch))
        assert classifier.train().classify(batch).shape == (2, 1000)


def test_a_file_may_have_other_classes(tmp_path: Path) -> None:
    theirs = models.shufflenet_v2_x0_5(num_classes=7)
    save_file(theirs.state_dict(), tmp_path / "birds.safetensors")
    classifier = open_classifier(SMALL, tmp_path / "birds.safetensors")
    assert (classifier.num_classes, classifier.categories) == (7, ())
    assert not classifier.training
    batch = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(classifier.classify(batch), theirs.eval()(batch))
    assert TorchvisionClassifier(SMALL).categories[0] == "tench"


def test_files_of_older_layouts_are_read(tmp_path: Path) -> None:
    """DenseNet's have a dot in names and no counters; MNASNet's must say their version to torch."""
    theirs = models.densenet121()
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in theirs.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet.pth")
    classifier = open_classifier("torchvision:densenet121", tmp_path / "densenet.pth")
    assert all(
        torch.equal(tensor, theirs.state_dict()[name])
        for name, tensor in classifier.network.state_dict().items()
    )
    save_file(models.mnasnet0_5().state_dict(), tmp_path / "mnasnet.safetensors")
    open_classifier("torchvision:mnasnet0_5", tmp_path / "mnasnet.safetensors")


def test_old_names_of_vision_transformers_are_todays() -> None:
    old = {
        "encoder.layers.encoder_layer_11.mlp.linear_1.weight": torch.zeros(1),
        "encoder.layers.encoder_layer_0.mlp.linear_2.bias": torch.zeros(2),
        "encoder.layers.encoder_layer_1.mlp.3.bias": torch.zeros(3),
        "heads.head.bias": torch.zeros(4),
    }
    assert list(todays_names(old)) == [
        "encoder.layers.encoder_layer_11.mlp.0.weight",
        "encoder.layers.encoder_layer_0.mlp.3.bias",
        "encoder.layers.encoder_layer_1.mlp.3.bias",
        "heads.head.bias",
    ]


@pytest.mark.parametrize("model", ["regnet_x_400mf", "vit_b_32", "resnet50"])
def test_facts_can_be_had_without_memory(model: str) -> None:
    with torch.device("meta"):
        assert TorchvisionClassifier(f"torchvision:{model}").input_size == 224


def test_a_file_of_another_network_is_refused_in_one_line(tmp_path: Path) -> None:
    path = saved(models.squeezenet1_1(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth does not fit ShuffleNetV2: missing: "):
        open_classifier(SMALL, path)
    tensors: dict[str, Tensor] = dict(models.shufflenet_v2_x0_5().state_dict())
    torch.save({**tensors, "conv1.0.weight": torch.zeros(2)}, tmp_path / "wrong.pth")
    with pytest.raises(
        ConfigError, match=r"wrong shape: conv1\.0\.weight \(given \(2,\)"
    ) as caught:
        open_classifier(SMALL, tmp_path / "wrong.pth")
    assert "\n" not in str(caught.value)


def test_without_a_file_the_published_one_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotFound, match=r"place torchvision's ShuffleNet_V2_X0_5_Weights\.IMAGENET"):
        open_classifier(SMALL)
    with pytest.raises(NotFound, match=r"absent\.pth: no such file"):
        open_classifier(SMALL, tmp_path / "absent.pth")


def test_published_files_are_checked_wherever_they_lie(tmp_path: Path) -> None:
    v1, v2 = (tmp_path / str(entry.url).rpartition("/")[2] for entry in models.MobileNet_V2_Weights)
    v1.write_bytes(b"half a file")
    v2.write_bytes(b"half a file")
    digest = hashlib.sha256(b"half a file").hexdigest()[:8]
    with pytest.raises(IntegrityError, match=f"its SHA-256 begins with {digest}"):
        open_classifier("torchvision:mobilenet_v2", v1)
    with pytest.raises(ConfigError, match=r"name the classifier torchvision:mobilenet_v2:.*_V2$"):
        open_classifier("torchvision:mobilenet_v2", v2)
    with pytest.raises(IntegrityError):
        open_classifier("torchvision:mobilenet_v2:IMAGENET1K_V2", v2)


def test_preprocessing_is_that_of_the_named_weights() -> None:
    first = TorchvisionClassifier("torchvision:mobilenet_v2")
    second = TorchvisionClassifier("torchvision:mobilenet_v2:IMAGENET1K_V2")
    assert str(first.weights) == "MobileNet_V2_Weights.IMAGENET1K_V1"
    assert (first.resize_size, first.input_size, first.interpolation) == (256, 224, "bilinear")
    assert (second.resize_size, second.input_size) == (232, 224)
    assert first.mean == (0.485, 0.456, 0.406)
    assert first.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet5", "unknown classifier .* 'resnet5'; did you mean 'resnet50'"),
        ("resnet50", "unknown classifier torchvision:<model> 'resnet50'"),
        ("torchvision:fcn_resnet50", "unknown classifier .* 'fcn_resnet50'"),
        ("torchvision:resnet18:V1", "unknown weights of torchvision:resnet18 'V1'.*IMAGENET1K_V1"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TorchvisionClassifier(name)
