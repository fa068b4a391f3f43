"""An annotation in a process of its own, killed in the middle and started again."""

from __future__ import annotations

from pathlib import Path

from commands import start, wait_until

from orchestrator.annotate.annotate import annotate
from orchestrator.config.settings import Settings
from workloads import artifacts

EXPORTS = ("annotations.coco.json", "annotations.parquet", "quarantine.jsonl")


def kill_and_repeat(folder: Path, model: Path, out: Path, settings: Settings) -> int:
    """SIGKILL an annotation after five of its parts, then let it finish; parts it had by then.

    There are two images in a part.
    """
    resources = settings.resources.model_copy(
        update={"annotate": settings.resources.annotate.model_copy(update={"chunk_images": 2})}
    )
    arguments = (settings.model_copy(update={"resources": resources}), folder, str(model), out)
    said = settings.workspace.with_name("said")
    killed = start(annotate, *arguments, said=said)
    wait_until(lambda: len(list((out / "parts").rglob("part-*"))) >= 5, killed, said)
    killed.kill()
    killed.join()
    done = len(list((out / "parts").rglob("part-*")))
    assert not (out / "manifest.json").exists()
    annotate(*arguments)
    artifacts.verify(out, "annotation")
    return done


def exports(out: Path) -> dict[str, bytes]:
    """The bytes of everything that an annotation exports."""
    return {name: (out / name).read_bytes() for name in EXPORTS}
