"""The kind hosts on real SSH daemons: two hosts, Ray's launcher, and the end of its own alone."""

from __future__ import annotations

import json
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from netns import Hosts, hosts

from clusters.base import Cluster, State
from clusters.cluster import load_cluster
from clusters.state import STATE_VARIABLE


@pytest.fixture
def two_hosts() -> Iterator[Hosts]:
    with hosts(2) as found:
        yield found


@pytest.fixture
def places(two_hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keys, state and token. SSH's daemons take that key alone and give a home of its own."""
    for command in ("sshd", "rsync"):
        if shutil.which(command) is None:
            pytest.skip(f"no {command} here: apt-get install openssh-server rsync")
    with tempfile.TemporaryDirectory(prefix="wh-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setenv(STATE_VARIABLE, str(folder / "state"))
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(folder / "token"))
        monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
        for key in ("key", "host"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(words, check=True)
        (folder / "home").mkdir()
        # SSH looks in the home of the user's entry for the key that the launcher copies to $HOME.
        copied = Path(pwd.getpwuid(0).pw_dir) / "ray_bootstrap_key.pem"
        if copied.exists():
            pytest.skip(f"{copied} is somebody's")
        copied.symlink_to(folder / "key")
        Path("/run/sshd").mkdir(exist_ok=True)
        for index, host in enumerate(two_hosts.hosts):
            options = {
                "ListenAddress": host.address,
                "HostKey": folder / "host",
                "AuthorizedKeysFile": folder / "key.pub",
                "PasswordAuthentication": "no",
                "PermitRootLogin": "prohibit-password",
                "StrictModes": "no",  # its folder is below /tmp
                "UsePAM": "no",
                "SetEnv": f"HOME={folder / 'home'}",
                "PidFile": folder / f"{index}.pid",
            }
            words = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null"]
            words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
            host.start(words, folder / f"sshd-{index}.log")
        try:
            yield folder
        finally:
            copied.unlink()


@pytest.fixture
def cluster(two_hosts: Hosts, places: Path) -> Iterator[Cluster]:
    file = places / "mine.yaml"
    head, worker = two_hosts.hosts
    values = {
        "name": "mine", "summary": "two hosts", "kind": "hosts", "head": head.address,
        "workers": [worker.address], "ssh_user": "root", "ssh_key": str(places / "key"),
        "commands": str(Path(sys.executable).parent),
    }  # fmt: skip
    file.write_text(json.dumps(values))
    yield load_cluster(str(file))
    for left in Path("/tmp/ray").glob("cluster-mine.*"):
        left.unlink()


def ray_on(net: Hosts) -> list[str]:
    pids = [pid for host in net.hosts for pid in host.processes()]
    files = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    said = [file.read_text().replace("\0", " ") for file in files if file.exists()]
    return [words for words in said if "raylet" in words or "gcs_server" in words]


def test_a_cluster_over_ssh_comes_and_goes_with_its_own_alone(
    cluster: Cluster, two_hosts: Hosts, places: Path
) -> None:
    said = list[str]()
    cluster.up(said.append)
    assert "is up; its dashboard is at http://127.0.0.1:" in said[-1]
    until = time.monotonic() + 300
    while (status := cluster.status()).nodes != 2:
        assert status.state is State.UP
        assert time.monotonic() < until, status
        time.sleep(1)
    cluster.up(said.append)
    assert "is up already" in said[-1]

    cluster.down(said.append)
    assert said[-1] == "cluster 'mine' is down"
    assert cluster.status().state is State.DOWN
    until = time.monotonic() + 120
    while ray_on(two_hosts):  # the worker ends when it has missed its head for a while
        assert time.monotonic() < until
        time.sleep(1)
