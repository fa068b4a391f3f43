"""From a data set on disk to Parquet shards, one Ray Data task per shard."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Ingest, Machine
from orchestrator.engine.claims import Verb, claim, is_finished
from orchestrator.engine.connect import connect
from orchestrator.engine.engine import Engine
from orchestrator.engine.progress import Progress
from orchestrator.engine.quarantine import is_enough, require_enough
from workloads.artifacts import (
    QUARANTINE,
    contents,
    exists,
    read_json,
    remove,
    sha256,
    write_json,
)
from workloads.datasets.base import Dataset, Item
from workloads.datasets.registry import open_dataset
from workloads.datasets.remarks import is_lenient, reading
from workloads.errors import InputRejected, NotFound
from workloads.files import is_file
from workloads.images.decode import ImageLimits
from workloads.shards.quarantine import Quarantined, quarantined, write_quarantine
from workloads.shards.shards import Shards
from workloads.shards.write import (
    ShardResult,
    finish_shards,
    ingest_shard,
    plan_shards,
    split_duplicates,
)
from workloads.storage.addresses import absolute, check_address

VERB = Verb("ingest", "shards", "choose another --out or remove the folder", places=("root",))
FOLLOWED = ("listing", "classes", "options")


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Finished shards. `listed` is always `read + quarantined`.

    Attributes:
        remarks: what was read leniently or should be known, and how often.
    """

    folder: Path
    digest: str
    listed: int
    read: int
    quarantined: int
    remarks: dict[str, int] = field(default_factory=dict)


def ingest(
    machine: Machine,
    dataset: str,
    root: Path,
    out: Path,
    splits: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    strict: bool = False,
    max_quarantined: float | None = None,
) -> IngestResult:
    """Ingest a data set. Finished shards are a no-op, started ones continue.

    Args:
        splits: which ones; all that the layout has if empty.
        options: those of the layout.
        strict: fail at the first image that would be quarantined, or read leniently. What was
            finished before stays, so the same command continues once the image is mended.
        max_quarantined: share of the images, 0 to 1, that may be quarantined; else the default.

    Raises:
        NotFound: no such folder or split, or it does not hold the layout.
        InputRejected: strict, and an image cannot be used; or more were quarantined than may be,
            or all. The shards are unfinished then, with their quarantine list beside them.
        Conflict: `out` holds shards of something else, or another process works there.
        IntegrityError: read + quarantined is not listed.
    """
    check_address(root, "--root")
    check_address(out, "--out")
    if max_quarantined is None:
        max_quarantined = Ingest().max_quarantined
    root, out = absolute(root), absolute(out)  # workers may be elsewhere
    with reading(strict=strict) as remarks:
        source = open_dataset(dataset, root, options)
        chosen = tuple(splits) or source.splits()
        listed = [item for split in chosen for item in source.items(split)]
    if not listed:
        raise NotFound(f"{root}: data set '{dataset}' lists no images there")
    request = _request(machine, dataset, source, listed)
    if not is_finished(out, request, VERB):
        # An unfinished folder follows its data: a user who mends an image changes the listing,
        # and only the shards that it touches are made anew.
        with claim(out, request, VERB, may_change=FOLLOWED):
            items, repeated = split_duplicates(listed)
            if strict and repeated:
                _refuse(repeated[0], len(repeated))
            with connect(machine) as engine:
                results = _ingest_shards(
                    engine, machine, source, items, len(listed), request, out, strict=strict
                )
            rejected = [*repeated, *(entry for result in results for entry in result.quarantined)]
            if not is_enough(len(listed), len(rejected), max_quarantined):
                write_quarantine(out / QUARANTINE, rejected)
                require_enough(out / QUARANTINE, len(listed), rejected, max_quarantined)
            counts = Counter(item.split for item in listed)
            listed_in = {split: counts[split] for split in chosen}
            finish_shards(out, source, listed_in, results, repeated, remarks)
    result = _result(out)
    if result.quarantined:
        entries = list(quarantined(out))
        if strict:
            _refuse(entries[0], result.quarantined)
        require_enough(out / QUARANTINE, result.listed, entries, max_quarantined)
    if strict:
        _refuse_leniency(result.remarks)
    return result


