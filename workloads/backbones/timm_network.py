"""The convolutional part of a network of the package timm, as a backbone.

For methods that can use any feature map: `backbone: timm:convnext_tiny` in a recipe. The package is
optional (`pip install wsol[timm]`) and imported when such a network is built.

Shapes: B batch, C channels, H W size of the input, h w size of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from workloads.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, Stage
from workloads.errors import ConfigError, one_line, unknown_name

PREFIX = "timm"
STAGE = "features"
_MULTIPLE = 64


class TimmNetwork(Backbone):
    """Base of the types that `timm_network` makes, one for each name.

    The network runs up to its last feature map, which is its only stage; layers after it are not
    there. Weights are random until a file of them is loaded: nothing is downloaded.

    Class attributes:
        left_out: parts with parameters that come after the map.
    """

    left_out: ClassVar[tuple[str, ...]]
    blocks = (STAGE,)

    def __init__(self, *, fully_connected: bool = False) -> None:
        super().__init__(fully_connected=fully_connected)
        self.network = _build(self.name, num_classes=0)
        for name in self.left_out:
            setattr(self.network, name, nn.Identity())

    def stages(self) -> dict[str, Stage]:
        """All of it."""
        return {STAGE: self._features}

    def adapted(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of timm's own file under the names that they have here."""
        return {f"network.{name}": tensor for name, tensor in published.items()}

    def ignored_weights(self) -> frozenset[str]:
        """The classifier, and what else comes after the map."""
        with torch.random.fork_rng(devices=[]):
            whole = _build(self.name).state_dict()
        return frozenset(f"network.{name}" for name in whole) - self.state_dict().keys()

    def _features(self, images: Tensor) -> Tensor:
        maps: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        return maps


class _Maps(NamedTuple):
    """Size of the last feature map, and the parts of the network that it does not need."""

    channels: int
    side: int
    after: tuple[str, ...]


@cache
def timm_network(name: str) -> type[TimmNetwork]:
    """The backbone type "timm:<model>".

    Raises:
        ConfigError: timm is not installed, has no such network, or it has no feature map.
    """
    with torch.random.fork_rng(devices=[]):  # only its facts are wanted
        network = _build(name, num_classes=0)
    published = network.default_cfg
    side = int(published["input_size"][1])  # type: ignore[index]
    looked_at = -(-side // _MULTIPLE) * _MULTIPLE  # of which every stride is a divisor
    maps = _maps_of(name, network, looked_at)
    facts = {
        "name": name,
        "input_size": side,
        "mean": tuple(published.get("mean", IMAGENET_MEAN)),  # type: ignore[operator, union-attr]
        "std": tuple(published.get("std", IMAGENET_STD)),  # type: ignore[operator, union-attr]
        "out_channels": maps.channels,
        "stride": round(looked_at / maps.side),
        "stage_channels": {STAGE: maps.channels},
        "left_out": maps.after,
    }
    return cast(type[TimmNetwork], type("TimmNetwork", (TimmNetwork,), facts))


def is_timm(name: str) -> bool:
    """Whether a backbone's name is one of timm's."""
    return name.startswith(f"{PREFIX}:")


def _maps_of(name: str, network: nn.Module, side: int) -> _Maps:
    images = torch.zeros(1, 3, side, side)
    try:
        maps = network.eval().forward_features(images)  # type: ignore[operator]
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"backbone {name}: takes no images of {side}x{side} ({one_line(str(error))}); use a "
            "convolutional network such as timm:convnext_tiny"
        ) from None
    is_map = isinstance(maps, Tensor) and maps.dim() == 4 and maps.shape[2] == maps.shape[3]
    if not is_map or maps.shape[2] < 2:
        found = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ConfigError(
            f"backbone {name}: gives {found} for an image, not (1, C, h, w) a feature map; use a "
            "convolutional network such as timm:convnext_tiny"
        )
    named = dict(network.named_parameters())
    gradients = torch.autograd.grad(maps.sum(), list(named.values()), allow_unused=True)
    used = {key.split(".")[0] for key, g in zip(named, gradients, strict=True) if g is not None}
    parts = dict.fromkeys(key.split(".")[0] for key in named)
    return _Maps(maps.shape[1], maps.shape[2], tuple(part for part in parts if part not in used))


def _build(name: str, **options: int) -> nn.Module:
    """A network with random weights."""
    timm, model = _timm(name), name.partition(":")[2]
    if not timm.is_model(model):
        raise ConfigError(unknown_name("network of timm", model, _near(model, timm.list_models())))
    network: nn.Module = timm.create_model(model, pretrained=False, **options)
    if not hasattr(network, "forward_features"):
        raise ConfigError(f"backbone {name}: has no part that gives features; use another")
    return network


def _near(name: str, known: list[str]) -> list[str]:
    """Names that begin alike: there are more than a thousand."""
    stem = name[:4].casefold()
    return [one for one in known if one.casefold().startswith(stem)][:20] or known[:20]


def _timm(name: str) -> ModuleType:
    try:
        import timm
    except ImportError:
        raise ConfigError(
            f"backbone {name}: the package timm is not installed; pip install timm, or use a "
            "network of torchvision (torchvision:convnext_tiny)"
        ) from None
    return cast(ModuleType, timm)
