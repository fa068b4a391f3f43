"""A model that wants to be champion: a registered version, a tuned run or a model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import RunPaths, Workspace
from orchestrator.register import register_run
from orchestrator.tracking.registry import (
    ModelVersion,
    fetch_model,
    find_version,
    is_reference,
    register,
)
from workloads.artifacts import exists, is_sealed
from workloads.errors import NotFound
from workloads.files import is_folder
from workloads.models.model import Model


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate before anything was decided.

    Attributes:
        given: as the user named it.
        name: of the registered model whose champion it wants to be.
        version: None before it is registered.
        run: the run that trained it; None for a folder or a version.
    """

    given: str
    name: str
    model: Model
    version: ModelVersion | None = None
    run: RunPaths | None = None

    def registered(self, machine: Machine) -> ModelVersion:
        """The candidate as a version.

        Raises:
            ClusterError: MLflow fails.
        """
        if self.version is not None:
            return self.version
        if self.run is not None:
            return register_run(machine, self.run, self.name)
        return register(machine, self.model.folder, self.name, {"method": self.model.card.method})


def find_candidate(machine: Machine, given: str, name: str) -> Candidate:
    """The model that a user means.

    Args:
        given: NAME/VERSION, NAME@ALIAS, the name of a tuned run, or a model folder.
        name: of the registered model; a version's own name wins.

    Raises:
        NotFound: there is nothing of that name, or the run is not tuned.
        IntegrityError: a file is not the one that was written.
        ClusterError: MLflow fails.
    """
    folder = Path(given).expanduser()
    if is_folder(folder):
        return Candidate(given, name, Model.open_verified(folder))
    if is_reference(given):
        version = find_version(machine, given)
        return Candidate(given, version.name, fetch_model(machine, given), version)
    run = Workspace(machine.workspace).run(given)
    if not exists(run.spec):
        raise NotFound(
            f"candidate '{given}': no run of that name, nor such a folder; give a tuned run, a "
            "model's folder, NAME/VERSION or NAME@ALIAS"
        )
    if not is_sealed(run.tuned_model):
        raise NotFound(f"run '{given}' is not tuned; first: wsol tune {given}")
    return Candidate(given, name, Model.open_verified(run.tuned_model), run=run)
