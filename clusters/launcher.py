"""Ray's cluster launcher: `ray up` on machines of one's own, on AWS or on GCP.

What the kinds have in common; what each provider is told is in the module of the kind.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import Field

from clusters.base import JOB_SLOT, ClusterStatus, Remote, Say, State, added_up
from clusters.ray_command import NODE_VARIABLES, job_slot_option, ray_command
from clusters.state import changing, read_state, state_folder, write_state
from clusters.tokens import default_token_file, make_token
from clusters.tunnel import close_tunnel, open_tunnel
from workloads.errors import ClusterError
from workloads.options import Options

_GCS_PORT = 6379
_DASHBOARD_PORT = 8265
_CONTAINER = "wsol"
_ANSWER_S = 300.0
_MANIFEST, _STATE = "cluster.yaml", "launched.json"


class NodeType(Options):
    """Machines of one kind in a cloud."""

    instance: str = Field(description="type of the machine, in the provider's words")
    cpus: int = Field(ge=1, description="CPUs of each, as Ray is to count them")
    gpus: int = Field(default=0, ge=0, description="GPUs of each")
    disk_gb: int = Field(default=100, ge=20, description="disk of each, GB")

    def resources(self) -> dict[str, int]:
        """As Ray counts them."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})


class WorkerType(NodeType):
    """Machines of one kind that come and go with the work."""

    least: int = Field(default=0, ge=0, description="machines that are always there")
    most: int = Field(ge=1, description="machines at the same time, at most")
    spot: bool = Field(default=False, description="cheaper ones, which the provider may take away")


