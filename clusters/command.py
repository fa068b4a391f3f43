"""Other people's command lines, as subprocesses: found first, and heard when they fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence

from workloads.errors import ClusterError, one_line

_LIMIT_S = 60.0


def find(command: str, cluster: str, what: str) -> str:
    """Path of a command.

    Args:
        what: it comes with, for the message.

    Raises:
        ClusterError: it is not installed.
    """
    found = shutil.which(command)
    if found is None:
        raise ClusterError(
            f"cluster '{cluster}': no command '{command}' on this machine; install {what}, or do "
            "this where it is"
        )
    return found


def said(
    words: Sequence[str],
    cluster: str,
    *,
    given: str | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float | None = _LIMIT_S,
) -> str:
    """What a command wrote to stdout.

    Args:
        given: its stdin.
        limit_s: None: as long as it takes.

    Raises:
        ClusterError: it failed, with the last line that it said, or took too long.
    """
    name = words[0].rpartition("/")[2]
    try:
        done = subprocess.run(
            list(words), input=given or "", env=environment, capture_output=True, text=True,
            timeout=limit_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"cluster '{cluster}': {name} did not answer within {limit_s:.0f} s"
        ) from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        why = one_line(lines[-1]) if lines else f"exit code {done.returncode}"
        raise ClusterError(f"cluster '{cluster}': {name}: {why}")
    return done.stdout
