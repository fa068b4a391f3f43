"""Every registered backbone: shapes, stages, and the same numbers as torchvision's networks."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from workloads.backbones.alexnet import AlexNet
from workloads.backbones.base import Backbone
from workloads.backbones.cnn_s import CnnS
from workloads.backbones.googlenet import GoogLeNet
from workloads.backbones.inception import (
    InceptionV3,
    InceptionV3At14,
    InceptionV3Spg,
    InceptionV3Toolkit,
    Reduction,
)
from workloads.backbones.registry import BACKBONES
from workloads.backbones.resnet import ResNet50, ResNet50Toolkit
from workloads.backbones.resnet_published import ResNet50Published
from workloads.backbones.tiny import Tiny
from workloads.backbones.torchvision_backbone import SequentialBackbone, TorchvisionBackbone
from workloads.backbones.vgg import Vgg16, Vgg16Acol, Vgg16Acol28, Vgg16At28, Vgg16Spg
from workloads.errors import ConfigError

# Rows of the map for H rows of input, from the published kernels, strides and paddings.
ROWS: dict[str, Callable[[int], int]] = {
    "tiny": lambda h: -(-h // 4),
    "alexnet": lambda h: (h - 15) // 16,
    "cnn_s": lambda h: -(-(h - 30) // 12),
    "vgg16": lambda h: h // 16,
    "googlenet": lambda h: -(-h // 2) // 8,
    "vgg16_28": lambda h: h // 8,
    "vgg16_spg": lambda h: -(-(h // 8) // 2),
    "vgg16_acol": lambda h: -(-h // 16),
    "vgg16_acol_28": lambda h: -(-h // 8),
    "inception_v3": lambda h: -(-h // 2) // 4,
    "inception_v3_spg": lambda h: -(-h // 2) // 4,
    "inception_v3_14": lambda h: -(-(-(-h // 2) // 4) // 2),
    "inception_v3_toolkit": lambda h: -(-h // 2) // 8,
    "resnet50": lambda h: -(-h // 16),
    "resnet50_toolkit": lambda h: -(-h // 16),
    "resnet50_published": lambda h: -(-h // 32),
}
AT_224 = {
    "tiny": 56, "alexnet": 13, "cnn_s": 17, "vgg16": 14,
    "vgg16_28": 28, "vgg16_spg": 14, "vgg16_acol": 14, "vgg16_acol_28": 28,
    "googlenet": 14, "resnet50": 14, "resnet50_toolkit": 14, "resnet50_published": 7,
    "inception_v3": 28, "inception_v3_spg": 28, "inception_v3_14": 14, "inception_v3_toolkit": 14,
}  # fmt: skip
OF_TORCHVISION = {
    AlexNet: "features.11",
    Vgg16: "features.29",
    GoogLeNet: "inception4e",
    InceptionV3: "Mixed_6e",
    InceptionV3At14: "Mixed_6e",
    ResNet50: "layer4",
    ResNet50Published: "layer4",
    ResNet50Toolkit: "layer4",
    Vgg16At28: "features.29",
    Vgg16Spg: "features.29",
}
VARIANT = re.compile("_(14|28|acol|spg|toolkit|published)")
WITH_LAYERS = [backbone for backbone in BACKBONES.values() if backbone.has_fully_connected]


@pytest.fixture(scope="module", params=sorted(BACKBONES))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    return BACKBONES[request.param]().eval()


def on_meta(kind: type[Backbone]) -> Backbone:
    return kind().to("meta")


def images(*size: int, device: str = "cpu") -> Tensor:
    return torch.randn(size[0] if len(size) > 2 else 1, 3, *size[-2:], device=device)


def as_torchvision(backbone: TorchvisionBackbone, network: nn.Module) -> nn.Module:
    """A network of torchvision's with the backbone's weights and zeros for all others."""
    own = backbone.state_dict()
    others = {n: torch.zeros(t.shape) for n, t in network.state_dict().items() if n not in own}
    network.load_state_dict({**others, **own}, assign=True)
    return network.eval()


def output_of(network: nn.Module, layer: str, batch: Tensor) -> Tensor:
    found: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: found.append(output)
    )
    with torch.no_grad(), hook:
        network(batch)
    return found[0]


@pytest.mark.parametrize("size", [(2, 64, 64), (1, 33, 101)])
def test_features_have_the_promised_shape(backbone: Backbone, size: tuple[int, int, int]) -> None:
    rows = ROWS[backbone.name]
    with torch.no_grad():
        features = backbone(images(*size))
        assert features.shape == (size[0], backbone.out_channels, rows(size[1]), rows(size[2]))
        assert (features >= 0).all()
        assert 1e-3 < features.std() < 1e3
        with torch.autocast("cpu", torch.bfloat16):
            low = backbone(images(*size))
            black = backbone(torch.zeros(size[0], 3, *size[1:]))
    assert torch.isfinite(low).all()
    assert torch.isfinite(black).all()


@pytest.mark.parametrize("kind", BACKBONES.values(), ids=BACKBONES)
def test_maps_of_any_size_follow_the_documented_formula(kind: type[Backbone]) -> None:
    rows, network = ROWS[kind.name], on_meta(kind)
    for height, width in ((32, 256), (47, 224), (129, 333)):
        features = network(images(height, width, device="meta"))
        assert features.shape[2:] == (rows(height), rows(width)), (height, width)
    assert rows(224) == AT_224[kind.name]
    assert abs(rows(224) - 224 / kind.stride) < 2


@pytest.mark.parametrize("kind", BACKBONES.values(), ids=BACKBONES)
def test_stages_and_blocks_are_as_promised(kind: type[Backbone]) -> None:
    size = kind.input_size
    names = tuple(kind.stage_channels)
    features, taps = on_meta(kind).tapped(images(size, size, device="meta"), names)
    assert {name: taps[name].shape[1] for name in taps} == dict(kind.stage_channels)
    assert tuple(taps) == names
    assert taps[names[-1]].shape == features.shape
    sides = {name: taps[name].shape[2] for name in names}
    before_a_halving = [a for a, b in pairwise(names) if sides[a] > 1.5 * sides[b]]
    assert kind.blocks == (*before_a_halving, names[-1])


def test_tapped_maps_are_not_changed_by_the_stages_after_them(backbone: Backbone) -> None:
    """A layer that works in place must not reach back into what was tapped."""
    batch = images(64, 64)
    with torch.no_grad():
        _, taps = backbone.tapped(batch, tuple(backbone.stage_channels))
        features = batch
        for name, stage in backbone.stages().items():
            features = stage(features)
            torch.testing.assert_close(taps[name], features)
            features = features.clone()


def test_an_image_gives_the_same_features_in_any_company(backbone: Backbone) -> None:
    batch = images(3, 64, 64)
    with torch.no_grad():
        alone, together = backbone(batch[1:2]), backbone(batch)[1:2]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)


def test_the_same_seed_gives_the_same_network(backbone: Backbone) -> None:
    torch.manual_seed(0)
    again = BACKBONES[backbone.name]().state_dict()
    assert all(torch.equal(t, again[name]) for name, t in backbone.state_dict().items())


def test_fresh_batch_normalisation_changes_nothing() -> None:
    """Memory that was just allocated holds anything; the running statistics must be set."""
    for kind in (GoogLeNet, InceptionV3, ResNet50):
        layers = [m for m in kind().modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(layers) > 10
        for layer in layers:
            assert layer.running_mean is not None
            assert layer.running_var is not None
            assert not layer.running_mean.any()
            assert not layer.bias.any()
            assert (layer.running_var == 1).all()
            assert (layer.weight == 1).all()
            assert layer.num_batches_tracked == 0


@pytest.mark.parametrize(("kind", "layer"), OF_TORCHVISION.items())
def test_features_are_those_of_torchvisions_network(
    kind: type[TorchvisionBackbone], layer: str
) -> None:
    """Wired as torchvision does it; Inception and ResNet with their changed strides."""
    backbone = kind().eval()
    network = as_torchvision(backbone, kind.on_meta_device())
    batch = images(96, 128)
    with torch.no_grad():
        features = backbone(batch)
    torch.testing.assert_close(features, output_of(network, layer, batch))


@pytest.mark.parametrize("kind", OF_TORCHVISION)
def test_every_tensor_of_torchvisions_network_is_used_or_ignored(
    kind: type[TorchvisionBackbone],
) -> None:
    with torch.device("meta"):
        network = models.get_model(VARIANT.sub("", kind.name), **_published_form(kind))
    backbone = kind()
    own, ignored = backbone.state_dict(), backbone.ignored_weights()
    published = network.state_dict()
    assert published.keys() == own.keys() | ignored
    assert not own.keys() & ignored
    assert all(published[name].shape == tensor.shape for name, tensor in own.items())
    assert models.get_weight(kind.weights_name)


def _published_form(kind: type[Backbone]) -> dict[str, bool]:
    inception = issubclass(kind, (GoogLeNet, InceptionV3))
    return {"aux_logits": True, "init_weights": False} if inception else {}


def test_googlenet_takes_the_same_pixels_as_torchvisions_converted_ones() -> None:
    backbone = GoogLeNet().eval()
    with torch.device("meta"):
        theirs = models.googlenet(aux_logits=True, init_weights=False, transform_input=True)
    network = as_torchvision(backbone, theirs)
    pixels = torch.rand(1, 3, 64, 64)
    usual = models.GoogLeNet_Weights.IMAGENET1K_V1.transforms()
    with torch.no_grad():
        features = backbone(normalised(pixels, backbone.mean, backbone.std))
    expected = output_of(network, "inception4e", normalised(pixels, usual.mean, usual.std))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))
    assert (InceptionV3.mean, InceptionV3.std) == (GoogLeNet.mean, GoogLeNet.std)


def normalised(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def test_every_second_position_of_resnet50_is_the_published_networks() -> None:
    backbone = ResNet50().eval()
    with torch.device("meta"):
        theirs = models.resnet50()
    batch = images(96, 96)
    with torch.no_grad():
        features = backbone(batch)
    expected = output_of(as_torchvision(backbone, theirs), "layer4", batch)
    torch.testing.assert_close(features[:, :, ::2, ::2], expected, rtol=1e-4, atol=1e-4)


def test_the_padded_reduction_is_torchvisions_away_from_the_border() -> None:
    ours = Reduction(models.inception.InceptionB(288), stride=2).eval()
    theirs = models.inception.InceptionB(288).eval()
    theirs.load_state_dict(ours.state_dict())
    maps = torch.rand(1, 288, 9, 9)
    with torch.no_grad():
        expected = theirs(nn.functional.pad(maps, (1, 1, 1, 1)))
        found, dense = ours(maps), at_stride_1(ours)(maps)
    assert found.shape == (1, 768, 5, 5)
    torch.testing.assert_close(found[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1])
    torch.testing.assert_close(dense[:, :, ::2, ::2], found)


def at_stride_1(reduction: Reduction) -> Reduction:
    other = Reduction(models.inception.InceptionB(288), stride=1).eval()
    other.load_state_dict(reduction.state_dict())
    return other


@pytest.mark.parametrize(
    ("pixels", "sides"),
    # 1a halves and rounds up, 2a takes two rows, the pooling goes to floor(n / 2) + 1, and again.
    [(224, (112, 110, 110, 56, 54, 28, 28)), (321, (161, 159, 159, 80, 78, 40, 40))],
)
def test_inceptions_stem_is_padded_as_in_the_released_code(
    pixels: int, sides: tuple[int, ...]
) -> None:
    stages = (
        "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3",
        "Conv2d_3b_1x1", "Conv2d_4a_3x3", "Mixed_5b", "Mixed_6e",
    )  # fmt: skip
    for kind in (InceptionV3, InceptionV3Spg):
        _, taps = on_meta(kind).tapped(images(pixels, pixels, device="meta"), stages)
        assert tuple(taps[stage].shape[2] for stage in stages) == sides


def test_inceptions_stem_written_out() -> None:
    backbone = InceptionV3().eval()
    batch = images(66, 78)

    def layer(name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        block = backbone.get_submodule(name)
        x = nn.functional.conv2d(x, block.conv.weight, stride=stride, padding=padding)
        return nn.functional.relu(block.bn(x))

    def pooled(x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(x, 3, 2, padding=1, ceil_mode=True)

    with torch.no_grad():
        x = layer("Conv2d_1a_3x3", batch, stride=2, padding=1)
        x = layer("Conv2d_2b_3x3", layer("Conv2d_2a_3x3", x), padding=1)
        x = pooled(layer("Conv2d_4a_3x3", layer("Conv2d_3b_1x1", pooled(x))))
        _, taps = backbone.tapped(batch, ["Mixed_5b"])
        torch.testing.assert_close(taps["Mixed_5b"], backbone.get_submodule("Mixed_5b")(x))


def test_inceptions_unpadded_layers_are_those_of_torchvisions_network() -> None:
    """Without the first padding and with the two poolings as published, all of it is."""
    backbone = InceptionV3().eval()
    network = as_torchvision(backbone, models.inception_v3(aux_logits=True, init_weights=False))
    backbone.get_submodule("Conv2d_1a_3x3.conv").padding = (0, 0)
    for name in ("maxpool1", "maxpool2"):
        pooling = backbone.get_submodule(name)
        pooling.padding, pooling.ceil_mode = 0, False
    batch = images(80, 96)
    with torch.no_grad():
        _, taps = backbone.tapped(batch, ["Mixed_5d"])
    torch.testing.assert_close(taps["Mixed_5d"], output_of(network, "Mixed_5d", batch))


def test_the_toolkits_inception_pools_before_mixed_6a() -> None:
    backbone, dense = InceptionV3Toolkit().eval(), InceptionV3().eval()
    dense.load_state_dict(backbone.state_dict())
    batch = images(96, 112)
    with torch.no_grad():
        features, taps = backbone.tapped(batch, ["Mixed_5d", "maxpool3"])
        _, ours = dense.tapped(batch, ["Mixed_5d"])
        x = nn.functional.max_pool2d(ours["Mixed_5d"], 3, 2, ceil_mode=True)
        torch.testing.assert_close(taps["Mixed_5d"], ours["Mixed_5d"])
        torch.testing.assert_close(taps["maxpool3"], x)
        for name in ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = dense.get_submodule(name)(x)
    torch.testing.assert_close(features, x)
    _, taps = on_meta(InceptionV3Toolkit).tapped(images(224, 224, device="meta"), ["maxpool3"])
    assert taps["maxpool3"].shape[1:] == (288, 14, 14)


def test_the_toolkits_networks_expect_imagenets_normalisation() -> None:
    usual = models.VGG16_Weights.IMAGENET1K_V1.transforms()
    for kind in (InceptionV3Spg, InceptionV3Toolkit, ResNet50Toolkit, Vgg16At28, Vgg16Acol):
        assert (kind.mean, kind.std) == (tuple(usual.mean), tuple(usual.std))


def test_layer4_of_the_toolkits_resnet50_has_neither_stride_nor_dilation() -> None:
    layers = [m for m in ResNet50Toolkit().layer4.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 10
    assert {m.stride for m in layers} == {m.dilation for m in layers} == {(1, 1)}
    spatial = [m for m in layers if m.kernel_size == (3, 3)]
    assert [m.padding for m in spatial] == [(1, 1)] * 3


def test_the_toolkits_vgg16_for_spg_pools_3x3_before_b1() -> None:
    backbone, plain = Vgg16Spg().eval(), Vgg16().eval()
    plain.load_state_dict(backbone.state_dict())
    batch = images(66, 82)
    with torch.no_grad():
        features, taps = backbone.tapped(batch, ["pool4"])
        _, ours = plain.tapped(batch, ["conv4_3"])
        x = nn.functional.max_pool2d(ours["conv4_3"], 3, 2, padding=1)
        torch.testing.assert_close(taps["pool4"], x)
        torch.testing.assert_close(features, plain.features[24:](x))


@pytest.mark.parametrize(("kind", "fourth"), [(Vgg16Acol, 2), (Vgg16Acol28, 1)])
def test_acols_vgg16_written_out(kind: type[Vgg16Acol], fourth: int) -> None:
    backbone = kind().eval()
    layers = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    batch = x = images(50, 66)
    with torch.no_grad():
        for number, convolution in enumerate(layers, start=1):
            weight, bias = convolution.weight, convolution.bias
            x = nn.functional.relu(nn.functional.conv2d(x, weight, bias, padding=1))
            if number in (2, 4, 7, 10, 13):
                stride = {10: fourth, 13: 1}.get(number, 2)
                x = nn.functional.max_pool2d(x, 3, stride, padding=1)
        expected = nn.functional.avg_pool2d(x, 3, 1, padding=1)
        torch.testing.assert_close(backbone(batch), expected)


def test_cnn_s_normalises_as_the_published_model() -> None:
    """LRN after the first ReLU: x / (2 + 5e-4 / 5 * sum over 5 channels of x^2) ^ 0.75."""
    x = torch.rand(1, 96, 2, 2) * 100
    squares = nn.functional.pad(x.square(), (0, 0, 0, 0, 2, 2))
    total = sum(squares[:, at : at + 96] for at in range(5))
    torch.testing.assert_close(CnnS().features[2](x), x / (2 + 1e-4 * total) ** 0.75)


@pytest.mark.parametrize("kind", [AlexNet, Vgg16])
def test_at_224_the_hidden_layers_are_torchvisions(
    kind: type[SequentialBackbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "hidden_channels", 32)
    backbone = kind(fully_connected=True).eval()
    network = kind.on_meta_device()
    first, second = (int(name) for name in kind.hidden_names)
    network.classifier[first] = nn.Linear(kind.out_channels * kind.grid**2, 32)
    network.classifier[second] = nn.Linear(32, 32)
    as_torchvision(backbone, network)
    network.classifier[-1] = nn.Identity()
    batch = images(224, 224)
    with torch.no_grad():
        features = backbone(batch)
        hidden = backbone.hidden(features)
        assert features.shape[2:] == (kind.grid, kind.grid)
        torch.testing.assert_close(hidden[:, :, 0, 0], network(batch))
        assert hidden.shape == (1, 32, 1, 1)


@pytest.mark.parametrize("kind", WITH_LAYERS)
def test_hidden_layers_slide_over_larger_maps(
    kind: type[Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "hidden_channels", 32)
    backbone = kind(fully_connected=True)
    side = kind.grid
    features = torch.rand(2, kind.out_channels, side + 1, side + 2)
    with torch.no_grad():
        hidden = backbone.eval().hidden(features)
        window = backbone.hidden(features[:, :, 1 : side + 1, 2 : side + 2])
        assert hidden.shape == (2, 32, 2, 3)
        torch.testing.assert_close(hidden[:, :, 1:, 2:], window)
        dropped = [backbone.train().hidden(features) for _ in range(2)]
    assert kind is Tiny or not torch.equal(*dropped)


def test_dropout_is_before_the_hidden_layers_of_alexnet_and_after_those_of_vgg16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind, after in ((AlexNet, False), (Vgg16, True)):
        monkeypatch.setattr(kind, "hidden_channels", 256)
        backbone = kind(fully_connected=True).train()
        for parameter in backbone.classifier.parameters():
            nn.init.constant_(parameter, 0.1)  # so that only dropout can give a 0
        with torch.no_grad():
            hidden = backbone.hidden(torch.ones(1, kind.out_channels, kind.grid, kind.grid))
        dropped = float((hidden == 0).float().mean())
        assert abs(dropped - 0.5) < 0.2 if after else dropped == 0


def test_what_a_backbone_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'vgg'; did you mean 'vgg16'\?"):
        BACKBONES["vgg"]
    for kind in BACKBONES.values():
        if not kind.has_fully_connected:
            with pytest.raises(ConfigError, match=f"{kind.name} has no fully connected layers"):
                kind(fully_connected=True)
            assert (kind.grid, kind.hidden_channels) == (0, 0)
    with pytest.raises(ConfigError, match="alexnet was made without fully connected layers"):
        AlexNet().hidden(torch.zeros(1, 256, 6, 6))
    with pytest.raises(ConfigError, match=r"unknown stage of backbone alexnet 'conv6'"):
        AlexNet().tapped(images(64, 64), ["conv6"])
