"""Run a command and say what it cost: CPU seconds of all processes that it left, orphans too.

Machines differ in speed and load, so CPU time is what a run of CI is measured by. On Linux this
process adopts orphans (Ray's daemons, say), which is how they are counted.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> int:
    """The command's exit code."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    code = subprocess.call(command)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, wall = spent.ru_utime + spent.ru_stime, time.monotonic() - started
    sys.stdout.write(f"== all: exit {code}, {cpu:.0f} CPU seconds, {wall:.0f} s\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
