"""Faults on several hosts: each strikes when its block begins, and is over when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from commands import wsol
from netns import Host
from ray_hosts import RayHosts, until
from s3_endpoint import S3Endpoint

from orchestrator.jobs.record import Job

AWAY_S, NOTICE_S = 30.0, 20.0
_ROOT = Path(__file__).resolve().parents[2]
# Of trainings, of pools, and of trials.
WORKERS = ("ray::RayTrainWorker", "ray::MapWorker", "ray::_MapWorker", "ray::ImplicitFunc.train")


@dataclass(frozen=True)
class Scene:
    """What a fault can strike.

    Attributes:
        followers: commands that wait for the job, the last of them still.
    """

    ray: RayHosts
    storage: S3Endpoint
    job: Job
    followers: list[subprocess.Popen[bytes]]


@contextmanager
def following(scene: Scene) -> Iterator[None]:
    """`wsol jobs wait` runs beside, as for a user who has not left."""
    _follow(scene)
    try:
        yield
    finally:
        scene.followers[-1].kill()
        scene.followers[-1].wait()


def _follow(scene: Scene) -> None:
    words = [sys.executable, "-m", "orchestrator.cli", "jobs", "wait", scene.job.name]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    scene.followers.append(subprocess.Popen(words, env=environment))


@contextmanager
def worker_killed(scene: Scene) -> Iterator[None]:
    """SIGKILL to one process that trains."""
    _, worker = _worker(scene.ray)
    worker.kill()
    yield


@contextmanager
def verb_killed(scene: Scene) -> Iterator[None]:
    """SIGKILL to the process that drives the job's work."""
    (keeper,) = _keepers(scene)
    for verb in keeper.children():
        verb.kill()
    yield


@contextmanager
def keeper_killed(scene: Scene) -> Iterator[None]:
    """SIGKILL to the process that Ray started for the job."""
    (keeper,) = _keepers(scene)
    keeper.kill()
    yield


@contextmanager
def node_killed(scene: Scene) -> Iterator[None]:
    """SIGKILL to all processes of a node that works; the kernel says goodbye for them."""
    host, _ = _worker(scene.ray)
    scene.ray.kill(host)
    yield


@contextmanager
def node_announced(scene: Scene) -> Iterator[None]:
    """Ray is told that a node that works will be taken away; then it is."""
    host, _ = _worker(scene.ray)
    scene.ray.announce_end(host, NOTICE_S)
    time.sleep(NOTICE_S)
    scene.ray.kill(host)
    until(lambda: scene.ray.alive() <= scene.ray.workers, "that the node is known to be gone")
    yield


@contextmanager
def node_gone(scene: Scene) -> Iterator[None]:
    """A node loses its cable and its power: nobody hears of it again."""
    host, _ = _worker(scene.ray)
    host.cut()
    scene.ray.kill(host)
    yield


@contextmanager
def node_cut_off(scene: Scene) -> Iterator[None]:
    """A node that works loses its cable for a while."""
    host, _ = _worker(scene.ray)
    with _for_a_while(host.cut, host.mend):
        yield


@contextmanager
def tracking_away(scene: Scene) -> Iterator[None]:
    """The tracking server is killed, and started again after a while."""
    with _for_a_while(scene.ray.stop_tracking, scene.ray.start_tracking):
        yield


@contextmanager
def storage_away(scene: Scene) -> Iterator[None]:
    """Object storage refuses all connections for a while."""
    with _for_a_while(scene.storage.stop, scene.storage.start):
        yield


@contextmanager
def head_started_anew(scene: Scene) -> Iterator[None]:
    """All processes of the head are killed; a new one starts, and the job is resumed by hand."""
    ray, name = scene.ray, scene.job.name
    scene.followers[-1].kill()  # it would submit the job again by itself
    scene.followers[-1].wait()
    ray.kill(ray.head)
    ray.start_head()
    for host in ray.hosts.hosts[1:]:
        seconds = until(lambda: ray.is_over(host), "the end of a node without its head")  # noqa: B023
        print(f"\nnode {host.address} ended {seconds:.0f} s after its head")  # noqa: T201
        ray.start_worker(host)
    until(lambda: _state(name) == "lost", "that the job is known to be lost")
    assert wsol("jobs", "resume", name).code == 0
    _follow(scene)
    yield


def _state(name: str) -> str:
    return str(wsol("jobs", "status", name, "-o", "json").answer()["state"])


def _worker(ray: RayHosts) -> tuple[Host, psutil.Process]:
    """A process that works, on a host that is not the head."""
    for host in ray.hosts.hosts[1:]:
        for process in _processes(host):
            if _words(process)[0].startswith(WORKERS):
                return host, process
    raise AssertionError("nobody works outside of the head")


def _keepers(scene: Scene) -> list[psutil.Process]:
    wanted = ["-m", "orchestrator.jobs.keeper"]
    return [
        process
        for process in _processes(scene.ray.head)
        if _words(process)[1:3] == wanted and _words(process)[3].endswith(scene.job.name)
    ]


def _processes(host: Host) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in host.processes() if psutil.pid_exists(pid)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or [""]
    except psutil.Error:  # it has just ended
        return [""]


@contextmanager
def _for_a_while(leave: Callable[[], None], come_back: Callable[[], None]) -> Iterator[None]:
    leave()
    coming = threading.Thread(target=lambda: (time.sleep(AWAY_S), come_back()))
    coming.start()
    try:
        yield
    finally:
        coming.join()
