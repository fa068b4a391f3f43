"""From a data set on disk to Parquet shards, one Ray Data task per shard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.chunks import claim, run_tasks
from orchestrator.cluster import connect
from orchestrator.progress import Progress
from orchestrator.settings import Settings
from workloads.artifacts import digest, read_json, read_manifest, write_json
from workloads.datasets import open_dataset
from workloads.datasets.base import Dataset, Item
from workloads.errors import NotFound
from workloads.images import ImageLimits
from workloads.shards import (
    Quarantined,
    ShardResult,
    finish_shards,
    ingest_shard,
    plan_shards,
    split_duplicates,
)


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Finished shards. `listed` is always `read + quarantined`."""

    folder: Path
    digest: str
    listed: int
    read: int
    quarantined: int


def ingest(settings: Settings, dataset: str, root: Path, out: Path) -> IngestResult:
    """Ingest all splits of a data set. Finished shards are a no-op, started ones continue.

    Raises:
        NotFound: no such folder, or it does not hold the layout.
        Conflict: `out` holds shards of something else.
        IntegrityError: read + quarantined is not listed.
    """
    source = open_dataset(dataset, root)
    listed = [item for split in source.splits() for item in source.items(split)]
    if not listed:
        raise NotFound(f"{root}: data set '{dataset}' lists no images there")
    request = _request(settings, dataset, listed, root)
    if claim(out, request, "shards"):
        return _result(out)
    items, repeated = split_duplicates(listed)
    with connect(settings):
        results = _ingest_shards(settings, source, items, len(listed), out)
    finish_shards(out, source, results, repeated)
    return _result(out)


def _request(settings: Settings, dataset: str, listed: list[Item], root: Path) -> dict[str, Any]:
    names = {str(i): [item.split, item.image_id, item.num_bytes] for i, item in enumerate(listed)}
    return {
        "dataset": dataset,
        "root": str(root.resolve()),
        "listing": digest(names),
        "shard_mb": settings.resources.ingest.shard_mb,
        "limits": settings.images.model_dump(mode="json"),
    }


def _ingest_shards(
    settings: Settings, source: Dataset, items: list[Item], total: int, out: Path
) -> list[ShardResult]:
    """Every shard with its result beside it, so that a stopped ingest can continue."""
    limits = settings.images
    units: list[dict[str, Any]] = []
    for split in source.splits():
        chosen = [item for item in items if item.split == split]
        plan = plan_shards(chosen, int(settings.resources.ingest.shard_mb * 2**20))
        units += [
            {"file": f"{split}-{index:05d}.parquet", "items": [_as_row(item) for item in chunk]}
            for index, chunk in enumerate(plan)
        ]
    missing = [unit for unit in units if not _result_path(out, unit["file"]).exists()]
    work = partial(_work, dataset=source, out=out, limits=limits)
    before = total - sum(len(unit["items"]) for unit in missing)
    with Progress(total, "images", "ingest", done=before) as progress:
        for row in run_tasks(missing, work, settings.resources.ingest.cpus_per_task, "ingest"):
            progress.advance(row["images"])
    return [_read_result(_result_path(out, unit["file"])) for unit in units]


def _work(unit: dict[str, Any], *, dataset: Dataset, out: Path, limits: ImageLimits) -> Any:
    items = [_as_item(row) for row in unit["items"]]
    result = ingest_shard(dataset, items, out / unit["file"], limits)
    write_json(_result_path(out, unit["file"]), asdict(result))
    return {"images": len(items)}


def _result_path(out: Path, file: str) -> Path:
    return out / "results" / f"{file}.json"


def _read_result(path: Path) -> ShardResult:
    values = read_json(path)
    values["quarantined"] = [Quarantined(**q) for q in values["quarantined"]]
    return ShardResult(**values)


def _as_row(item: Item) -> dict[str, Any]:
    return {
        "image_id": item.image_id,
        "split": item.split,
        "image_path": str(item.image_path),
        "annotation_path": str(item.annotation_path or ""),
        "num_bytes": item.num_bytes,
    }


def _as_item(row: dict[str, Any]) -> Item:
    annotation = row["annotation_path"]
    return Item(
        image_id=row["image_id"],
        split=row["split"],
        image_path=Path(row["image_path"]),
        annotation_path=Path(annotation) if annotation else None,
        num_bytes=int(row["num_bytes"]),
    )


def _result(out: Path) -> IngestResult:
    manifest = read_manifest(out, "shards")
    splits = manifest["splits"].values()
    return IngestResult(
        folder=out,
        digest=manifest["digest"],
        listed=sum(s["listed"] for s in splits),
        read=sum(s["read"] for s in splits),
        quarantined=sum(s["quarantined"] for s in splits),
    )
