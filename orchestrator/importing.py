"""A published classifier as a model version, for methods that explain whole networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workloads.backbones.imagenet import check_classes
from workloads.backbones.torchvision_classifier import open_classifier
from workloads.models.published import save_published
from workloads.models.version import read_card
from workloads.shards.manifest import read_shard_manifest


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
        shards: of the data set it will be used on. Its classes must be the network's, in the
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
