"""Named models at an endpoint, and the version that each stands for now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from orchestrator.config.settings import Machine
from orchestrator.serve.api.host import ModelInfo
from orchestrator.tracking.registry import fetch_model, find_version, is_reference
from workloads.errors import ConfigError
from workloads.files import is_folder
from workloads.storage.addresses import absolute


class Offer(BaseModel, frozen=True):
    """A model under its name at the endpoint, at one version.

    Attributes:
        reference: NAME@ALIAS, NAME/VERSION or a folder; an alias may come to mean another version.
        folder: where its files are.
    """

    reference: str
    folder: Path
    info: ModelInfo
    classes: tuple[str, ...]
    follows: bool = False

    @property
    def name(self) -> str:
        """Its name at the endpoint."""
        return self.info.name


def make_offers(
    machine: Machine, model: str, others: Mapping[str, str], *, follow: bool = False
) -> list[Offer]:
    """All models of an endpoint, the default one first.

    Args:
        model: the default one; its name is made from the reference.
        others: name to reference.
        follow: whether those that are an alias are rolled out when it comes to mean another one.

    Raises:
        ConfigError: two have one name, or none is an alias that could be followed.
        NotFound, IntegrityError, ClusterError: as `fetch_model`.
    """
    named = {public_name(model): model}
    if twice := named.keys() & others.keys():
        raise ConfigError(f"serve.models: '{min(twice)}' is the first model's name; choose another")
    offers = [
        make_offer(machine, name, reference, follows=follow and "@" in reference)
        for name, reference in {**named, **others}.items()
    ]
    if follow and not any(offer.follows for offer in offers):
        raise ConfigError(
            f"--follow-champion: {', '.join(offer.reference for offer in offers)} never comes to "
            "mean another version; give NAME@ALIAS"
        )
    return offers


def make_offer(machine: Machine, name: str, reference: str, *, follows: bool = False) -> Offer:
    """A model at the version that its reference means now, verified and on disk.

    Raises:
        NotFound, IntegrityError, ClusterError: as `fetch_model`.
    """
    found, version = fetch_model(machine, reference), None
    if not is_folder(Path(reference).expanduser()) and is_reference(reference):
        registered = find_version(machine, reference)
        if registered.digest == found.digest:  # else the alias has just moved
            version = str(registered.version)
    info = ModelInfo(
        name=name,
        version=version,
        digest=found.digest,
        method=found.card.method,
        backbone=found.card.backbone,
    )
    return Offer(
        reference=reference,
        folder=found.folder,
        info=info,
        classes=found.card.classes,
        follows=follows,
    )


def public_name(model: str) -> str:
    """The name of a model that clients see: of a folder its own, not where it lies."""
    folder = Path(model).expanduser()
    return absolute(folder).name if is_folder(folder) else model
