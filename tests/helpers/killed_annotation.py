"""An annotation in a process of its own, killed in the middle and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.config.settings import Settings
from workloads import artifacts

EXPORTS = ("annotations.coco.json", "annotations.parquet", "quarantine.jsonl")
SCRIPT = """
import sys
from pathlib import Path
from orchestrator.annotate import AnnotateResult, annotate
from orchestrator.config.settings import Settings
from orchestrator.engine.leases import lease

settings = Settings.model_validate({
    "cluster": sys.argv[5], "workspace": sys.argv[4],
    "resources": {"annotate": {"actors": 1, "chunk_images": 2}},
})
annotate(settings, Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
"""


def kill_and_repeat(folder: Path, model: Path, out: Path, settings: Settings) -> int:
    """SIGKILL an annotation after five of its parts, then let it finish; parts it had by then.

    There are two images in a part.
    """
    paths = [folder, model, out, settings.workspace]
    command = [sys.executable, "-c", SCRIPT, *map(str, paths), settings.cluster]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        _wait_until(lambda: len(list((out / "parts").glob("part-*"))) >= 5, process)
        os.kill(process.pid, signal.SIGKILL)
    done = len(list((out / "parts").glob("part-*")))
    assert not (out / "manifest.json").exists()
    subprocess.run(command, check=True, timeout=120, stderr=subprocess.DEVNULL)
    artifacts.verify(out, "annotation")
    return done


def exports(out: Path) -> dict[str, bytes]:
    """The bytes of everything that an annotation exports."""
    return {name: (out / name).read_bytes() for name in EXPORTS}


def _wait_until(condition, process: subprocess.Popen, timeout_s: float = 90.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < give_up
        time.sleep(0.01)
