"""Ray's own command line, and what every node of a cluster of ours is started with."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from clusters.base import JOB_SLOT
from workloads.errors import ClusterError

QUEUE_S = 7 * 24 * 3600
"""How long Ray lets a job wait for its turn: a queue over the night, or over a week."""

CODE_S = 24 * 3600
"""How long a head keeps code that was sent to it: as long, the same code is not sent again."""

STOP_S = 120
"""Between the request to stop and the kill: time to write a checkpoint."""

START_S = 300
"""For a node to be known by the head: on a busy machine Ray's 30 s are too few."""

NODE_VARIABLES = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_JOB_START_TIMEOUT_SECONDS": str(QUEUE_S),
    "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S),
    "RAY_RUNTIME_ENV_TEMPORARY_REFERENCE_EXPIRATION_S": str(CODE_S),
    "RAY_raylet_start_wait_time_s": str(START_S),
}
"""Of every process of Ray's on every node, beside where its token is."""


def ray_command() -> str:
    """Path of the command `ray` of this environment.

    Raises:
        ClusterError: it is not installed.
    """
    beside = Path(sys.executable).with_name("ray")
    found = str(beside) if beside.exists() else shutil.which("ray")
    if found is None:
        raise ClusterError(f"no command 'ray' beside {sys.executable}; run `make` to install it")
    return found


def job_slot_option(slots: int) -> str:
    """The option of `ray start` by which a head has slots for jobs."""
    return f"--resources={json.dumps({JOB_SLOT: slots})}"
