"""Any classification network of torchvision, whole, with the weights in a file.

For maps that need no training of ours (Grad-CAM, gradients) and for ranking classes by another
classifier. The name is "torchvision:<model>", for example "torchvision:densenet121", or
"torchvision:<model>:<weights>" where torchvision has several, "torchvision:resnet50:IMAGENET1K_V2".

Shapes: B batch, K classes, C channels, H W size of the input, h w size of a map.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from workloads.backbones.weights import (
    check_hash,
    file_name,
    published_file,
    read_weights,
    with_counters,
)
from workloads.errors import ConfigError, unknown_name
from workloads.tensors import load_exactly

if TYPE_CHECKING:
    from torchvision import models

PREFIX = "torchvision"
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
# As the published weights want them: without auxiliary classifiers, which only training uses, and
# with the conversion of the usual normalisation to the one they were trained on.
INCEPTIONS: Mapping[str, Any] = {
    "aux_logits": False, "init_weights": False, "transform_input": True
}  # fmt: skip
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# "denselayer1.norm.1.weight" of old files is "denselayer1.norm1.weight" today.
RENAMED = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_2\."), r"\1.3."),
)


class MapsFacts(NamedTuple):
    """The last map of a network.

    Attributes:
        name: the module whose output it is.
        channels, side: its size at the network's input size.
        after: modules with parameters of their own that come after it.
    """

    name: str
    channels: int
    side: int
    after: tuple[str, ...]


class TorchvisionClassifier(nn.Module):
    """A classification network of torchvision with random weights; see `open_classifier`.

    Attributes:
        name: as given.
        weights: torchvision's entry for the weights: those named, else the first that it lists,
            which for most networks are the ones that papers of the time report.
        num_classes: K.
        categories: the names of the classes in the order of the logits; () if `num_classes`
            differs from that of the published weights, whose names these are.
        mean, std: per-channel normalisation of RGB in [0, 1] that `classify` expects.
        resize_size, input_size: in pixels; the shorter side of an image is resized to the first,
            then a centred square of the second is cut out.
        interpolation: kind of that resizing, "bilinear" or "bicubic", with antialiasing.

    Raises:
        ConfigError: torchvision has no such network or no such weights of it.
    """

    def __init__(self, name: str, num_classes: int | None = None) -> None:
        super().__init__()
        model, self.weights = _parse(name)
        preset = self.weights.transforms()
        categories = tuple(self.weights.meta["categories"])
        self.name = name
        self.num_classes = num_classes or len(categories)
        self.categories = categories if self.num_classes == len(categories) else ()
        self.mean, self.std = tuple(preset.mean), tuple(preset.std)
        self.resize_size, self.input_size = int(preset.resize_size[0]), int(preset.crop_size[0])
        self.interpolation = str(preset.interpolation.value)
        self.network = _build(model, self.weights, self.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """`classify`."""
        return self.classify(images)

    def classify(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images to (B, K) logits."""
        logits: Tensor = self.network(images)
        return logits

    def with_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the map that they were computed from, in one graph of gradients.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            (B, K) logits and (B, C, h, w) output of `last_maps`.

        Raises:
            ConfigError: see `last_maps`.
        """
        found: list[Tensor] = []
        caller = threading.get_ident()

        def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
            if threading.get_ident() == caller:  # another thread may run the same network
                found.append(output)

        with self.last_maps.register_forward_hook(keep):
            logits = self.classify(images)
        return logits, found[-1]

    @property
    def last_maps(self) -> nn.Module:
        """The module whose output is the last (B, C, h, w) map with more than one position.

        What pooling gives out does not count: of VGG16 it is the ReLU after conv5_3, of ResNet-50
        layer4.

        Raises:
            ConfigError: the network goes from maps to (B, tokens, C), as vision transformers do.
        """
        return self.network.get_submodule(self._last_maps_name)

    def maps_facts(self) -> MapsFacts:
        """Facts about the last map that are known without computing it.

        Raises:
            ConfigError: see `last_maps`.
        """
        name, outputs = self._last_maps_name, self._outputs()
        at = max(n for n, found in enumerate(outputs) if found[0] == name)
        maps = outputs[at][2]
        # Modules finish in their order, so an enclosing one comes later: it is no layer after it.
        later = [
            other
            for other, module, _ in outputs[at + 1 :]
            if other and not name.startswith(f"{other}.") and list(module.parameters(False))
        ]
        return MapsFacts(name, maps.shape[1], maps.shape[2], tuple(later))

    @cached_property
    def _last_maps_name(self) -> str:
        outputs = self._outputs()
        pooled = [output for _, module, output in outputs if isinstance(module, POOLINGS)]
        maps = [
            at
            for at, (_, _, output) in enumerate(outputs)
            if output.dim() == 4
            and output.shape[2:].numel() > 1
            and not any(output is other for other in pooled)
        ]
        if not maps or any(output.dim() == 3 for _, _, output in outputs[maps[-1] + 1 :]):
            raise ConfigError(
                f"{self.name} classifies tokens, not a feature map, so it has no class maps; use "
                "a convolutional network such as torchvision:resnet50"
            )
        return outputs[maps[-1]][0]

    def _outputs(self) -> list[tuple[str, nn.Module, Tensor]]:
        """Output of each module by name at the input size, in the order they finish.

        On the meta device, so nothing is computed but shapes.
        """
        outputs: list[tuple[str, nn.Module, Tensor]] = []
        handles = [
            module.register_forward_hook(
                lambda module, _, output, name=name: outputs.append((name, module, output))
            )
            for name, module in self.network.named_modules()
        ]
        try:
            states = chain(self.network.named_parameters(), self.network.named_buffers())
            on_meta = {name: tensor.to("meta") for name, tensor in states}
            image = torch.empty(1, 3, self.input_size, self.input_size, device="meta")
            with torch.no_grad():
                functional_call(self.network, on_meta, (image,))
        finally:
            for handle in handles:
                handle.remove()
        # Attention gives tuples; and another thread may run the same network meanwhile.
        return [found for found in outputs if isinstance(found[2], Tensor) and found[2].is_meta]


def open_classifier(name: str, weights: Path | None = None) -> TorchvisionClassifier:
    """A classifier of torchvision's in evaluation mode, with weights from a file.

    Args:
        name: "torchvision:<model>" or "torchvision:<model>:<weights>".
        weights: a state dict of the whole network, which may have another number of classes than
            the published one; None for the published file, see `published_file`.

    Raises:
        ConfigError: an unknown name, or the file is not one of this network's.
        NotFound: no such file.
        IntegrityError: a published file whose content is not what its name says.
    """
    classifier = TorchvisionClassifier(name)
    path = weights or published_file(str(classifier.weights))
    if weights is not None:
        _check_published(classifier, path)
    tensors = todays_names(read_weights(path))
    head = [parameter for parameter, _ in classifier.network.named_parameters()][-1]
    classes = len(tensors[head]) if head in tensors else classifier.num_classes
    if classes != classifier.num_classes:
        classifier = TorchvisionClassifier(name, classes)
    network = classifier.network
    load_exactly(network, with_counters(network, tensors), str(path))
    return classifier.eval()


def published_weights(name: str) -> Path:
    """The file that `open_classifier` would read for a name, after a check of it.

    Raises:
        ConfigError, NotFound, IntegrityError: as `open_classifier`.
    """
    return published_file(str(_parse(name)[1]))


def todays_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a published file under the names of torchvision's modules.

    Files of DenseNet and of vision transformers are older than the names of some of their layers.
    Tensors of auxiliary classifiers are left out, see `INCEPTIONS`.
    """
    renamed = {}
    for name, tensor in tensors.items():
        if not name.startswith(AUXILIARY):
            for old, new in RENAMED:
                name = old.sub(new, name)
            renamed[name] = tensor
    return renamed


