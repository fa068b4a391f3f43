"""Make the object proposals of shards, once, through Ray Data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import Workspace
from orchestrator.engine.claims import Verb, claim, is_finished
from orchestrator.engine.connect import connect
from orchestrator.engine.engine import Engine
from orchestrator.engine.progress import Progress
from workloads.artifacts import digest, exists
from workloads.images.decode import ImageLimits
from workloads.proposals.make import Part, plan_parts, seal_proposals, write_part
from workloads.proposals.options import ProposalOptions
from workloads.proposals.proposals import Proposals
from workloads.proposals.store import SCHEMA_VERSION
from workloads.shards.read import RowGroup
from workloads.shards.shards import Shards
from workloads.storage.addresses import absolute

VERB = Verb("proposals", "object proposals", "choose another --out or remove the folder")


def propose(
    machine: Machine,
    shards: Shards,
    options: ProposalOptions,
    splits: Sequence[str] = (),
    out: Path | None = None,
) -> Proposals:
    """Object proposals of shards; finished ones are a no-op, started ones continue.

    Args:
        splits: which ones; all of the shards' if empty.
        out: where they go; else a folder in the workspace, named after shards, splits and
            options, so that equal requests share it.

    Raises:
        NotFound: no such split.
        Conflict: `out` holds something else, or another process works there.
        IntegrityError: a part was not written.
    """
    chosen = tuple(dict.fromkeys(splits)) or tuple(shards.splits)
    request = {
        "shards": shards.digest,
        "splits": list(chosen),
        "options": options.model_dump(mode="json"),
        "schema": SCHEMA_VERSION,
    }
    plan = plan_parts(shards.folder, chosen)
    folder = out or Workspace(machine.workspace).proposals(digest(request))
    folder = absolute(folder)
    if not is_finished(folder, request, VERB):
        with claim(folder, request, VERB):
            with connect(machine) as engine:
                _compute(engine, machine, options, plan, folder)
            seal_proposals(folder, plan, shards.folder, options)
    return Proposals.open(folder)


def _compute(
    engine: Engine,
    machine: Machine,
    options: ProposalOptions,
    plan: Mapping[str, Sequence[Part]],
    folder: Path,
) -> None:
    parts = list(chain.from_iterable(plan.values()))
    missing = [part for part in parts if not exists(folder / part.file)]
    units = [
        {
            "path": str(part.group.path),
            "index": part.group.index,
            "rows": part.group.rows,
            "part": str(folder / part.file),
        }
        for part in missing
    ]
    work = partial(_work, options=options, limits=machine.images)
    total = sum(part.group.rows for part in parts)
    before = total - sum(part.group.rows for part in missing)
    cpus = machine.resources.proposals.cpus_per_task
    with Progress(total, "images", "proposals", done=before) as progress:
        for row in engine.tasks(units, work, cpus, "proposals"):
            progress.advance(row["rows"])


def _work(unit: dict[str, Any], *, options: ProposalOptions, limits: ImageLimits) -> dict[str, Any]:
    cv2.setNumThreads(1)  # several of these run side by side
    group = RowGroup(Path(unit["path"]), int(unit["index"]), int(unit["rows"]))
    write_part(Path(unit["part"]), group, options, limits)
    return {"rows": group.rows}
