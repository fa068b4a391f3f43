"""Saliency-aware localization: its decoder, its losses, and that inference is CAM's."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from workloads.backbones.base import Backbone
from workloads.backbones.registry import BACKBONES
from workloads.errors import ConfigError
from workloads.methods.base import Targets
from workloads.methods.registry import build_method
from workloads.methods.saliency_aware.decoder import SaliencyDecoder
from workloads.methods.saliency_aware.perceptual_triplet import Perceptual, triplet_loss
from workloads.methods.saliency_aware.saliency_aware import Saliency, map_loss
from workloads.training.optimizer import make_optimizer
from workloads.training.options import TrainOptions

CLASSES = 3
SIZE = 32


def saliency(**options: object) -> Saliency:
    method = build_method("saliency-aware", "tiny", CLASSES, "multilabel", "tiny", options)
    assert isinstance(method, Saliency)
    return method


def batch(size: int = SIZE, count: int = 2) -> tuple[Tensor, Targets]:
    images = torch.randn(count, 3, size, size)
    labels = torch.eye(CLASSES).repeat(2, 1)[:count]
    return images, Targets(labels, saliency=torch.rand(count, size, size))


def decoded(backbone: Backbone, height: int, width: int, detach: bool = False) -> Tensor:
    decoder = SaliencyDecoder(type(backbone), backbone.out_channels, 8)
    images = torch.randn(1, 3, height, width)
    last, taps = backbone.tapped(images, backbone.blocks)
    result: Tensor = decoder(last.detach() if detach else last, taps, images.shape[2:])
    return result


@pytest.mark.parametrize(("height", "width"), [(33, 47), (16, 64), (17, 17)])
def test_the_map_has_the_size_of_the_input(height: int, width: int) -> None:
    found = decoded(BACKBONES["tiny"](), height, width)
    assert found.shape == (1, height, width)
    assert found.dtype == torch.float32
    assert ((found > 0) & (found < 1)).all()


def test_a_skip_from_every_stage_of_the_encoder() -> None:
    """AlexNet's conv3 to conv5 have one size: the blocks between them keep it."""
    stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    decoder = SaliencyDecoder(BACKBONES["alexnet"], 256, 64, stages)
    assert decoder.skips == stages[::-1]
    joined = [block.join.in_channels - block.join.out_channels for block in decoder.blocks]
    assert joined == [256, 256, 384, 192, 64]
    strides = [block.enlarge.stride for block in decoder.blocks]
    assert strides == [(1, 1), (1, 1), (1, 1), (2, 2), (2, 2)]
    sides = dict(zip(stages, (31, 15, 7, 7, 7), strict=True))
    of_stage = BACKBONES["alexnet"].stage_channels
    taps = {name: torch.rand(1, of_stage[name], side, side) for name, side in sides.items()}
    assert decoder(taps["conv5"], taps, torch.Size((128, 128))).shape == (1, 128, 128)
    assert len(SaliencyDecoder(BACKBONES["alexnet"], 256, 64).blocks) == 5
    with pytest.raises(ConfigError, match="did you mean 'conv5'"):
        SaliencyDecoder(BACKBONES["alexnet"], 256, 64, ["conv5_"])


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "inception_v3", "resnet50"])
def test_every_kind_of_encoder_has_a_decoder(name: str) -> None:
    """VGG16 stands for those with a stage at full resolution; these have none."""
    with torch.no_grad():
        assert decoded(BACKBONES[name]().eval(), 71, 95).shape == (1, 71, 95)


@pytest.mark.parametrize("name", [n for n, b in BACKBONES.items() if b.stride == 16])
def test_a_stride_of_16_gives_the_five_blocks_of_the_paper(name: str) -> None:
    with torch.device("meta"):
        decoder = SaliencyDecoder(BACKBONES[name], 1024, 256)
    assert [block.refine.out_channels for block in decoder.blocks] == [256, 128, 64, 32, 16]
    joined = [block.join.in_channels - block.join.out_channels for block in decoder.blocks]
    skips = [BACKBONES[name].stage_channels[b] for b in reversed(BACKBONES[name].blocks)]
    assert joined[: len(skips)] == skips
    assert not any(joined[len(skips) :])