def _parse(name: str) -> tuple[str, models.WeightsEnum]:
    from torchvision import models

    prefix, _, rest = name.partition(":")
    model, _, wanted = rest.partition(":")
    known = models.list_models(module=models)
    if prefix != PREFIX or model not in known:
        given = model if prefix == PREFIX else name
        raise ConfigError(unknown_name(f"classifier {PREFIX}:<model>", given, known))
    entries = {entry.name: entry for entry in models.get_model_weights(model)}
    if wanted and wanted not in entries:
        raise ConfigError(unknown_name(f"weights of {PREFIX}:{model}", wanted, entries))
    return model, entries[wanted or next(iter(entries))]


def _build(model: str, weights: models.WeightsEnum, num_classes: int) -> nn.Module:
    from torchvision import models

    options: dict[str, Any] = {"num_classes": num_classes}
    if model in ("googlenet", "inception_v3"):
        options |= INCEPTIONS
    if model.startswith("vit_"):  # its position embedding is of one size
        options["image_size"] = weights.meta["min_size"][0]
    # RegNet computes its widths with tensors, which have no values on the meta device.
    with torch.device("cpu") if model.startswith("regnet") else nullcontext():
        network: nn.Module = models.get_model(model, weights=None, **options)
    return network


def _check_published(classifier: TorchvisionClassifier, path: Path) -> None:
    """Refuse a published file of other weights, whose preprocessing differs, or a broken one."""
    for entry in type(classifier.weights):
        if path.name != file_name(entry):
            continue
        if entry is not classifier.weights:
            model = classifier.name.split(":")[1]
            raise ConfigError(
                f"{path} holds {entry}, not {classifier.weights}; name the classifier "
                f"{PREFIX}:{model}:{entry.name}"
            )
        if path.is_file():
            check_hash(path)