class Launched(Remote):
    """A cluster that Ray's own launcher starts over SSH."""

    needs: ClassVar[Mapping[str, str]] = {}
    """Python modules without which the launcher cannot talk to the provider, by package."""

    ssh_user: str = Field(description="user on the machines")
    ssh_key: str | None = Field(
        default=None, description="file of the private key; null: the provider's or SSH's own"
    )
    image: str | None = Field(
        default=None, description="container image with wsol (docs/clusters.md); null: no container"
    )
    run_options: tuple[str, ...] = Field(
        default=(), description="of the container, as --volume=/data:/data"
    )
    commands: str | None = Field(
        default=None, description="folder of wsol's commands there; null: they are on the path"
    )
    setup: tuple[str, ...] = Field(
        default=(), description="shell commands on every machine before Ray starts there"
    )
    idle_minutes: float = Field(
        default=10.0, gt=0, description="after which an idle worker beyond the least is ended"
    )

    @abstractmethod
    def provider(self) -> dict[str, Any]:
        """The launcher's section `provider`."""

    @abstractmethod
    def node_types(self) -> dict[str, Any]:
        """The launcher's keys about kinds of machines."""

    def configuration(self) -> dict[str, Any]:
        """All of the launcher's YAML."""
        return {
            "cluster_name": self.name,
            "provider": self.provider(),
            "auth": {"ssh_user": self.ssh_user}
            | ({"ssh_private_key": self.ssh_key} if self.ssh_key else {}),
            **self.node_types(),
            "idle_timeout_minutes": self.idle_minutes,
            "docker": self._docker(),
            "file_mounts": {self._token_there(): str(self.token_file())},
            "setup_commands": [f"chmod 600 {self._token_there()}", *self.setup],
            "head_start_ray_commands": self.head_commands(),
            "worker_start_ray_commands": self.worker_commands(),
        }

    def head_commands(self) -> list[str]:
        """Start the head. An earlier Ray is ended: nobody else's is on machines of a cloud."""
        return ["ray stop", self.started(*self.head_words())]

    def worker_commands(self) -> list[str]:
        """Start a worker, likewise."""
        return ["ray stop", self.started("ray", "start") + f" --address=$RAY_HEAD_IP:{_GCS_PORT}"]

    def manifest(self) -> dict[str, str]:
        """What `ray up` is given."""
        return {_MANIFEST: yaml.safe_dump(self.configuration(), sort_keys=False, width=1000)}

    def up(self, say: Say) -> None:
        """By `ray up`, which takes minutes and says what it does."""
        self._check_needs()
        folder = state_folder(self.name)
        with changing(folder, self.name):
            state = read_state(folder / _STATE)
            if state and state.get("complete"):
                self._refuse_if_silent(now := self.status())
                say(f"cluster '{self.name}' is up already, at {now.address}")
                return
            make_token(self.token_file())
            file = self._written(folder)
            write_state(folder / _STATE, {"file": str(file), "complete": False})
            self.launcher(folder, "up", "--yes", "--no-config-cache", str(file))
            self._wait()
            write_state(folder / _STATE, {"file": str(file), "complete": True})
            say(f"cluster '{self.name}' is up; its dashboard is at {self.submit_address()}")

    def down(self, say: Say) -> None:
        """By `ray down`, with the file that it was started with."""
        folder = state_folder(self.name)
        with changing(folder, self.name):
            close_tunnel(folder)
            if read_state(folder / _STATE) is None:
                say(f"cluster '{self.name}' was not started from here, or is down already")
                return
            self.stop(folder)
            (folder / _STATE).unlink()
            say(f"cluster '{self.name}' is down")

    def stop(self, folder: Path) -> None:
        """End all machines of the cluster."""
        self.launcher(folder, "down", "--yes", str(folder / _MANIFEST))

    def status(self) -> ClusterStatus:
        """By its dashboard, to which a tunnel is opened if it was started from here."""
        if read_state(state_folder(self.name) / _STATE) is None:
            return self.is_down("not started from here")
        try:
            return self.asked(self.submit_address())
        except ClusterError as error:
            return self.is_unreachable(str(error))

    def submit_address(self) -> str:
        """The near end of the tunnel."""
        folder = state_folder(self.name)
        if read_state(folder / _STATE) is None:
            raise self.not_up()
        file = str(folder / _MANIFEST)
        return open_tunnel(
            folder,
            self.name,
            lambda port: [
                *(ray_command(), "dashboard", file, f"--port={port}"),
                f"--remote-port={_DASHBOARD_PORT}",
            ],
        )

    def token_file(self) -> Path:
        """The user's own, which the launcher carries to the machines."""
        return default_token_file(os.environ)

    def _written(self, folder: Path) -> Path:
        file = folder / _MANIFEST
        file.write_text(self.manifest()[_MANIFEST], encoding="utf-8")
        return file

    def _wait(self) -> None:
        """Until the head answers."""
        until = time.monotonic() + _ANSWER_S
        while (now := self.status()).state is not State.UP and time.monotonic() < until:
            time.sleep(1.0)
        self._refuse_if_silent(now)

    def _refuse_if_silent(self, now: ClusterStatus) -> None:
        """Its jobs may still run, so it is not started over them."""
        if now.state is not State.UP:
            raise ClusterError(
                f"cluster '{self.name}' was started but is of no use: {now.reason}; end it: wsol "
                f"cluster down {self.given}"
            )

    def launcher(self, folder: Path, *words: str) -> None:
        """The launcher's own words go to stderr as they come: it works for minutes."""
        code = subprocess.run(
            [ray_command(), *words], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        ).returncode
        if code:
            raise ClusterError(
                f"cluster '{self.name}': ray {words[0]} failed (exit code {code}, its words are "
                f"above); what it was given is {folder / _MANIFEST}"
            )

    def _check_needs(self) -> None:
        for module, package in self.needs.items():
            if importlib.util.find_spec(module) is None:
                raise ClusterError(
                    f"cluster '{self.name}': Ray's launcher needs {package} here: "
                    f"{sys.executable} -m pip install {package}"
                )

    def _docker(self) -> dict[str, Any]:
        if self.image is None:
            return {}
        return {
            "image": self.image,
            "container_name": _CONTAINER,
            "run_options": ["--user=root", *self.run_options],  # files come there as root's
        }

    def _token_there(self) -> str:
        return f"~/.ray/wsol-{self.name}-token"

    def head_words(self) -> list[str]:
        """The command that starts the head."""
        return [
            *("ray", "start", "--head", f"--port={_GCS_PORT}", "--dashboard-host=127.0.0.1"),
            *("--include-dashboard=true", f"--dashboard-port={_DASHBOARD_PORT}"),
            "--autoscaling-config=~/ray_bootstrap_config.yaml",
            job_slot_option(self.job_slots),
        ]

    def started(self, *words: str, **more: str) -> str:
        """A command as one line for the shell of a node, whose home is not known here.

        Args:
            more: variables beside those of every node.
        """
        named = {**NODE_VARIABLES, **more}
        variables = [f"{name}={shlex.quote(value)}" for name, value in named.items()]
        variables.append(f"RAY_AUTH_TOKEN_PATH=$HOME/{self._token_there().removeprefix('~/')}")
        if self.commands:
            variables.append(f"PATH={shlex.quote(self.commands)}:$PATH")
        return f"ulimit -n 65536; export {' '.join(variables)}; {shlex.join(words)}"


class InCloud(Launched):
    """Machines of one region of a cloud, made for this cluster and ended with it."""

    region: str = Field(description="of the machines")
    zone: str = Field(description="of the machines; data should be in its region")
    head: NodeType = Field(description="the machine that takes jobs and drives them")
    workers: dict[str, WorkerType] = Field(description="kinds of the machines that do the work")

    @abstractmethod
    def node_config(self, node: NodeType) -> dict[str, Any]:
        """A machine in the provider's words."""

    def node_types(self) -> dict[str, Any]:
        """The head, which has the slots for jobs, and each kind of worker."""
        head = {
            "resources": {**self.head.resources(), JOB_SLOT: self.job_slots},
            "node_config": self.node_config(self.head),
        }
        workers = {
            name: {
                "resources": worker.resources(),
                "node_config": self.node_config(worker),
                "min_workers": worker.least,
                "max_workers": worker.most,
            }
            for name, worker in self.workers.items()
        }
        return {
            "available_node_types": {"head": head, **workers},
            "head_node_type": "head",
            "max_workers": sum(worker.most for worker in self.workers.values()),
        }

    def most(self) -> dict[str, float]:
        """The head and all workers."""
        groups = ((worker.most, worker.resources()) for worker in self.workers.values())
        return added_up((1, self.head.resources()), *groups)
