"""A Ray inside a job of SLURM: its first node is the head, the others join it.

The batch file has two parts. As the job it starts one step per node with `srun`; in a step it
starts Ray there, in a folder of its own. It ends its own processes and nothing else: a node may
be shared, and `ray stop` would end every Ray of the user on it.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from clusters.base import ClusterStatus, Remote, Say, State
from clusters.command import find, said
from clusters.ray_command import NODE_VARIABLES, job_slot_option
from clusters.state import changing, read_state, state_folder, write_state
from clusters.tokens import make_token
from workloads.errors import ClusterError, ConfigError

_FOLDER = r"^/[\w.@+/-]*$"  # a directive of a batch file has no quotes that all versions read
_OPTION = r"^--[a-z][a-z-]*(=[\w.:,@+/*%\[\]-]+)?$"
_WARN_S = 120  # before the time limit: steps end as they do after `down`
_AGAIN_S = 10  # before a node that was lost, or that did not start, is asked again
_STATE = "slurm.json"


class Slurm(Remote):
    """Nodes of a machine that SLURM divides among its users."""

    kind: Literal["slurm"]
    folder: str = Field(
        pattern=_FOLDER, description="folder that all nodes see: the token, the address, the log"
    )
    nodes: int = Field(ge=1, description="nodes, the head being the first of them")
    cpus: int = Field(ge=1, description="CPUs of each")
    gpus: int = Field(default=0, ge=0, description="GPUs of each")
    memory_gb: int | None = Field(
        default=None, ge=1, description="memory of each, GiB; null: as SLURM gives"
    )
    object_store_mb: int | None = Field(
        default=None, ge=80, description="Ray's shared memory on each, MiB; null: as Ray decides"
    )
    hours: float = Field(gt=0, description="time limit; what runs then goes on in the next one")
    options: tuple[Annotated[str, Field(pattern=_OPTION)], ...] = Field(
        default=(), description="further options of sbatch, as --partition=gpu, --account=me"
    )
    setup: tuple[str, ...] = Field(
        default=(), description="shell commands on every node before Ray, as module load cuda"
    )
    commands: str = Field(
        pattern=_FOLDER, description="folder of wsol's commands, seen by all nodes"
    )
    requeue: bool = Field(
        default=True, description="SLURM may take the nodes away and start the cluster again"
    )

    def manifest(self) -> dict[str, str]:
        """The batch file."""
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {directive}" for directive in self._directives()),
            "set -euo pipefail",
            *self.setup,
            f"export PATH={shlex.quote(self.commands)}:$PATH",
            "unset RAY_AUTH_TOKEN RAY_ADDRESS",
            *(f"export {name}={shlex.quote(value)}" for name, value in self._variables().items()),
            "",
            *self._as_step(),
            "",
            *_START_OF_JOB,
            *self._steps(),
            'wait "$first"',
        ]
        return {self._file.name: "\n".join(lines) + "\n"}

    def up(self, say: Say) -> None:
        """By `sbatch`; the cluster is there when SLURM has room for it."""
        sbatch = find("sbatch", self.name, "SLURM's commands")
        folder = state_folder(self.name)
        with changing(folder, self.name):
            now = self.status()
            if now.state is not State.DOWN:
                say(f"cluster '{self.name}' is {now.state} already: {now.address or now.reason}")
                return
            self._prepare()
            answer = said([sbatch, "--parsable", str(self._file)], self.name)
            job = answer.strip().partition(";")[0]
            if not job.isdigit():
                raise ClusterError(f"cluster '{self.name}': sbatch answers '{answer.strip()}'")
            write_state(folder / _STATE, {"job": job})
        say(f"cluster '{self.name}' is job {job} of SLURM; when there is room, it starts:")
        say(f"  wsol cluster status {self.given}")

    def down(self, say: Say) -> None:
        """By `scancel`, of its own job alone."""
        folder = state_folder(self.name)
        with changing(folder, self.name):
            job = self._job()
            if job is None or self._queued(job) is None:
                say(f"cluster '{self.name}' is down already")
            else:
                said([find("scancel", self.name, "SLURM's commands"), job], self.name)
                say(f"cluster '{self.name}' is down: job {job} was cancelled")
            (folder / _STATE).unlink(missing_ok=True)
            self._address_file.unlink(missing_ok=True)

    def status(self) -> ClusterStatus:
        """By its job first, then by its address."""
        job = self._job()
        if job is None:
            return self.is_down("not started")
        try:
            queued = self._queued(job)
        except ClusterError as error:
            return self.is_unreachable(str(error))
        if queued is None:
            return self.is_down(f"job {job} is over, its log is {self._log(job)}")
        state, reason = queued
        address = self._address(job)
        if state == "RUNNING" and address is not None:
            return self.asked(address, starting=True)
        why = f"job {job} is {state.lower()}" + (f" ({reason})" if reason != "None" else "")
        return ClusterStatus(self.name, self.kind, State.STARTING, reason=why)

    def submit_address(self) -> str:
        """The head's dashboard, which asks for the token."""
        status = self.status()
        if status.state is State.DOWN:
            raise self.not_up()
        if status.address is None:
            raise ClusterError(f"cluster '{self.name}' is not up yet: {status.reason}; wait for it")
        return status.address

    def most(self) -> dict[str, float]:
        """All nodes."""
        found = {"CPU": float(self.nodes * self.cpus), "GPU": float(self.nodes * self.gpus)}
        return {kind: amount for kind, amount in found.items() if amount}

    def token_file(self) -> Path:
        """One of this cluster's own, which all nodes see and its user alone may read."""
        return Path(self.folder) / f"{self.name}.token"

    @property
    def _file(self) -> Path:
        return Path(self.folder) / f"{self.name}.sbatch"

    @property
    def _address_file(self) -> Path:
        return Path(self.folder) / f"{self.name}.address"

    def _log(self, job: str) -> Path:
        return Path(self.folder) / f"{self.name}-{job}.log"

    def _prepare(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            make_token(self.token_file())
            self._address_file.unlink(missing_ok=True)
            self._file.write_text(self.manifest()[self._file.name], encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cluster '{self.name}': folder: {error.filename}: {error.strerror}"
            ) from None

    def _job(self) -> str | None:
        state = read_state(state_folder(self.name) / _STATE)
        return str(state["job"]) if state and str(state.get("job", "")).isdigit() else None

    def _queued(self, job: str) -> tuple[str, str] | None:
        """State and reason of the job; None if SLURM has forgotten it, or it is another's."""
        squeue = find("squeue", self.name, "SLURM's commands")
        words = [squeue, f"--jobs={job}", "--states=all", "--noheader", "--format=%T|%r|%j"]
        try:
            rows = said(words, self.name).split("\n")
        except ClusterError as error:
            if "Invalid job id" in str(error):
                return None
            raise
        for state, reason, name in (row.split("|", 2) for row in rows if row.count("|") >= 2):
            if name.strip() == self._job_name and state not in _OVER:
                return state, reason
        return None

    def _address(self, job: str) -> str | None:
        state = read_state(self._address_file)
        return str(state["address"]) if state and str(state.get("job")) == job else None

    @property
    def _job_name(self) -> str:
        return f"wsol-{self.name}"

    def _directives(self) -> list[str]:
        """Of `sbatch`. A lost worker node does not end the job; a lost head does."""
        minutes = max(1, round(self.hours * 60))
        return [
            f"--job-name={self._job_name}",
            f"--output={self._log('%j')}",
            "--open-mode=append",
            f"--nodes={self.nodes}",
            "--ntasks-per-node=1",
            f"--cpus-per-task={self.cpus}",
            *([f"--gpus-per-node={self.gpus}"] if self.gpus else []),
            *([f"--mem={self.memory_gb}G"] if self.memory_gb else []),
            f"--time={minutes}",
            f"--signal=B:TERM@{_WARN_S}",
            "--no-kill",
            "--requeue" if self.requeue else "--no-requeue",
            *self.options,
        ]

    def _variables(self) -> dict[str, str]:
        return {**NODE_VARIABLES, "RAY_AUTH_TOKEN_PATH": str(self.token_file())}

    def _as_step(self) -> list[str]:
        """In a step: Ray on this node, until it ends or is told to."""
        store = self.object_store_mb
        words = [
            *("ray", "start", "--block", "--disable-usage-stats"),
            *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
            *(f"--num-cpus={self.cpus}", f"--num-gpus={self.gpus}"),
            *([f"--object-store-memory={store * 2**20}"] if store else []),
        ]
        return [
            'if [ "${1:-}" = step ]; then',
            "    shift",
            "    temporary=$(mktemp -d /tmp/wsol-XXXXXX)",
            f'    {shlex.join(words)} --temp-dir="$temporary" "$@" &',
            *_END_OF_STEP,
            "fi",
        ]

    def _steps(self) -> list[str]:
        file = shlex.quote(str(self._file))
        srun = f"srun --overlap --nodes=1 --ntasks=1 --cpus-per-task={self.cpus} --nodelist"
        address = shlex.quote(str(self._address_file))
        head = [
            "--head", '--node-ip-address="$ip"', '--port="$port"', "--include-dashboard=true",
            '--dashboard-host="$ip"', '--dashboard-port="$dashboard"',
            '--ray-client-server-port="$client"', shlex.quote(job_slot_option(self.job_slots)),
        ]  # fmt: skip
        return [
            f"rm -f {address}",
            f'{srun}="$head" bash {file} step {" ".join(head)} &',
            "first=$!",
            *_WAIT_FOR_HEAD,
            "keep_joined() {",
            f'    until {srun}="$1" bash {file} step --address="$ip:$port" '
            '--node-ip-address="$(address_of "$1")"; do',
            '        echo "$1 has left; it is asked again" >&2',
            f"        sleep {_AGAIN_S}",
            "    done",
            "}",
            'for node in "${nodes[@]:1}"; do keep_joined "$node" & done',
            'printf \'{"job": "%s", "address": "http://%s:%s"}\\n\' '
            f'"$SLURM_JOB_ID" "$ip" "$dashboard" > {address}.new',
            f"mv {address}.new {address}",
        ]


_OVER = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL",
    "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT",
)  # fmt: skip

