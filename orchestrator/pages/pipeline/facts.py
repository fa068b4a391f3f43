"""Facts of a pipeline: data, machine, stages, the served answer, inputs left out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import PipelinePaths
from orchestrator.pages.base import TASKS, Fact
from orchestrator.pages.panels import Panel, plain_panel
from orchestrator.pages.pipeline.methods import Method
from orchestrator.pages.pipeline.outcome import Outcome
from orchestrator.provenance import provenance
from workloads.errors import InputRejected
from workloads.files import read_bytes, read_text
from workloads.images.decode import ImageLimits, decode
from workloads.shards.shards import Shards

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


def facts(settings: Settings, data: Shards) -> list[Fact]:
    """Data, machine, date and versions."""
    where = provenance()
    packages = where["packages"]
    assert isinstance(packages, dict)
    used = settings.data
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
                f"training workers: {workers.most_workers}, each {workers.cpus_per_worker:g} CPU"
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


def stages(seconds: Mapping[str, float]) -> dict[str, Any]:
    """Time of each stage, of the run in which it was made."""
    longest = max(seconds.values(), default=0.0) or 1.0
    return {
        "rows": [Stage(k, duration(v), round(100 * v / longest, 1)) for k, v in seconds.items()],
        "total": duration(sum(seconds.values())),
    }


def duration(seconds: float) -> str:
    """Seconds for people."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def served(outcome: Outcome, limits: ImageLimits) -> dict[str, Any]:
    """The picture that the endpoint was asked about, and its answer."""
    asked = outcome.served
    return {
        "image": asked.image,
        "json": _readable(asked.answer),
        "panel": _served_panel(outcome.images / asked.image, asked.answer, limits),
    }


def quarantined(lists: Mapping[str, Path]) -> dict[str, Any]:
    """The first inputs that were left out, with their reasons, and where all of them are."""
    rows = [row for stage, path in lists.items() for row in _left_out(stage, path)]
    return {
        "rows": rows[:QUARANTINE_ROWS],
        "count": len(rows),
        "lists": [str(path) for path in lists.values()],
    }


def footer(paths: PipelinePaths, shards: Shards, champion: Method) -> list[str]:
    """The folder and the digests of the results."""
    return [
        f"folder {paths.folder}",
        f"shards {shards.digest}",
        f"champion {champion.results['model']}",
    ]


def _served_panel(path: Path, answer: dict[str, Any], limits: ImageLimits) -> Panel | None:
    try:
        image = decode(read_bytes(path), limits)
    except (OSError, InputRejected):  # the user's own folder may have changed since
        return None
    found = answer["detections"]
    boxes = np.asarray([d["box"] for d in found], dtype=float).reshape(-1, 4)
    texts = [f"{d['class']} {d['score']:.2f}" for d in found]
    return plain_panel(image, boxes, texts, f"found: {', '.join(texts) or 'nothing'}")


def _readable(answer: dict[str, Any]) -> str:
    """Indented JSON with the four numbers of a box on one line."""
    text = json.dumps(answer, indent=2, ensure_ascii=False, sort_keys=True)
    return re.sub(r"\[\s+([-\d.,e\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)


def _left_out(stage: str, path: Path) -> list[LeftOut]:
    lines = read_text(path).splitlines()
    entries = [json.loads(line) for line in lines]
    return [LeftOut(e["path"], stage, e["reason"]) for e in entries]


def _date(iso: str) -> str:
    day, _, time = iso.partition("T")
    return f"{day} {time[:5]} UTC"


def _commit(where: dict[str, Any]) -> str:
    if not where["git_commit"]:
        return "installed, not a checkout"
    changed = " with uncommitted changes" if where["git_dirty"] else ""
    return f"commit {where['git_commit'][:10]}{changed}"
