"""`wsol register`: the tuned model of a run as a model version."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import RunPaths
from orchestrator.tracking.mlflow_store import MlflowStore
from orchestrator.tracking.registry import ModelVersion, answering, register, set_champion
from orchestrator.train.spec import spec_of
from workloads.artifacts import is_sealed, read_json
from workloads.errors import NotFound


def register_run(
    machine: Machine, paths: RunPaths, name: str, alias: str | None = None
) -> ModelVersion:
    """Register the tuned model of a run, and point an alias at it if one is given.

    Args:
        name: of the registered model.

    Raises:
        NotFound: no such run, or it is not finished or not tuned.
        ClusterError: MLflow fails.
    """
    spec = spec_of(paths)
    if not is_sealed(paths.tuned_model):
        raise NotFound(f"run '{paths.name}' is not tuned; first: wsol tune {paths.name}")
    measured = read_json(paths.search)["values"]
    tags = {"recipe": spec.recipe.name, **_measured(measured)}
    version = register(machine, paths.tuned_model, name, tags, _tracked(machine, paths))
    return set_champion(machine, name, version.version, alias) if alias else version


def _measured(values: Mapping[str, float | None]) -> dict[str, float]:
    """Tags of the metrics that had a case on the validation split."""
    return {f"val.{name}": value for name, value in values.items() if value is not None}


def _tracked(machine: Machine, paths: RunPaths) -> str | None:
    """MLflow's id of the training run."""
    store = MlflowStore(machine)
    with answering(store, f"look up run '{paths.name}'"):
        return store.find_run(paths.tracking_uid())