# SLURM kills what is left after 30 s (KillWait); Ray alone would take as long to say goodbye.
_END_OF_STEP = [
    "    ray=$!",
    "    end_ray() {",
    '        kill -TERM "$ray" 2>/dev/null || true',
    '        { sleep 20; kill -KILL "$ray"; } 2>/dev/null &',
    "    }",
    "    trap end_ray TERM INT",
    "    code=0",
    '    while kill -0 "$ray" 2>/dev/null; do wait "$ray" || code=$?; done',
    '    rm -rf "$temporary"',
    '    exit "$code"',
]

# Ports go by the job, since a node may have other jobs; Ray's workers take free ones. The head's
# end is the job's; of the workers one may be lost.
_START_OF_JOB = [
    "end() {",
    "    trap - TERM INT",
    "    jobs -p | xargs --no-run-if-empty kill -TERM 2>/dev/null || true",
    "    wait || true",
    "    exit 143",
    "}",
    "trap end TERM INT",
    "address_of() {",
    "    local found",
    "    found=$(scontrol show node --oneliner \"$1\" | grep -o ' NodeAddr=[^ ]*')",
    "    getent ahostsv4 \"${found#*=}\" | awk 'NR == 1 { print $1 }'",
    "}",
    'mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")',
    "head=${nodes[0]}",
    'ip=$(address_of "$head")',
    "port=$((10000 + SLURM_JOB_ID % 7000))",
    "dashboard=$((port + 7000))",
    "client=$((port + 14000))",
]

_WAIT_FOR_HEAD = [
    'until (exec 3<>"/dev/tcp/$ip/$port") 2>/dev/null; do',
    '    kill -0 "$first" 2>/dev/null || { echo "the head ended before it listened" >&2; exit 1; }',
    "    sleep 0.5",
    "done",
]
