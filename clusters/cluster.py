"""Descriptions of clusters: one YAML file each, resources only, no hyperparameters."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from workloads.errors import ConfigError, one_line, unknown_name
from workloads.options import Options


class Cluster(Options):
    """One place where verbs run."""

    name: str
    summary: str
    kind: Literal["local", "inline"] = Field(
        description="local: Ray starts on this machine for each command; inline: no Ray at all, "
        "everything in the command's own process"
    )
    cpus: int | None = Field(
        default=None, ge=1, description="null: this machine's cores, at least 2 logical"
    )
    gpus: int | None = Field(default=None, ge=0, description="null: those that Ray finds")
    object_store_mb: int = Field(default=512, ge=80, description="Ray's shared memory, MiB")
    dashboard: bool = Field(default=False, description="start Ray's dashboard")


def cluster_names() -> list[str]:
    """Names of all cluster descriptions."""
    return sorted(f.name.removesuffix(".yaml") for f in _files())


def load_cluster(name: str) -> Cluster:
    """One cluster description by name.

    Raises:
        ConfigError: no such cluster (with the nearest match), or its file is wrong.
    """
    found = next((f for f in _files() if f.name == f"{name}.yaml"), None)
    if found is None:
        raise ConfigError(unknown_name("cluster", name, cluster_names()))
    return parse_cluster(found.read_text(encoding="utf-8"), f"clusters/{found.name}", name)


def parse_cluster(text: str, where: str, name: str) -> Cluster:
    """A cluster description from YAML.

    Raises:
        ConfigError: not YAML, an unknown key, a bad value, or another name than the file's.
    """
    try:
        values: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {one_line(str(error))}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: must hold keys and values, see clusters/local.yaml")
    cluster = Cluster.parse(values, where)
    if cluster.name != name:
        raise ConfigError(f"{where}: name: must be '{name}', as the file; given '{cluster.name}'")
    return cluster


def _files() -> list[Any]:
    return [f for f in files(__package__).iterdir() if f.name.endswith(".yaml")]
