"""Networks and methods beside the toolkit's, at equal random weights and inputs, in float64.

Shapes: B batch, K classes, h w size of a map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from fidelity_rows import Row
from fidelity_toolkit import Toolkit
from torch import Tensor, nn

from workloads.backbones.registry import BACKBONES
from workloads.localization.contour_protocol import protocol_map
from workloads.methods.base import Method, Targets
from workloads.methods.hide_and_seek import hidden_patches
from workloads.methods.registry import METHODS
from workloads.recipes.load import load_recipe

CLASSES, SIDE = 5, 224
LABELS = (3, 1)
EXACT, SINGLE = 1e-9, 1e-5  # of float64; of maps and of SPG's branches, which are float32 here
THRESHOLDS = ("attention", "b2", "fused")  # as the toolkit orders its pairs


class Pair(NamedTuple):
    """A network of the toolkit and the recipe here that has the same one.

    Attributes:
        name: how the row calls it.
        recipe: gives method, options and backbone.
        network: the toolkit's function.
        architecture: what that takes.
        arguments: what else it takes.
        backbone: in place of the recipe's.
    """

    name: str
    recipe: str
    network: str
    architecture: str
    arguments: Mapping[str, Any] = {}
    backbone: str | None = None


PAIRS = (
    Pair("CAM, VGG16 at 14", "toolkit-t2-cam-vgg16-cub", "vgg16", "cam"),
    Pair(
        "CAM, VGG16 at 28",
        "toolkit-t2-cam-vgg16-cub",
        "vgg16",
        "cam",
        {"large_feature_map": True},
        "vgg16_28",
    ),
    Pair("CAM, ResNet-50", "toolkit-t2-cam-resnet50-cub", "resnet50", "cam"),
    Pair("CAM, Inception-v3", "toolkit-t2-cam-inception-cub", "inception_v3", "cam"),
    Pair("ACoL, VGG16", "toolkit-t2-acol-vgg16-cub", "vgg16", "acol"),
    Pair("ACoL, ResNet-50", "toolkit-t2-acol-resnet50-cub", "resnet50", "acol"),
    Pair("ACoL, Inception-v3", "toolkit-t2-acol-inception-cub", "inception_v3", "acol"),
    Pair("SPG, VGG16", "toolkit-t2-spg-vgg16-cub", "vgg16", "spg"),
    Pair("SPG, ResNet-50", "toolkit-t2-spg-resnet50-cub", "resnet50", "spg"),
    Pair("SPG, Inception-v3", "toolkit-t2-spg-inception-cub", "inception_v3", "spg"),
)


def rows(toolkit: Toolkit) -> Iterator[Row]:
    """Logits, losses with their gradients, and maps of each pair; what Hide-and-Seek hides."""
    for pair in PAIRS:
        yield from pair_rows(toolkit, pair)
    yield Row("HaS", "training images with hidden patches of 44", hidden_differ(toolkit), 0)


def made(recipe_name: str, backbone: str | None = None) -> Method:
    """The method of a recipe, without its published weights."""
    recipe = load_recipe(recipe_name)
    method = METHODS[recipe.method]
    options = method.options_type.parse(
        {**method.presets[recipe.preset], **recipe.method_options}, f"method {recipe.method}"
    )
    network = BACKBONES[backbone or recipe.backbone]()
    return method(network, CLASSES, "singlelabel", options)


def with_random_weights(network: nn.Module) -> nn.Module:
    """Its own initial weights; biases and normalisation are random, so that each is seen to count.

    The means and deviations of the normalisation are those of one batch, else activations of the
    deep networks would vanish.
    """
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 96, 96, dtype=torch.float64), torch.tensor([0, 1, 2, 3]))
    return network.eval()


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Every tensor in the order of the layers; linear ones may stand for 1x1 convolutions."""
    given, wanted = source.state_dict().values(), target.state_dict()
    pairs = zip(given, wanted.items(), strict=True)
    target.load_state_dict({name: value.reshape(old.shape) for value, (name, old) in pairs})


