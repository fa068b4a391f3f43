"""This machine: a Ray for each command, or one that stays and takes jobs."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from clusters.base import Cluster, ClusterStatus, Say, State
from clusters.processes import Leader
from clusters.ray_command import NODE_VARIABLES, STOP_S, job_slot_option, ray_command
from clusters.state import changing, read_state, state_folder, write_state
from clusters.tokens import default_token_file, make_token, with_token_of
from clusters.tunnel import free_port, last_line
from workloads.errors import ClusterError, ConfigError

_START_S = 120.0  # a busy machine with two cores takes 25 s
_DASHBOARD_PORT = 8265
_LOG = "ray.log"
_JOB_ACTOR = "JobSupervisor"
_IDLE_STOP_S = 3.0  # actors that Ray Data leaves behind would hold its end up for half a minute
_LONGEST_FOLDER = 40  # bytes; Ray puts sockets with long names below it
_NOT_HANDED_ON = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_JOB_ID")


class Local(Cluster):
    """Ray on this machine."""

    same_machine: ClassVar[bool] = True
    kind: Literal["local"]
    cpus: int | None = Field(
        default=None, ge=1, description="null: this machine's cores, at least 2 logical"
    )
    gpus: int | None = Field(default=None, ge=0, description="null: those that Ray finds")
    object_store_mb: int = Field(default=512, ge=80, description="Ray's shared memory, MiB")
    dashboard: bool = Field(
        default=False, description="start Ray's dashboard; one that stays always has it"
    )

    @property
    def logical_cpus(self) -> int:
        """CPUs that Ray is told of."""
        return self.cpus or max(2, os.cpu_count() or 1)

    def manifest(self) -> dict[str, str]:
        """Nothing is applied: a process is started."""
        return {}

    def up(self, say: Say) -> None:
        """Start a Ray that outlives this command, in a session of its own."""
        folder = state_folder(self.name)
        with changing(folder, self.name):
            now = self.status()
            if now.state is State.UP:
                say(f"cluster '{self.name}' is up already, at {now.address}")
                return
            if now.state is State.UNREACHABLE:  # its jobs may still run
                raise ClusterError(
                    f"cluster '{self.name}' runs but is of no use: {now.reason}; end it: wsol "
                    f"cluster down {self.given}"
                )
            started = time.monotonic()
            if now.state is State.DOWN:
                self._clean(folder)
                self._start(folder)
            self._wait(folder)
            seconds = time.monotonic() - started
            address = self.submit_address()
        say(f"cluster '{self.name}' is up at {address} after {seconds:.0f} s; it stays until")
        say(f"  wsol cluster down {self.given}")

    def down(self, say: Say) -> None:
        """End the processes that `up` started; `ray stop` would end those of others, too."""
        folder = state_folder(self.name)
        with changing(folder, self.name):
            if Leader.of(read_state(_file(folder))) is None:
                say(f"cluster '{self.name}' is down already")
                return
            self._clean(folder)
        say(f"cluster '{self.name}' is down")

    def status(self) -> ClusterStatus:
        """By its process first, then by its address."""
        state = read_state(_file(state_folder(self.name)))
        leader = Leader.of(state)
        if state is None or leader is None:
            return self.is_down("not started")
        if not leader.runs():
            return self.is_down(
                f"its process {leader.pid} is gone (killed, or the machine started again)"
            )
        young = time.time() - leader.started < _START_S
        return self.asked(str(state["address"]), starting=young)

    def submit_address(self) -> str:
        """Its loopback address."""
        state = read_state(_file(state_folder(self.name)))
        leader = Leader.of(state)
        if state is None or leader is None or not leader.runs():
            raise self.not_up()
        return str(state["address"])

    def token_file(self) -> Path:
        """The user's own, as a Ray of a single command has it, or this cluster's own copy."""
        return default_token_file(os.environ)

    def _start(self, folder: Path) -> None:
        port, temporary = free_port(_DASHBOARD_PORT), _temporary_folder()
        environment = _environment(self.token_file())
        leader = Leader.start(self._words(port, temporary), environment, folder / _LOG)
        state = {"address": f"http://127.0.0.1:{port}", "temporary": str(temporary)}
        write_state(_file(folder), {**leader.state(), **state})

    def _words(self, port: int, temporary: Path) -> list[str]:
        """Ports are free ones, so that two users can each have one on a machine."""
        gpus = [] if self.gpus is None else [f"--num-gpus={self.gpus}"]
        return [
            *(ray_command(), "start", "--head", "--block", "--disable-usage-stats"),
            *("--port=0", "--min-worker-port=0", "--max-worker-port=0"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={port}"),
            *("--include-dashboard=true", "--dashboard-agent-listen-port=0"),
            *(f"--ray-client-server-port={free_port()}", f"--temp-dir={temporary}"),
            *(f"--num-cpus={self.logical_cpus}", *gpus),
            f"--object-store-memory={self.object_store_mb * 2**20}",
            job_slot_option(self.job_slots),
        ]

    def _wait(self, folder: Path) -> None:
        """Until it answers; nothing half started stays, after Ctrl-C neither."""
        try:
            until = time.monotonic() + _START_S
            while (now := self.status()).state is State.STARTING and time.monotonic() < until:
                time.sleep(0.2)
        except BaseException:
            self._clean(folder)
            raise
        if now.state is not State.UP:
            self._clean(folder)
            log = folder / _LOG
            why = last_line(log) if now.state is State.DOWN else f"{now.reason} (see {log})"
            raise ClusterError(f"cluster '{self.name}': Ray does not start: {why}")

    def _clean(self, folder: Path) -> None:
        """End what is left of an earlier start and forget it."""
        state = read_state(_file(folder))
        leader = Leader.of(state)
        if leader is not None and not leader.end(STOP_S if _has_jobs(leader) else _IDLE_STOP_S):
            raise ClusterError(
                f"cluster '{self.name}': processes of session {leader.pid} do not end; see "
                f"`ps -s {leader.pid}`"
            )
        _remove_temporary(state)
        _file(folder).unlink(missing_ok=True)


def _file(folder: Path) -> Path:
    return folder / "local.json"


def _has_jobs(leader: Leader) -> bool:
    """Whether a job runs there: each has an actor of Ray's beside it."""
    return any(_JOB_ACTOR in title for title in leader.titles())


def _environment(token: Path) -> dict[str, str]:
    """Without what belongs to the command that starts it and not to its jobs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_HANDED_ON and not name.startswith("WSOL_")
    }
    path = os.pathsep.join([str(Path(ray_command()).parent), kept.get("PATH", os.defpath)])
    return {**with_token_of(make_token(token), kept), **NODE_VARIABLES, "PATH": path}


def _temporary_folder() -> Path:
    """A folder of this cluster's own that nobody else can look into."""
    root = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    try:
        folder = Path(tempfile.mkdtemp(prefix="wsol-", dir=root))
    except OSError as error:
        raise ConfigError(f"{root}: {error.strerror}; set RAY_TMPDIR to a folder") from None
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        folder.rmdir()
        raise ConfigError(
            f"{root} is too long for Ray's sockets; set RAY_TMPDIR to a short folder, as /tmp"
        )
    return folder


def _remove_temporary(state: Mapping[str, Any] | None) -> None:
    """Only what `_temporary_folder` made, whatever the state says."""
    folder = Path(str((state or {}).get("temporary", "")))
    if folder.name.startswith("wsol-") and folder.is_absolute() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
