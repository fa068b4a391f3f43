"""What a report says about the run: data, machine, stages, the served answer, what was left out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import JobPaths
from orchestrator.pages.base import TASKS, Fact
from orchestrator.pages.job.methods import Method
from orchestrator.pages.panels import Panel, plain_panel
from orchestrator.provenance import provenance
from workloads.artifacts import read_json, read_manifest
from workloads.errors import InputRejected
from workloads.images.decode import decode
from workloads.shards.manifest import read_shard_manifest

QUARANTINE = "quarantine.jsonl"
QUARANTINE_ROWS = 20


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage; `width` is its share of the longest one, in percent."""

    name: str
    seconds: str
    width: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An input that could not be used."""

    input: str
    stage: str
    reason: str


def facts(settings: Settings, shards: Path) -> list[Fact]:
    """Data, machine, date and versions."""
    data = read_shard_manifest(shards)
    where = provenance()
    packages = where["packages"]
    assert isinstance(packages, dict)
    used = settings.job.data
    splits = dict.fromkeys((used.train_split, used.val_split, used.test_split, *data.splits))
    counts = " · ".join(f"{data.splits[split].read:,} {split}" for split in splits)
    workers = settings.resources.train
    return [
        Fact("Data", f"{data.dataset}, {len(data.classes)} classes", (counts, TASKS[data.task])),
        Fact(
            "Machine",
            f"{where['cpus']} cores, {where['gpu'] or 'no GPU'}",
            (
                f"cluster {settings.cluster}",
                f"training workers: {workers.workers}, each {workers.cpus_per_worker:g} CPU"
                + (f" and {workers.gpus_per_worker:g} GPU" if workers.gpus_per_worker else ""),
            ),
        ),
        Fact("Made", _date(str(where["time"])), (_commit(where),)),
        Fact(
            "Software",
            f"Python {where['python']}",
            (" · ".join(f"{name} {version}" for name, version in packages.items() if version),),
        ),
    ]


def stages(paths: JobPaths, names: Sequence[str]) -> dict[str, Any]:
    """Time of each stage, of the run in which it was made."""
    seconds = {name: float(read_json(paths.stage(name))["seconds"]) for name in names}
    longest = max(seconds.values(), default=0.0) or 1.0
    return {
        "rows": [Stage(k, duration(v), round(100 * v / longest, 1)) for k, v in seconds.items()],
        "total": duration(sum(seconds.values())),
    }


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def served(settings: Settings, paths: JobPaths, annotated: dict[str, Any]) -> dict[str, Any]:
    """The picture that the endpoint was asked about, and its answer."""
    asked = read_json(paths.served)
    return {
        "image": asked["image"],
        "json": _readable(asked["answer"]),
        "panel": _served_panel(settings, Path(annotated["images"]) / asked["image"], asked),
    }


def quarantined(outputs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The first inputs that were left out, with their reasons, and where all of them are."""
    lists = {
        stage: Path(output["folder"]) / QUARANTINE
        for stage, output in outputs.items()
        if output.get("quarantined")
    }
    rows = [row for stage, path in lists.items() for row in _left_out(stage, path)]
    return {
        "rows": rows[:QUARANTINE_ROWS],
        "count": len(rows),
        "lists": [str(path) for path in lists.values()],
    }


def footer(paths: JobPaths, shards: Path, champion: Method) -> list[str]:
    """What identifies the job's results."""
    return [
        f"job folder {paths.folder}",
        f"shards {read_manifest(shards, 'shards')['digest']}",
        f"champion {champion.results['model']}",
    ]


def _served_panel(settings: Settings, path: Path, asked: dict[str, Any]) -> Panel | None:
    try:
        image = decode(path.read_bytes(), settings.images)
    except (OSError, InputRejected):  # the user's own folder may have changed since
        return None
    found = asked["answer"]["detections"]
    boxes = np.asarray([d["box"] for d in found], dtype=float).reshape(-1, 4)
    texts = [f"{d['class']} {d['score']:.2f}" for d in found]
    return plain_panel(image, boxes, texts, f"found: {', '.join(texts) or 'nothing'}")


def _readable(answer: dict[str, Any]) -> str:
    """Indented JSON with the four numbers of a box on one line."""
    text = json.dumps(answer, indent=2, ensure_ascii=False)
    return re.sub(r"\[\s+([-\d.,e\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)


def _left_out(stage: str, path: Path) -> list[LeftOut]:
    lines = path.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return [LeftOut(e.get("path") or e["file_name"], stage, e["reason"]) for e in entries]


def _date(iso: str) -> str:
    day, _, time = iso.partition("T")
    return f"{day} {time[:5]} UTC"


def _commit(where: dict[str, Any]) -> str:
    if not where["git_commit"]:
        return "installed, not a checkout"
    changed = " with uncommitted changes" if where["git_dirty"] else ""
    return f"commit {where['git_commit'][:10]}{changed}"
