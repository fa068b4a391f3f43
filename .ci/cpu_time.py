"""Run a command and say what it cost: CPU seconds of all processes that it left, orphans too.

Machines differ in speed and load, so CPU time is what a run of CI is measured by. On Linux this
process adopts orphans (Ray's daemons, say), which is how they are counted. Ray's workers are reaped
by nobody, so that their time is lost to their parents; where the kernel's accounting by groups can
be used (root, cgroup v1), it counts them, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import resource
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
ACCOUNTING = pathlib.Path("/sys/fs/cgroup/cpuacct")


def main(command: list[str]) -> int:
    """The command's exit code."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started, group = time.monotonic(), _enter_group()
    code = subprocess.call(command)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, wall = spent.ru_utime + spent.ru_stime, time.monotonic() - started
    if group:
        cpu = int((group / "cpuacct.usage").read_text()) / 1e9
    sys.stdout.write(f"== all: exit {code}, {cpu:.0f} CPU seconds, {wall:.0f} s\n")
    return code


def _enter_group() -> pathlib.Path | None:
    """A group of this process and all that it starts; None where there are none."""
    group = ACCOUNTING / f"wsol-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return None
    return group


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
