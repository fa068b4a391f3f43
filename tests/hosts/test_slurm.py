"""The kind slurm on a real SLURM: two hosts, a cluster over both, requeued, cancelled."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from netns import Hosts, hosts
from slurm import Slurm, slurm

from clusters.base import Cluster, ClusterStatus, State
from clusters.cluster import load_cluster
from clusters.state import STATE_VARIABLE

WHERE = """
import ray, sys
ray.init("auto", log_to_driver=False)
@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    import time
    time.sleep(1)
    return ray.util.get_node_ip_address()
print("seen", *sorted(set(ray.get([where.remote() for _ in range(4)]))))
"""

COUNT = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
at = folder / "at"
start = int(at.read_text()) if at.exists() else 0
with (folder / "starts").open("a") as stream:
    stream.write(f"{start}\\n")
for step in range(start, 10):
    time.sleep(1)
    at.write_text(str(step + 1))
"""


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[Hosts]:
    with hosts(2) as found:
        yield found


@pytest.fixture(scope="module")
def running(two_hosts: Hosts) -> Iterator[Slurm]:
    with (
        tempfile.TemporaryDirectory(prefix="ws-", dir="/tmp") as folder,
        slurm(two_hosts, Path(folder)) as found,
    ):
        yield found


@pytest.fixture
def cluster(running: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("SLURM_CONF", str(running.configuration))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    # What is in the shell of the one who starts it must not reach the cluster.
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    file = tmp_path / "mine.yaml"
    values = {
        "name": "mine", "summary": "two hosts", "kind": "slurm", "nodes": 2, "cpus": 2, "hours": 1,
        "folder": str(tmp_path / "shared"), "commands": str(Path(sys.executable).parent),
        "object_store_mb": 100,
    }  # fmt: skip
    file.write_text(json.dumps(values))
    found = load_cluster(str(file))
    yield found
    found.down(print)


def wait_for(cluster: Cluster, right: Callable[[ClusterStatus], bool], seconds: float = 300) -> Any:
    until = time.monotonic() + seconds
    while not right(status := cluster.status()):
        logs = [p.read_text()[-3000:] for p in cluster.token_file().parent.glob("*.log")]
        assert time.monotonic() < until, (status, *logs)
        assert status.state is not State.DOWN, (status, *logs)
        time.sleep(0.5)
    return status


def both_up(status: ClusterStatus) -> bool:
    return status.state is State.UP and status.nodes == 2


def api(cluster: Cluster, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"{cluster.submit_address()}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {cluster.token()}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def submit(cluster: Cluster, folder: Path, source: str, *words: str) -> str:
    file = folder / "job.py"
    file.write_text(source)
    entrypoint = " ".join([sys.executable, str(file), *words])
    return api(cluster, "/api/jobs/", {"entrypoint": entrypoint})["submission_id"]


def finished(cluster: Cluster, job: str, seconds: float = 120) -> str:
    until = time.monotonic() + seconds
    while (status := api(cluster, f"/api/jobs/{job}")["status"]) in ("PENDING", "RUNNING"):
        assert time.monotonic() < until, status
        time.sleep(0.5)
    logs = api(cluster, f"/api/jobs/{job}/logs")["logs"]
    assert status == "SUCCEEDED", logs
    return logs


def ray_processes(net: Hosts) -> list[str]:
    """What there is of Ray on the hosts."""
    pids = [pid for host in net.hosts for pid in host.processes()]
    names = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    said = [name.read_text().replace("\0", " ") for name in names if name.exists()]
    return [words for words in said if "ray" in words]


def temporary_folders() -> set[Path]:
    """Of Ray's in steps of SLURM."""
    return set(Path("/tmp").glob("wsol-??????"))


def test_a_cluster_over_two_hosts_comes_is_requeued_and_goes(
    cluster: Cluster, running: Slurm, two_hosts: Hosts, tmp_path: Path
) -> None:
    said, folders = list[str](), temporary_folders()
    assert cluster.status().state is State.DOWN
    cluster.up(said.append)
    job = json.loads((tmp_path / "state/wsol/clusters/mine/slurm.json").read_text())["job"]
    assert f"job {job} of SLURM" in said[0]
    wait_for(cluster, both_up)
    assert cluster.most() == {"CPU": 4.0}
    assert cluster.token() != "another"
    assert cluster.token_file().stat().st_mode & 0o777 == 0o600

    # A second one is not started.
    cluster.up(said.append)
    assert "is up already" in said[-1]
    assert running.said("squeue", "--noheader", "--format=%i").split() == [job]

    # Tasks run on both hosts.
    addresses = sorted(host.address for host in two_hosts.hosts)
    assert f"seen {' '.join(addresses)}" in finished(cluster, submit(cluster, tmp_path, WHERE))

    assert ray_processes(two_hosts)

    # Requeued while something runs: the same job of SLURM, and the work goes on where it was.
    submit(cluster, tmp_path, COUNT, str(tmp_path))
    at, until = tmp_path / "at", time.monotonic() + 60
    while not at.exists() or int(at.read_text()) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    running.said("scontrol", "requeue", job)
    waiting = wait_for(cluster, lambda status: status.state is State.STARTING)
    assert waiting.reason.startswith(f"job {job} is ")
    wait_for(cluster, both_up)
    assert "Restarts=1" in running.said("scontrol", "show", "job", job)
    finished(cluster, submit(cluster, tmp_path, COUNT, str(tmp_path)))
    first, second = map(int, (tmp_path / "starts").read_text().split())
    assert first == 0
    assert 2 <= second < 10
    assert at.read_text() == "10"

    # It goes, with all that it started.
    cluster.down(said.append)
    assert said[-1] == f"cluster 'mine' is down: job {job} was cancelled"
    until = time.monotonic() + 90
    while ray_processes(two_hosts):
        assert time.monotonic() < until
        time.sleep(0.5)
    assert temporary_folders() == folders
    assert cluster.status().state is State.DOWN
    cluster.down(said.append)
    assert "is down already" in said[-1]
