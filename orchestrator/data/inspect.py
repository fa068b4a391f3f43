"""`wsol data inspect`: what is in shards, as numbers, a page and a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import Workspace
from orchestrator.engine.progress import Progress
from orchestrator.pages.data.page import write_data_page
from workloads.artifacts import atomic_folder
from workloads.errors import Conflict
from workloads.files import entries, there
from workloads.images.drawing import contact_sheet
from workloads.shards.inspection import inspect_shards
from workloads.shards.sampling import sample
from workloads.shards.shards import Shards
from workloads.shards.statistics import Inspection
from workloads.storage.addresses import absolute

PAGE = "inspect.html"
CONTACT_SHEET = "contact_sheet.png"


@dataclass(frozen=True, slots=True)
class Inspected:
    """An inspection and where it can be looked at; no contact sheet without images."""

    page: Path
    contact_sheet: Path | None
    data: Inspection


def inspect(
    machine: Machine,
    shards: Shards,
    split: str | None = None,
    out: Path | None = None,
    images: int = 48,
) -> Inspected:
    """Count what is in shards, and write a page and a contact sheet about it.

    Args:
        split: the only one to look at; None for all.
        out: folder of both files, replaced as a whole; None for one in the workspace.
        images: how many are on the contact sheet, at most.

    Raises:
        NotFound: no such split.
        IntegrityError: the shards are damaged or of another version.
        Conflict: `out` holds something else.
    """
    out = absolute(out or Workspace(machine.workspace).inspection(shards.digest))
    _require_free(out)
    chosen = () if split is None else (split,)
    rows = sum(info.read for name, info in shards.splits.items() if split in (None, name))
    with Progress(rows, "images", "inspect") as progress:
        data = inspect_shards(shards.folder, chosen, progress.advance)
    records = sample(shards.folder, [found.split for found in data.splits], images)
    with atomic_folder(out) as folder:
        if records:
            sheet = contact_sheet(records, data.classes, captions=True, limits=machine.images)
            sheet.save(folder / CONTACT_SHEET)
        write_data_page(folder / PAGE, data, records, shards, machine.images)
    return Inspected(out / PAGE, out / CONTACT_SHEET if records else None, data)


def _require_free(out: Path) -> None:
    """Raise Conflict unless replacing the folder loses nothing but an earlier inspection."""
    names = {path.name for path in entries(out)}
    if names and not names - {PAGE, CONTACT_SHEET}:
        return
    if there(out):
        raise Conflict(f"{out}: holds something else; choose another --out or remove it")
