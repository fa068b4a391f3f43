"""A real SLURM over hosts in network namespaces, with a munge of its own; root is needed."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from netns import Hosts

_PORT = 6818  # as everywhere
_NEEDED = {"slurm-wlm": ("slurmctld", "slurmd", "sbatch"), "munge": ("munged",)}


@dataclass(frozen=True)
class Slurm:
    """A running SLURM.

    Attributes:
        configuration: file that `$SLURM_CONF` names for its commands.
        nodes: names of its nodes, as the hosts that they are.
    """

    configuration: Path
    nodes: list[str]

    def said(self, *words: str) -> str:
        """What one of its commands says."""
        environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout


@contextmanager
def slurm(hosts: Hosts, folder: Path, cpus: int = 2) -> Iterator[Slurm]:
    """A SLURM whose nodes are these hosts.

    Args:
        folder: an empty one with a short name, for its sockets.
        cpus: of each node, whatever this machine has.
    """
    for package, commands in _NEEDED.items():
        if not all(map(shutil.which, commands)):
            pytest.skip(f"no SLURM here: apt-get install {package}")
    folder.chmod(0o755)
    names = [f"n{index}" for index, _ in enumerate(hosts.hosts)]
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(hosts, folder, names, cpus))
    started = []
    try:
        started.append(_munge(folder))
        started.append(_start(["slurmctld", "-D", "-f", str(configuration)], folder, "slurmctld"))
        for name, host in zip(names, hosts.hosts, strict=True):
            words = ["slurmd", "-D", "-N", name, "-f", str(configuration)]
            host.start(words, folder / f"slurmd-{name}.log")
        found = Slurm(configuration, names)
        _wait_until_idle(found, folder)
        yield found
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=20)


def _munge(folder: Path) -> subprocess.Popen[bytes]:
    key = folder / "munge.key"
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT, 0o400)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(1024))
    words = ["munged", "--foreground", f"--key-file={key}", f"--socket={folder}/munge.sock"]
    words += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    process = _start(words, folder, "munged")
    _wait(lambda: (folder / "munge.sock").exists(), process, folder / "munged.log")
    return process


def _start(words: list[str], folder: Path, name: str) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("ab") as stream:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)


def _wait_until_idle(found: Slurm, folder: Path) -> None:
    def idle() -> bool:
        states = found.said("sinfo", "--noheader", "--Node", "--format=%T").split()
        return states == ["idle"] * len(found.nodes)

    until = time.monotonic() + 60
    while True:
        try:
            if idle():
                return
        except AssertionError:  # the controller does not answer yet
            pass
        logs = "\n".join(p.read_text()[-1500:] for p in folder.glob("slurm*.log"))
        assert time.monotonic() < until, logs
        time.sleep(0.5)


def _wait(condition, process: subprocess.Popen[bytes], log: Path, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def _configuration(hosts: Hosts, folder: Path, names: list[str], cpus: int) -> str:
    common = {
        "ClusterName": "tests",
        "SlurmUser": "root",
        "SlurmctldHost": f"{socket.gethostname()}({hosts.gateway})",
        "SlurmctldPort": str(_PORT - 1),
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge.sock,cred_expire=10",  # a requeued job waits for it
        "CredType": "cred/munge",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SwitchType": "switch/none",
        "MpiDefault": "none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "StateSaveLocation": str(folder / "state"),
        "SlurmdSpoolDir": str(folder / "spool-%n"),
        "SlurmctldPidFile": str(folder / "slurmctld.pid"),
        "SlurmdPidFile": str(folder / "slurmd-%n.pid"),
        "ReturnToService": "2",
        "SlurmdParameters": "config_overrides",
        "KillWait": "30",
        "MinJobAge": "300",
    }
    nodes = [
        f"NodeName={name} NodeHostname={name} NodeAddr={host.address} Port={_PORT} "
        f"CPUs={cpus} RealMemory=4000 State=UNKNOWN"
        for name, host in zip(names, hosts.hosts, strict=True)
    ]
    partition = f"PartitionName=all Nodes={','.join(names)} Default=YES State=UP"
    (folder / "state").mkdir()
    for name in names:
        (folder / f"spool-{name}").mkdir()
    return "\n".join([*(f"{k}={v}" for k, v in common.items()), *nodes, partition, ""])
