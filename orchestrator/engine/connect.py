"""The engine of a cluster: Ray, or this process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clusters.cluster import load_cluster
from clusters.inline import Inline as InlineCluster
from clusters.joined import Joined
from clusters.local import Local
from orchestrator.config.settings import LoaderName, Machine
from orchestrator.engine.engine import Engine
from orchestrator.engine.signals import ending_by_sigterm
from workloads.errors import ConfigError

_PATIENCE_S = 60.0  # nodes that died are replaced, and those of a new cluster are still starting


@contextmanager
def connect(machine: Machine) -> Iterator[Engine]:
    """The engine of the machine's cluster, for the time of the block.

    Raises:
        ConfigError: no such cluster, or one that only takes jobs.
        ClusterError: Ray does not start.
    """
    cluster = load_cluster(machine.cluster)
    if isinstance(cluster, InlineCluster):
        from orchestrator.engine.inline import Inline

        with ending_by_sigterm():
            yield Inline()
        return
    if not isinstance(cluster, Local | Joined):
        raise ConfigError(
            f"cluster '{cluster.name}' takes jobs: wsol submit --cluster {cluster.given} -- VERB "
            "...; a verb itself runs on local or inline (--set cluster=local)"
        )
    from orchestrator.engine.ray_engine import RayEngine, running_ray

    with running_ray(machine, cluster), ending_by_sigterm():
        yield RayEngine(_PATIENCE_S if isinstance(cluster, Joined) else 0.0)


def is_inline(machine: Machine) -> bool:
    """Whether all work is done in this process, without Ray."""
    return isinstance(load_cluster(machine.cluster), InlineCluster)


def training_loader(machine: Machine) -> LoaderName:
    """The loader that a training has there; it decides which images share a batch.

    Raises:
        ConfigError: one that needs Ray, without Ray.
    """
    loader = machine.resources.train.loader
    if loader == "ray-data" and is_inline(machine):
        raise ConfigError(
            "resources.train.loader is ray-data and cluster inline, which has no Ray; set it to "
            "shards, or another cluster"
        )
    return loader


def training_workers(machine: Machine) -> int:
    """Workers that a training has there; they decide its result."""
    return 1 if is_inline(machine) else machine.resources.train.most_workers
