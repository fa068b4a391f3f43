"""Descriptions of clusters: one YAML file each, resources only, no hyperparameters.

Some are shipped in this folder and have a name; a user's own is named by the path of its file.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from clusters.aws import Aws
from clusters.base import Cluster
from clusters.existing import Existing
from clusters.gcp import Gcp
from clusters.hosts import Hosts
from clusters.inline import Inline
from clusters.joined import Joined
from clusters.kubernetes import Kubernetes
from clusters.local import Local
from clusters.slurm import Slurm
from workloads.errors import ConfigError, NotFound, one_line, unknown_name
from workloads.registry import Registry

KINDS: Registry[type[Cluster]] = Registry(
    "kind of cluster",
    {
        "inline": Inline,
        "local": Local,
        "existing": Existing,
        "joined": Joined,
        "hosts": Hosts,
        "aws": Aws,
        "gcp": Gcp,
        "kubernetes": Kubernetes,
        "slurm": Slurm,
    },
)

_ENDINGS = (".yaml", ".yml")


def cluster_names() -> list[str]:
    """Names of all cluster descriptions that are shipped."""
    return sorted(f.name.removesuffix(".yaml") for f in _files())


def load_cluster(name: str) -> Cluster:
    """One cluster by name, or by the path of a user's own file.

    Args:
        name: one of `cluster_names()`; with a slash, or ending in .yaml or .yml, a path.

    Raises:
        ConfigError: no such cluster (with the nearest match), or its file is wrong.
        NotFound: no such file.
    """
    if is_file(name):
        return _own(Path(name).expanduser(), name)
    found = next((f for f in _files() if f.name == f"{name}.yaml"), None)
    if found is None:
        raise ConfigError(
            f"{unknown_name('cluster', name, cluster_names())}, or the path of a file of your own"
        )
    return parse_cluster(found.read_text(encoding="utf-8"), f"clusters/{found.name}", name)


def is_file(name: str) -> bool:
    """Whether a cluster is given as a file of the user's own, not by its name."""
    return "/" in name or name.endswith(_ENDINGS)


def lasting(name: str) -> str:
    """What a cluster is given as, so that it means the same in every folder."""
    return str(Path(name).expanduser().resolve()) if is_file(name) else name


def parse_cluster(text: str, where: str, name: str | None = None) -> Cluster:
    """A cluster from YAML.

    Args:
        where: the file, for messages.
        name: that it must have; None: any.

    Raises:
        ConfigError: not YAML, an unknown key, a bad value, or another name.
    """
    try:
        values: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {one_line(str(error))}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: must hold keys and values, see clusters/local.yaml")
    cluster = _kind(values, where).parse(values, where)
    if name is not None and cluster.name != name:
        raise ConfigError(f"{where}: name: must be '{name}', as the file; given '{cluster.name}'")
    return cluster


def _kind(values: dict[str, Any], where: str) -> type[Cluster]:
    """The kind that the values name; they are checked by it."""
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{where}: kind: {unknown_name('kind of cluster', str(kind), KINDS)}")
    return KINDS[kind]


def _own(path: Path, given: str) -> Cluster:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{path}: no such file of a cluster; or give a name: {', '.join(cluster_names())}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise ConfigError(f"{path}: {why}; give the YAML file of a cluster") from None
    cluster = parse_cluster(text, str(path))
    if cluster.name in cluster_names():  # what is remembered of clusters goes by name
        raise ConfigError(
            f"{path}: name: '{cluster.name}' is that of a shipped cluster; give it one of its own"
        )
    return cluster.called(given)


def _files() -> list[Any]:
    return [f for f in files(__package__).iterdir() if f.name.endswith(".yaml")]
