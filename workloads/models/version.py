"""A model version on disk: a sealed folder (see `artifacts`) that is self-sufficient.

weights.safetensors    every parameter and buffer of the network
model.json             the model card: how to rebuild it, preprocessing, classes, thresholds
manifest.json          digests of the others, written last; its own digest names the version
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from workloads.artifacts import atomic_folder, copy_file, read_json, seal, verify, write_json
from workloads.errors import ConfigError
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Method
from workloads.methods.registry import METHODS, build_method
from workloads.models.card import SCHEMA_VERSION, ModelCard
from workloads.tensors import WEIGHTS_FILE, load_exactly, read_tensors, write_tensors

CARD_FILE = "model.json"


def save_model(folder: Path, method: Method, card: ModelCard) -> dict[str, Any]:
    """Write a model version whole or not at all; a folder of that name is replaced.

    Returns:
        The manifest. Its digest names the version: the same weights and card, the same digest.

    Raises:
        ConfigError: the card describes another network than `method`.
    """
    check_card(card, method)
    with atomic_folder(folder) as temporary:
        write_tensors(temporary / WEIGHTS_FILE, method.inference_state())
        write_json(temporary / CARD_FILE, card.model_dump(mode="json"))
        return seal(temporary, kind="model", schema_version=card.schema_version)


def retune_model(
    folder: Path, target: Path, cutoffs: Cutoffs, provenance: Mapping[str, JsonValue]
) -> dict[str, Any]:
    """The same weights with other cut-offs as a new model version.

    Args:
        provenance: facts to add to those of the card.

    Returns:
        The manifest of `target`.

    Raises:
        NotFound, IntegrityError: as `verify`.
    """
    verify(folder, "model")
    card = read_card(folder)
    tuned = card.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "cutoffs": cutoffs,
            "provenance": {**card.provenance, **provenance},
        }
    )
    with atomic_folder(target) as temporary:
        copy_file(folder / WEIGHTS_FILE, temporary / WEIGHTS_FILE)
        write_json(temporary / CARD_FILE, tuned.model_dump(mode="json"))
        return seal(temporary, kind="model", schema_version=tuned.schema_version)


def read_card(folder: Path) -> ModelCard:
    """The card of a model version.

    Raises:
        NotFound: no card there.
        ConfigError: written by a newer version of this project, or not a card.
    """
    path = folder / CARD_FILE
    values = read_json(path)
    version = values.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: model schema {version} is newer than the known {SCHEMA_VERSION}; "
            "use the version of wsol that wrote it, or a newer one"
        )
    return ModelCard.parse(values, str(path))


def load_network(folder: Path, card: ModelCard) -> Method:
    """The network of a card with the weights of a model version, without what training needs.

    Raises:
        ConfigError: an unknown method or option, or weights that do not fit; missing and
            unexpected tensors are listed.
    """
    method = build_method(
        card.method, card.backbone, len(card.classes), card.task, None, card.method_options
    ).without_training_parts()
    weights = folder / WEIGHTS_FILE
    load_exactly(method, read_tensors(weights), str(weights))
    return method


def check_card(card: ModelCard, method: Method) -> None:
    """A card must describe the network beside it.

    Raises:
        ConfigError: they differ; the message lists in what.
    """
    classes = len(card.classes)
    options = METHODS[card.method].options_type.parse(card.method_options, "model card")
    facts = {
        "method": (card.method, method.name),
        "backbone": (card.backbone, method.backbone.name),
        "task": (card.task, method.task),
        "method options": (options, method.options),
        "number of classes": (classes, method.num_classes),
    }
    for fact, (said, actual) in facts.items():
        if said != actual:
            raise ConfigError(f"model card: {fact} is {said}, the network's is {actual}")
    of_class = len(card.cutoffs.class_cutoffs)
    if of_class not in (0, classes):
        raise ConfigError(f"model card: {of_class} class_cutoffs for {classes} classes")
    if any(len(row) != classes for row in (card.cooccurrence, *card.cooccurrence)):
        raise ConfigError(f"model card: cooccurrence must be {classes} x {classes}")
