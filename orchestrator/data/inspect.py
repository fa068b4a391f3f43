"""`wsol data inspect`: what is in shards, as numbers, a page and a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import Workspace
from orchestrator.engine.progress import Progress
from orchestrator.pages.data.page import write_data_page
from workloads.artifacts import atomic_folder, is_sealed, read_manifest
from workloads.errors import Conflict, NotFound
from workloads.images.drawing import contact_sheet
from workloads.shards.inspection import inspect_shards
from workloads.shards.manifest import read_shard_manifest
from workloads.shards.sampling import sample
from workloads.shards.statistics import Inspection

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
    shards: Path,
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
        NotFound: no finished shards there, or no such split.
        IntegrityError: the shards are damaged or of another version.
        Conflict: `out` holds something else.
    """
    shards = shards.expanduser().resolve()
    _require_shards(shards)
    out = (out or Workspace(machine.workspace).inspection(shards.name)).expanduser().resolve()
    _require_free(out)
    chosen = () if split is None else (split,)
    with Progress(_rows(shards, split), "images", "inspect") as progress:
        data = inspect_shards(shards, chosen, progress.advance)
    records = sample(shards, [found.split for found in data.splits], images)
    with atomic_folder(out) as folder:
        if records:
            sheet = contact_sheet(records, data.classes, captions=True, limits=machine.images)
            sheet.save(folder / CONTACT_SHEET)
        write_data_page(folder / PAGE, data, records, shards, machine.images)
    return Inspected(out / PAGE, out / CONTACT_SHEET if records else None, data)


def _require_shards(folder: Path) -> None:
    """Raise NotFound with what to do; a model's folder has a manifest too."""
    if not is_sealed(folder) or "splits" not in read_manifest(folder, "shards"):
        raise NotFound(
            f"{folder}: no finished shards there; make them with "
            f"'wsol ingest --root DATA --out {folder}'"
        )


def _require_free(out: Path) -> None:
    """Raise Conflict unless replacing the folder loses nothing but an earlier inspection."""
    if out.is_dir() and not {path.name for path in out.iterdir()} - {PAGE, CONTACT_SHEET}:
        return
    if out.exists():
        raise Conflict(f"{out}: holds something else; choose another --out or remove it")


def _rows(shards: Path, split: str | None) -> int:
    splits = read_shard_manifest(shards).splits
    return sum(info.read for name, info in splits.items() if split in (None, name))
