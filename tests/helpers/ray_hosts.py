"""A Ray over hosts in network namespaces, with a token, and an MLflow server beside it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from netns import Host, Hosts

from clusters.ray_command import NODE_VARIABLES, job_slot_option, ray_command
from clusters.web import ask

GCS, DASHBOARD, TRACKING = 16379, 8265, 5000
PATIENCE_S = 240.0
_STORE = str(100 * 2**20)

_ANNOUNCE = """
import sys, time
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2
gcs = GcsClient(address=sys.argv[1])
(node,) = [
    node for node, info in gcs.get_all_node_info().items()
    if info.node_manager_address == sys.argv[2] and info.state == 0
]
reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
until = int(1000 * (time.time() + float(sys.argv[3])))
print(gcs.drain_node(node.hex(), reason, "taken away", until))
"""


def until(
    seen: Callable[[], object], what: str, log: Path | None = None, patience_s: float = PATIENCE_S
) -> float:
    """Wait for something; the seconds that it took."""
    started = time.monotonic()
    while not seen():
        if time.monotonic() - started >= patience_s:
            raise AssertionError(f"not seen: {what}; {log.read_text()[-3000:] if log else ''}")
        time.sleep(0.2)
    return time.monotonic() - started


class RayHosts:
    """The first host is the head; each host has one CPU unless told otherwise."""

    def __init__(self, hosts: Hosts, folder: Path, workers: int = 2) -> None:
        self.hosts, self.folder, self.workers = hosts, folder, workers
        self.token = folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"http://{self.head.address}:{DASHBOARD}"
        self.tracking = f"http://{hosts.gateway}:{TRACKING}"
        self._server: subprocess.Popen[bytes] | None = None
        self._started = 0
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "WSOL_"))},
            **NODE_VARIABLES,
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "60",
            "OMP_NUM_THREADS": "1",
        }

    @property
    def head(self) -> Host:
        return self.hosts.hosts[0]

    def describe(self, file: Path, shared: Path) -> Path:
        """The file of this cluster for `wsol --cluster`."""
        values = {
            "name": "three", "summary": "hosts of a test", "kind": "existing",
            "address": self.address, "token_path": str(self.token), "shared": [str(shared)],
            "python": sys.executable,
        }  # fmt: skip
        file.write_text(yaml.safe_dump(values))
        return file

    def start_head(self, cpus: int = 1) -> None:
        """Start the head, and wait until it takes jobs."""
        self._start(
            self.head,
            *("--head", f"--port={GCS}", f"--num-cpus={cpus}", job_slot_option(1)),
            *(f"--dashboard-host={self.head.address}", f"--dashboard-port={DASHBOARD}"),
        )
        until(lambda: self.alive() >= 1, "the head")

    def start_worker(self, host: Host, cpus: int = 1) -> None:
        """Start a node, and wait until the head knows it."""
        before = self.alive()
        self._start(host, f"--address={self.head.address}:{GCS}", f"--num-cpus={cpus}")
        log = self.folder / f"{host.name}.log"
        until(lambda: self.alive() > before, f"node {host.address}", log)

    def kill(self, host: Host) -> None:
        """Kill all of a node at once: Ray, and what its jobs have started."""
        self.nodes.pop(host.name, None)
        host.end()

    def announce_end(self, host: Host, seconds: float) -> None:
        """Tell Ray that a node will be taken away, as a cloud's notice of preemption does."""
        words = [sys.executable, "-c", _ANNOUNCE, f"{self.head.address}:{GCS}", host.address]
        log = self.folder / "announce.log"
        process = self.head.start([*words, str(seconds)], log, self.environment)
        assert process.wait(60) == 0, log.read_text()

    def is_over(self, host: Host) -> bool:
        """Whether the Ray of a host has ended, or was ended."""
        return host.name not in self.nodes or self.nodes[host.name].poll() is not None

    def heal(self) -> None:
        """Start again whatever a fault has left ended; the hosts that were there at first."""
        for host in self.hosts.hosts:
            host.mend()
        if self._server is None:
            self.start_tracking()
        if self.is_over(self.head):
            self.end()
            self.start_tracking()
            self.start_head()
        for host in self.hosts.hosts[1 : 1 + self.workers]:
            if self.is_over(host):
                self.kill(host)
                self.start_worker(host)
        until(lambda: self.alive() == 1 + self.workers, "all nodes")

    def alive(self) -> int:
        """Nodes that the head knows and hears."""
        return ask(self.address, self.token.read_text()).nodes or 0

    def start_tracking(self) -> None:
        """Start the MLflow server, on this machine's own address."""
        words = [
            *(sys.executable, "-m", "mlflow", "server", "--host", self.hosts.gateway),
            *("--port", str(TRACKING), "--workers", "1", "--allowed-hosts", "*"),
            *("--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(self.folder / "artifacts")),
        ]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "mlflow.log").open("ab") as log:
            self._server = subprocess.Popen(
                words, env={**os.environ, **quiet}, stdout=log, stderr=log, start_new_session=True
            )
        until(self._tracks, "the tracking server")

    def stop_tracking(self) -> None:
        """Kill the MLflow server."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def end(self) -> None:
        """Kill everything."""
        self.stop_tracking()
        for host in self.hosts.hosts:
            self.kill(host)

    def _start(self, host: Host, *options: str) -> None:
        words = [
            *(ray_command(), "start", "--block", "--disable-usage-stats"),
            *(f"--node-ip-address={host.address}", f"--object-store-memory={_STORE}"),
            *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
            f"--temp-dir={self.folder / f'r{self._started}'}",  # nodes of one disk, else they clash
            *options,
        ]
        self._started += 1
        log = self.folder / f"{host.name}.log"
        # All of them have one name, which is that of loopback: gloo is told where others are.
        environment = {**self.environment, "GLOO_SOCKET_IFNAME": f"{host.name}a"}
        self.nodes[host.name] = host.start(words, log, environment)

    def _tracks(self) -> bool:
        address = f"{self.tracking}/health"
        with suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
        return False


@contextmanager
def ray_over(hosts: Hosts, folder: Path, workers: int = 2) -> Iterator[RayHosts]:
    """A cluster over the first hosts, with its tracking server."""
    found = RayHosts(hosts, folder, workers)
    try:
        found.start_tracking()
        found.start_head()
        for host in hosts.hosts[1 : 1 + workers]:
            found.start_worker(host)
        yield found
    finally:
        found.end()