def _refuse_leniency(remarks: Mapping[str, int]) -> None:
    """Refuse finished shards that another request read leniently."""
    for text in filter(is_lenient, remarks):
        raise InputRejected(
            f"these shards were made without --strict, and were {text}; choose another --out"
        )


def _request(machine: Machine, dataset: str, source: Dataset, listed: list[Item]) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "classes": hashlib.sha256(
            "\n".join((*source.classes, *source.class_keys)).encode()
        ).hexdigest(),
        "options": _placeless(source.options.model_dump(mode="json"), source.root),
        "root": str(absolute(source.root)),
        "listing": _digest(listed),
        "shard_mb": machine.resources.ingest.shard_mb,
        "limits": machine.images.model_dump(mode="json"),
    }


def _placeless(options: dict[str, Any], root: Path) -> dict[str, Any]:
    """Options of which absolute paths say no longer where something is.

    A file's stands for its content, a folder's for its place as seen from the data set.
    """

    def changed(value: Any) -> Any:
        if not isinstance(value, str) or not Path(value).is_absolute():
            return value
        path = Path(value)
        return sha256(path) if is_file(path) else os.path.relpath(absolute(path), absolute(root))

    return {name: changed(value) for name, value in options.items()}


def _digest(items: Iterable[Item], how: str = "") -> str:
    listing = hashlib.sha256(how.encode())
    for item in items:  # one at a time: lists have a million lines
        listing.update(f"{astuple(item)}\n".encode())
    return listing.hexdigest()


def _ingest_shards(
    engine: Engine,
    machine: Machine,
    source: Dataset,
    items: list[Item],
    total: int,
    request: Mapping[str, Any],
    out: Path,
    *,
    strict: bool,
) -> list[ShardResult]:
    """Every shard with its result beside it, so that a stopped ingest can continue."""
    how = json.dumps([request[key] for key in ("classes", "options", "limits")], sort_keys=True)
    units = _units(items, int(machine.resources.ingest.shard_mb * 2**20), how)
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


def _units(items: list[Item], shard_bytes: int, how: str) -> list[dict[str, Any]]:
    """Shards to be: file, items, and a digest of these and of how they are read."""
    by_split: dict[str, list[Item]] = {}
    for item in items:
        by_split.setdefault(item.split, []).append(item)
    return [
        {
            "file": f"{split}-{index:05d}.parquet",
            "listing": _digest(chunk, how),
            "items": [asdict(item) for item in chunk],
        }
        for split, chosen in by_split.items()
        for index, chunk in enumerate(plan_shards(chosen, shard_bytes))
    ]


def _work(
    unit: dict[str, Any], *, dataset: Dataset, out: Path, limits: ImageLimits, strict: bool
) -> Any:
    items = [Item(**row) for row in unit["items"]]
    result = ingest_shard(dataset, items, out / unit["file"], limits, strict=strict)
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
        f"{entry.path or entry.image_id}: {entry.reason}{more}; mend it, or ingest without --strict"
    )


def _result_path(out: Path, file: str) -> Path:
    return out / "results" / f"{file}.json"


def _read_result(out: Path, unit: dict[str, Any]) -> ShardResult:
    values = read_json(_result_path(out, unit["file"]))["result"]
    values["quarantined"] = [Quarantined(**q) for q in values["quarantined"]]
    return ShardResult(**values)


def _is_finished(out: Path, unit: dict[str, Any], *, strict: bool) -> bool:
    """Whether a shard is there, made of the same files; if strict, of nothing but good ones.

    Nothing in it was read leniently then.
    """
    path = _result_path(out, unit["file"])
    if not exists(path) or read_json(path)["listing"] != unit["listing"]:
        return False
    result = _read_result(out, unit)
    return not (strict and (result.quarantined or any(map(is_lenient, result.remarks))))


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
        remarks=shards.manifest.remarks,
    )