def pair_rows(toolkit: Toolkit, pair: Pair) -> Iterator[Row]:
    """The rows of one network."""
    torch.manual_seed(0)
    ours = made(pair.recipe, pair.backbone)
    chosen: dict[str, Any] = {"num_classes": CLASSES, "large_feature_map": False}
    chosen |= {"acol_drop_threshold": getattr(ours.options, "threshold", None)} | pair.arguments
    network = getattr(toolkit.networks, pair.network)(pair.architecture, **chosen).double()
    theirs = with_random_weights(network)
    copy_weights(theirs, ours.double().eval())
    images = torch.randn(len(LABELS), 3, SIDE, SIDE, dtype=torch.float64)
    labels = torch.tensor(LABELS)
    targets = Targets(F.one_hot(labels, CLASSES).double())

    seen, own = images.clone().requires_grad_(), images.clone().requires_grad_()
    outputs = theirs(seen, labels)
    found = ours(own, targets)
    yield Row(pair.name, "logits", relative(found["logits"], outputs["logits"]), EXACT)
    loss = toolkit_loss(toolkit, pair, ours, outputs, labels)
    total = torch.stack(list(ours.loss(found, targets).values())).sum()
    allowed = SINGLE if pair.architecture == "spg" else EXACT
    yield Row(pair.name, "loss", relative(total, loss), allowed)
    loss.backward()
    total.backward()
    yield Row(pair.name, "gradient of the loss", relative(own.grad, seen.grad), allowed)
    with torch.inference_mode():
        maps = ours.localize(images).maps_of([[label] for label in LABELS])
        wanted = theirs(images, labels, return_cam=True)
    yield Row(pair.name, "map, resized and normalised", map_difference(maps, wanted), SINGLE)


def toolkit_loss(
    toolkit: Toolkit, pair: Pair, ours: Method, outputs: Mapping[str, Tensor], labels: Tensor
) -> Tensor:
    """The toolkit's loss of a method; that of SPG at the thresholds of ours."""
    if pair.architecture == "cam":
        return F.cross_entropy(outputs["logits"], labels)
    method = __import__(f"wsol.method.{pair.architecture}", fromlist=["get_loss"])
    thresholds = [
        tuple(getattr(ours.options, f"{teacher}_{end}", None) for end in ("high", "low"))
        for teacher in THRESHOLDS
    ]
    arguments = {"spg_thresholds": thresholds} if pair.architecture == "spg" else {}
    loss: Tensor = method.get_loss(outputs, labels, **arguments)
    return loss


def relative(ours: Tensor | None, theirs: Tensor | None) -> float:
    """Largest difference, as a share of the largest value."""
    assert ours is not None
    assert theirs is not None
    return float((ours - theirs).abs().max() / theirs.abs().max())


def map_difference(ours: list[tuple[Tensor, ...]], theirs: Tensor) -> float:
    """Largest difference of a pixel of the maps as they are evaluated."""
    both = zip(ours, theirs, strict=True)
    return max(
        float(np.abs(protocol_map(own[0].double().numpy()) - protocol_map(their.numpy())).max())
        for (own, *_), their in both
    )


def hidden_differ(toolkit: Toolkit, side: int = 44) -> float:
    """Largest difference of a pixel that enters the network in training, at the same draws."""
    images = torch.randn(3, 3, SIDE, SIDE)
    options = {"channels": None, "patch_px": (side,)}
    kind = METHODS["hide-and-seek"]
    method = kind(
        BACKBONES["vgg16"](), CLASSES, "singlelabel", kind.options_type.parse(options, "has")
    )
    entered: list[Tensor] = []
    method.backbone.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    torch.manual_seed(0)
    with torch.no_grad():
        method.train()(images)
    torch.manual_seed(0)
    draws: list[float] = []
    real = torch.rand

    def listening(*size: int, **options: Any) -> Tensor:
        drawn = real(*size, **options)
        draws.extend(drawn.flatten().tolist())
        return drawn

    with mock.patch.object(torch, "rand", listening):
        hidden_patches(images, (side,), method.hide_probability)
    with mock.patch("random.random", iter(draws).__next__):
        theirs = toolkit.networks.method.has(images.clone(), side, method.hide_probability)
    return float((entered[0] - theirs).abs().max())
