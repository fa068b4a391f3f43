"""From a data set on disk to Parquet shards, one Ray Data task per shard."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Machine
from orchestrator.engine.claims import Verb, claim, is_finished
from orchestrator.engine.connect import connect
from orchestrator.engine.engine import Engine
from orchestrator.engine.progress import Progress
from workloads.artifacts import contents, exists, read_json, remove, write_json
from workloads.datasets.base import Dataset, Item
from workloads.datasets.registry import open_dataset
from workloads.errors import InputRejected, NotFound
from workloads.images.decode import ImageLimits
from workloads.shards.quarantine import Quarantined, quarantined
from workloads.shards.shards import Shards
from workloads.shards.write import (
    ShardResult,
    finish_shards,
    ingest_shard,
    plan_shards,
    split_duplicates,
)
from workloads.storage import refuse_address

VERB = Verb("ingest", "shards", "choose another --out or remove the folder")


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Finished shards. `listed` is always `read + quarantined`."""

    folder: Path
    digest: str
    listed: int
    read: int
    quarantined: int


def ingest(
    machine: Machine,
    dataset: str,
    root: Path,
    out: Path,
    splits: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    strict: bool = False,
) -> IngestResult:
    """Ingest a data set. Finished shards are a no-op, started ones continue.

    Args:
        splits: which ones; all that the layout has if empty.
        options: those of the layout.
        strict: fail at the first image that would be quarantined. What was finished before
            stays, so the same command continues once the image is mended.

    Raises:
        NotFound: no such folder or split, or it does not hold the layout.
        InputRejected: strict, and an image cannot be used.
        Conflict: `out` holds shards of something else, or another process works there.
        IntegrityError: read + quarantined is not listed.
    """
    refuse_address(root, "--root")
    refuse_address(out, "--out")
    root, out = (path.expanduser().resolve() for path in (root, out))  # workers may be elsewhere
    source = open_dataset(dataset, root, options)
    chosen = tuple(splits) or source.splits()
    listed = [item for split in chosen for item in source.items(split)]
    if not listed:
        raise NotFound(f"{root}: data set '{dataset}' lists no images there")
    request = _request(machine, dataset, source, listed)
    if not is_finished(out, request, VERB):
        # An unfinished folder follows its data: a user who mends an image changes the listing,
        # and only the shards that it touches are made anew.
        with claim(out, request, VERB, may_change=["listing"]):
            items, repeated = split_duplicates(listed)
            if strict and repeated:
                _refuse(repeated[0], len(repeated))
            with connect(machine) as engine:
                results = _ingest_shards(
                    engine, machine, source, items, len(listed), out, strict=strict
                )
            counts = Counter(item.split for item in listed)
            listed_in = {split: counts[split] for split in chosen}
            finish_shards(out, source, listed_in, results, repeated)
    result = _result(out)
    if strict and result.quarantined:
        _refuse(next(quarantined(out)), result.quarantined)
    return result


def _request(machine: Machine, dataset: str, source: Dataset, listed: list[Item]) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "classes": hashlib.sha256("\n".join(source.classes).encode()).hexdigest(),
        "options": source.options.model_dump(mode="json"),
        "root": str(source.root.resolve()),
        "listing": _digest(listed),
        "shard_mb": machine.resources.ingest.shard_mb,
        "limits": machine.images.model_dump(mode="json"),
    }


def _digest(items: Iterable[Item]) -> str:
    listing = hashlib.sha256()
    for item in items:  # one at a time: lists have a million lines
        listing.update(f"{astuple(item)}\n".encode())
    return listing.hexdigest()


def _ingest_shards(
    engine: Engine,
    machine: Machine,
    source: Dataset,
    items: list[Item],
    total: int,
    out: Path,
    *,
    strict: bool,
) -> list[ShardResult]:
    """Every shard with its result beside it, so that a stopped ingest can continue."""
    units = _units(items, int(machine.resources.ingest.shard_mb * 2**20))
    _remove_others(out, units)
    missing = [unit for unit in units if not _is_finished(out, unit, strict=strict)]
    work = partial(_work, dataset=source, out=out, limits=machine.images, strict=strict)
    before = total - sum(len(unit["items"]) for unit in missing)
    with Progress(total, "images", "ingest", done=before) as progress:
        for row in engine.tasks(missing, work, machine.resources.ingest.cpus_per_task, "ingest"):
            if row["refused"]:
                _refuse(Quarantined(**json.loads(row["refused"])), row["count"])
            progress.advance(row["images"])
    return [_read_result(out, unit) for unit in units]


def _units(items: list[Item], shard_bytes: int) -> list[dict[str, Any]]:
    by_split: dict[str, list[Item]] = {}
    for item in items:
        by_split.setdefault(item.split, []).append(item)
    return [
        {
            "file": f"{split}-{index:05d}.parquet",
            "listing": _digest(chunk),
            "items": [asdict(item) for item in chunk],
        }
        for split, chosen in by_split.items()
        for index, chunk in enumerate(plan_shards(chosen, shard_bytes))
    ]


def _work(
    unit: dict[str, Any], *, dataset: Dataset, out: Path, limits: ImageLimits, strict: bool
) -> Any:
    items = [Item(**row) for row in unit["items"]]
    result = ingest_shard(dataset, items, out / unit["file"], limits)
    bad = result.quarantined if strict else []
    if bad:
        remove(out / unit["file"])
    else:
        finished = {"listing": unit["listing"], "result": asdict(result)}
        write_json(_result_path(out, unit["file"]), finished)
    # Told, not raised: an error of a worker comes with pages of Ray's own.
    refused = json.dumps(asdict(bad[0])) if bad else ""
    return {"images": len(items), "refused": refused, "count": len(bad)}


def _refuse(entry: Quarantined, count: int) -> None:
    more = f" ({count} such images so far)" if count > 1 else ""
    raise InputRejected(
        f"{entry.path or entry.image_id}: {entry.reason}{more}; mend it, or ingest without "
        "--strict to quarantine it"
    )


def _result_path(out: Path, file: str) -> Path:
    return out / "results" / f"{file}.json"


def _read_result(out: Path, unit: dict[str, Any]) -> ShardResult:
    values = read_json(_result_path(out, unit["file"]))["result"]
    values["quarantined"] = [Quarantined(**q) for q in values["quarantined"]]
    return ShardResult(**values)


def _is_finished(out: Path, unit: dict[str, Any], *, strict: bool) -> bool:
    """Whether a shard is there, made of the same files; if strict, of nothing but good ones."""
    path = _result_path(out, unit["file"])
    if not exists(path) or read_json(path)["listing"] != unit["listing"]:
        return False
    return not (strict and _read_result(out, unit).quarantined)


def _remove_others(out: Path, units: list[dict[str, Any]]) -> None:
    """Remove what an unfinished ingest made of files that have changed since."""
    planned = {unit["file"] for unit in units}
    for path in contents(out):
        if path.suffix == ".parquet" and path.name not in planned:
            remove(path)
            remove(_result_path(out, path.name))


def _result(out: Path) -> IngestResult:
    shards = Shards.open(out)
    return IngestResult(
        folder=out,
        digest=shards.digest,
        listed=sum(split.listed for split in shards.splits.values()),
        read=sum(split.read for split in shards.splits.values()),
        quarantined=sum(split.quarantined for split in shards.splits.values()),
    )