def test_skip_connections_carry_the_gradient_to_the_encoder() -> None:
    backbone = BACKBONES["tiny"]()
    decoded(backbone, SIZE, SIZE, detach=True).sum().backward()
    reached = {n for n, p in backbone.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {n for n, _ in backbone.named_parameters()}


def test_a_signal_neither_dies_nor_grows_in_the_decoder() -> None:
    """Started like the backbones, it grows twofold at every skip connection."""
    backbone = BACKBONES["vgg16"]
    decoder = SaliencyDecoder(backbone, 512, 128)
    features = first = torch.rand(1, 512, 4, 4)
    for level, (block, name) in enumerate(zip(decoder.blocks, decoder.skips, strict=True)):
        skip = torch.rand(1, backbone.stage_channels[name], 4 << level, 4 << level)
        features = block(features, skip)
    assert 0.1 < features.square().mean() / first.square().mean() < 10


def test_the_map_loss_by_hand() -> None:
    predicted = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    wanted = torch.zeros(2, 2, 2)
    assert map_loss(predicted, wanted, "norm").item() == pytest.approx((5 + 2) / 2)
    assert map_loss(predicted, wanted, "mean_squared").item() == pytest.approx((25 + 4) / 8)


def test_a_perfect_map_has_a_finite_gradient() -> None:
    predicted = torch.rand(2, 4, 4, requires_grad=True)
    map_loss(predicted, predicted.detach().clone(), "norm").backward()
    assert torch.equal(predicted.grad, torch.zeros(2, 4, 4))


class Pixels(Backbone):
    """Its features are the colours that it is given, unnormalised."""

    name: ClassVar[str] = "pixels"
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)

    def stages(self) -> dict[str, torch.nn.Module]:
        return {"all": torch.nn.Identity()}


class Halves(Pixels):
    """Takes images with 0.5 as zero, like the encoder of the tests below."""

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)


def grey(level: float) -> Tensor:
    """An image of one pixel value in [0, 1], normalised for `Halves`."""
    return torch.full((1, 3, 4, 4), (level - 0.5) / 0.25)


@pytest.mark.parametrize(
    ("network", "hidden", "positive", "negative"),
    [
        # x = 0.8, D = 0.75: x_f = 0.6, x_b = 0.2.
        (Pixels(), "mean", 0.2**2, 0.4**2),
        (Pixels(), "black", 0.2**2, 0.4**2),  # black is 0 here, and so is the mean
        # Normalised x = 1.2: x_f = 0.9, x_b = 0.3.
        (Halves(), "mean", 0.3**2, 0.6**2),
        # x_f = 0.6 and x_b = 0.2 in pixels, then normalised: 4 times the differences.
        (Halves(), "black", 0.8**2, 1.6**2),
    ],
)
def test_the_distances_by_hand(
    network: Backbone, hidden: str, positive: float, negative: float
) -> None:
    perceptual = Perceptual(network, Halves, hidden)
    near, far = perceptual(grey(0.8), torch.full((1, 4, 4), 0.75))
    assert near.item() == pytest.approx(positive, rel=1e-5)
    assert far.item() == pytest.approx(negative, rel=1e-5)


def test_the_triplet_loss_makes_the_foreground_like_the_image() -> None:
    """The text of section 2.3; equation 5 as printed would lower the map."""
    shown = torch.full((1, 4, 4), 0.4, requires_grad=True)
    perceptual = Perceptual(Pixels(), Pixels, "mean")
    triplet_loss(*perceptual(torch.ones(1, 3, 4, 4), shown), None).backward()
    assert (shown.grad < 0).all()
    whole = perceptual(torch.ones(1, 3, 4, 4), torch.ones(1, 4, 4))
    assert triplet_loss(*whole, None).item() == pytest.approx(-1)  # the easy way out


def test_a_margin_ends_the_triplet_loss() -> None:
    near, far = torch.tensor([1.0, 1.0]), torch.tensor([1.2, 4.0])
    assert triplet_loss(near, far, None).item() == pytest.approx((-0.2 - 3.0) / 2)
    assert triplet_loss(near, far, 0.5).item() == pytest.approx((0.3 + 0) / 2)
    assert triplet_loss(near, far, 0.0).item() == 0


