"""A model version from a published classifier: maps of its classes without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads.backbones.imagenet import check_classes
from workloads.backbones.torchvision_classifier import open_classifier
from workloads.backbones.whole_network import WholeNetwork
from workloads.errors import ConfigError
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import METHODS, build_method
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.version import read_card, save_model
from workloads.shards.manifest import read_shard_manifest


def save_published(
    folder: Path,
    network: str,
    method: str,
    weights: Path | None = None,
    classes: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model version of a torchvision classifier; it then goes through every verb.

    The whole image is warped to the classifier's input, without the centre crop that its own
    preprocessing has: boxes are wanted all over the image. Cut-offs are the defaults.

    Args:
        folder: folder of the model version; one that is there is replaced.
        network: "torchvision:<model>" or "torchvision:<model>:<weights>".
        method: one that explains whole networks, such as "grad-cam".
        weights: a state dict of the whole network; None for the published file.
        classes: names in the order of the logits; None for those of the published weights.
        overrides: options of the method.

    Returns:
        The manifest, as `save_model`.

    Raises:
        ConfigError: an unknown network, method or option, weights that do not fit, or as many
            classes as logits are not given.
        NotFound, IntegrityError: as `open_classifier`.
    """
    classifier = open_classifier(network, weights)
    names = tuple(classes or classifier.categories)
    if len(names) != classifier.num_classes:
        raise ConfigError(
            f"{network}: {len(names)} class names for {classifier.num_classes} logits; give one "
            "for each, in their order ('wsol import' takes them from --shards)"
        )
    if not METHODS[method].explains_whole_networks:
        able = [name for name, kind in METHODS.items() if kind.explains_whole_networks]
        raise ConfigError(
            f"method {method} adds layers to a network, which have to be trained; use one of "
            f"{', '.join(able)} to explain {network} as it is, or train a recipe on it"
        )
    built = build_method(method, network, len(names), "singlelabel", None, overrides)
    assert isinstance(built.backbone, WholeNetwork)
    built.backbone.classifier.load_state_dict(classifier.state_dict())
    card = ModelCard(
        method=method,
        method_options=built.options.model_dump(mode="json"),
        backbone=network,
        task="singlelabel",
        classes=names,
        preprocessing=Preprocessing(
            size=classifier.input_size, mean=classifier.mean, std=classifier.std
        ),
        cutoffs=Cutoffs(),
        cooccurrence=_each_alone(len(names)),
        provenance={"weights": str(classifier.weights) if weights is None else weights.name},
    )
    return save_model(folder, built, card)


def _each_alone(classes: int) -> tuple[tuple[float, ...], ...]:
    """The co-occurrence of classes of which an image has one."""
    return tuple(tuple(float(i == j) for j in range(classes)) for i in range(classes))


@dataclass(frozen=True, slots=True)
class ImportResult:
    """A model version: its folder, content digest and number of classes."""

    model: Path
    digest: str
    classes: int


def import_classifier(
    network: str, method: str, out: Path, weights: Path | None = None, shards: Path | None = None
) -> ImportResult:
    """Write a model version of a torchvision classifier.

    Args:
        weights: a state dict of the whole network; None for the published file.
        shards: folder of the data set it will be used on. Its classes must be the network's, in the
            same order; the model takes their names.

    Raises:
        ConfigError: an unknown network or method, weights that do not fit, or other classes.
        NotFound: no such weights or shards.
    """
    names = None
    if shards is not None:
        names = read_shard_manifest(shards).classes
        categories = open_classifier(network, weights).categories
        if categories:
            check_classes(names, categories)
    manifest = save_published(out, network, method, weights, names)
    return ImportResult(out, str(manifest["digest"]), len(read_card(out).classes))