def test_weights_scale_their_terms() -> None:
    images, targets = batch()
    one = saliency(map_weight=1.0)
    other = saliency(map_weight=3.0, triplet_weight=0.5)
    other.load_state_dict(one.state_dict())
    terms = one.loss(one.eval()(images), targets)
    scaled = other.loss(other.eval()(images), targets)
    assert set(terms) == {"classification", "map", "triplet"}
    torch.testing.assert_close(scaled["map"], 3 * terms["map"])
    torch.testing.assert_close(scaled["triplet"], 0.5 * terms["triplet"])
    assert scaled["classification"] == terms["classification"]


def test_a_weight_of_0_builds_and_needs_nothing() -> None:
    images, targets = batch()
    no_map = saliency(map_weight=0)
    assert (no_map.needs, no_map.decoder is None) == (frozenset(), False)
    assert set(no_map.loss(no_map(images), Targets(targets.labels))) == {
        "classification", "triplet"
    }  # fmt: skip
    no_triplet = saliency(triplet_weight=0, perceptual="no such network")
    assert no_triplet.needs == {"saliency"}
    assert set(no_triplet.pretrained_parts()) == {"backbone"}
    assert set(no_triplet(images)) == {"logits", "saliency"}
    neither = saliency(map_weight=0, triplet_weight=0)
    assert set(neither(images)) == {"logits"}
    cam = build_method("cam", "tiny", CLASSES, "multilabel", "tiny")
    assert neither.state_dict().keys() == cam.state_dict().keys()


def test_what_is_left_after_training_is_cam() -> None:
    """The same tensors and answers, and from one seed the same start."""
    torch.manual_seed(1)
    cam = build_method("cam", "tiny", CLASSES, "multilabel", "tiny").eval()
    torch.manual_seed(1)
    method = saliency()
    left = method.without_training_parts().eval()
    assert left.state_dict().keys() == cam.state_dict().keys() == method.inference_state().keys()
    images, _ = batch()
    with torch.inference_mode():
        ours, theirs = left.localize(images), cam.localize(images)
    assert torch.equal(ours.scores, theirs.scores)
    wanted = [range(CLASSES)] * 2
    pairs = zip(ours.maps_of(wanted), theirs.maps_of(wanted), strict=True)
    assert all(torch.equal(a[0], b[0]) for a, b in pairs)
    assert set(left.pretrained_parts()) == {"backbone"}


def test_the_frozen_network_stays_as_it_is() -> None:
    method = saliency().train()
    frozen = method.pretrained_parts()["perceptual"]
    assert not any(module.training for module in frozen.modules())
    assert method.backbone.training
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    optimizer = make_optimizer(method, TrainOptions(optimizer="adam", weight_decay=0.1))
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert not known & {id(p) for p in frozen.parameters()}
    images, targets = batch()
    torch.stack(list(method.loss(method(images), targets).values())).sum().backward()
    optimizer.step()
    assert all(torch.equal(t, before[name]) for name, t in frozen.state_dict().items())


def test_an_image_does_not_depend_on_its_batch() -> None:
    method = saliency().eval()
    images, _ = batch(count=4)
    together = method(images)
    alone = method(images[2:3])
    for name, values in alone.items():
        torch.testing.assert_close(values[0], together[name][2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_one_plain_image_trains(level: float, preset: str) -> None:
    options = {"perceptual": "tiny", "decoder_channels": 8, "channels": 8}
    method = build_method("saliency-aware", "tiny", CLASSES, "singlelabel", preset, options).train()
    images = torch.full((1, 3, SIZE, SIZE), level)
    targets = Targets(torch.zeros(1, CLASSES), saliency=torch.full((1, SIZE, SIZE), level))
    terms = method.loss(method(images), targets)
    torch.stack(list(terms.values())).sum().backward()
    trained = [p for p in method.parameters() if p.requires_grad]
    assert all(torch.isfinite(p.grad).all() for p in trained)


def test_the_frozen_network_is_one_of_the_backbones() -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'resnet5'; did you mean 'resnet50'"):
        saliency(perceptual="resnet5")
