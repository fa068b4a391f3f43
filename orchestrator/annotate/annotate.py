"""Annotate a collection of images with a model: every one exactly once, killed or not.

An annotation folder holds

    listing.json            what was asked: model, limits, what is kept
    listing-0000/           the files, in their order
    parts/                  one part per chunk of the listing: the ledger
    annotations.coco.json   the exports, made from the parts alone
    annotations.parquet
    quarantine.jsonl        files without annotations, and why
    manifest.json           written last: counts and the digest of every file

On a cluster, the image folder, the model and the annotation folder must be on storage that all
nodes see under the same path.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from orchestrator.annotate.annotator import Annotator, Target
from orchestrator.config.settings import Annotate, Machine
from orchestrator.engine.claims import Verb, claim
from orchestrator.engine.connect import connect
from orchestrator.engine.progress import Progress, say
from orchestrator.engine.quarantine import is_enough, require_enough
from orchestrator.tracking.registry import fetch_model
from workloads.annotation.annotation import Annotation
from workloads.annotation.export import export, exported
from workloads.annotation.listing import ListedFile
from workloads.annotation.options import Kept
from workloads.annotation.phases import PHASES
from workloads.annotation.sources.base import Source
from workloads.annotation.sources.registry import open_source
from workloads.annotation.store import LISTING, AnnotationStore, Tally
from workloads.artifacts import (
    QUARANTINE,
    exists,
    is_sealed,
    seal,
    unseal,
)
from workloads.errors import ConfigError, Conflict, NotFound
from workloads.files import read_text
from workloads.formats.registry import FORMATS, USUAL
from workloads.models.model import Model
from workloads.shards.quarantine import Quarantined
from workloads.storage.addresses import absolute, check_address

VERB = Verb(
    "annotate",
    "an annotation",
    "restore what differs, choose another --out, or remove the folder to start over",
)


@dataclass(frozen=True, slots=True)
class AnnotateResult:
    """A finished annotation folder. `listed` is always `read + quarantined`.

    Attributes:
        images: the folder that was annotated.
        gone: files that were annotated once and are not in the folder any more.
        model: the model's content digest.
        boxes: boxes in all images together.
        classes: name to boxes, of those that have some.
        score_histogram: class scores of all candidates, in 20 bins of equal width from 0 to 1.
        images_per_s: speed of the run that finished it, from the start of its workers; 0 if an
            earlier run had done all images.
        seconds: of that run by phase, of all actors' threads together.
        files: format name to export.
        quarantine: list of the files without annotations, JSON lines.
    """

    out: Path
    images: Path
    model: str
    listed: int
    read: int
    quarantined: int
    gone: int
    boxes: int
    classes: dict[str, int]
    score_histogram: list[int]
    images_per_s: float
    seconds: dict[str, float]
    files: dict[str, Path]
    quarantine: Path


def annotate(
    machine: Machine,
    images: Path,
    model: str,
    out: Path,
    formats: Sequence[str] | None = None,
    *,
    kept: Kept | None = None,
    max_quarantined: float | None = None,
    update: bool = False,
) -> AnnotateResult:
    """Annotate all images of a collection, or continue; a finished annotation is a no-op.

    It is listed once. What became of it since is looked at when `update` is true: new images are
    annotated, those that are gone are left out of the exports.

    Args:
        images: a folder, or whatever else `SOURCES` knows.
        model: a model folder, NAME@ALIAS or NAME/VERSION.
        out: the annotation folder; it may not be among the images.
        formats: names from FORMATS, None for the usual ones; a finished annotation gets the
            missing ones added.
        kept: what is kept of each image, for exports; else the defaults.
        max_quarantined: share of the files, 0 to 1, that may be quarantined; else the default.

    Raises:
        NotFound: no such collection or model, or no file in it.
        InputRejected: more were quarantined than may be, or all. What was annotated stays, so the
            same command continues once they are mended, or with a larger share.
        ConfigError: an unknown format or one that needs maps, which are not kept; or `out` is
            among the images.
        Conflict: `out` holds something else, the annotation of another model, or of a collection
            that holds other images now; or another process is writing there.
        IntegrityError: files and parts do not add up, or a finished file was changed.
        OSError: as the file system says (a full disk, say); start again to continue.
    """
    (result,) = annotate_with(
        machine, images, {out: model}, formats,
        kept=kept, max_quarantined=max_quarantined, update=update,
    )  # fmt: skip
    return result


def annotate_with(
    machine: Machine,
    images: Path,
    models: Mapping[Path, str],
    formats: Sequence[str] | None = None,
    *,
    kept: Kept | None = None,
    max_quarantined: float | None = None,
    update: bool = False,
) -> list[AnnotateResult]:
    """Annotate all images of a collection with several models in one pass.

    Each image is read and decoded once for all of them, as long as their annotations began
    together. For the rest it is as `annotate` for each.

    Args:
        models: annotation folder to the model that fills it.

    Raises:
        WsolError, OSError: as `annotate`.
    """
    kept = kept or Kept()
    wanted = _checked_formats(formats, kept)
    if max_quarantined is None:
        max_quarantined = Annotate().max_quarantined
    check_address(images, "the images")
    source, found = open_source(absolute(images)), dict[Path, Model]()
    for folder, model in models.items():
        check_address(folder, "--out")
        out = absolute(folder)
        if source.covers(out):
            raise ConfigError(
                f"{out}: is among the images of {source.path}; choose an --out elsewhere"
            )
        found[out] = fetch_model(machine, model)
    files = _listed(source)  # before anything is made: there may be no such collection
    with ExitStack() as owned:
        jobs: list[_Job] = []
        for out, fetched in found.items():
            request = _request(machine, fetched, kept)
            owned.enter_context(claim(out, _deciding(request), VERB))
            first = jobs[0].store.listing.files() if jobs else files
            store = _store(out, request, first, source, update=update)
            jobs.append(_Job(fetched, store, _is_finished(out, wanted)))
        speed = _annotate_missing(machine, [job for job in jobs if not job.finished], source)
        return [_finished(job, source, wanted, max_quarantined, speed) for job in jobs]


def places(out: Path, models: Sequence[str]) -> dict[Path, str]:
    """The annotation folder of each model: `out` for one, folders in it for several.

    Raises:
        ConfigError: one is given twice, or two would have one folder.
    """
    if len(models) == 1:
        return {out: models[0]}
    found = {out / re.sub(r"[^\w.-]+", "-", model).strip("-."): model for model in models}
    if len(found) < len(models):
        raise ConfigError(f"--model {', '.join(models)}: two of them are one; give each once")
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    """A model, the store that it fills, and whether nothing is left to do there."""

    model: Model
    store: AnnotationStore
    finished: bool

    @property
    def target(self) -> Target:
        return Target(model=self.model.folder, digest=self.model.digest, out=self.store.folder)


def _finished(
    job: _Job, source: Source, formats: Sequence[str], max_quarantined: float, speed: Speed
) -> AnnotateResult:
    """Count, export and seal what is complete."""
    if not job.finished:
        counts = job.store.tally()
        _require_enough(job.store, counts.listed, counts.quarantined, max_quarantined)
        _finish(job.store, formats, counts, speed)
    result = _result(job.store.folder, source.path)
    _require_enough(job.store, result.listed, result.quarantined, max_quarantined)
    return result


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed of a run, and where its time went.

    Attributes:
        images_per_s: 0 if an earlier run had done all images.
        seconds: by phase, of all actors' threads together.
    """

    images_per_s: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Speed) -> Speed:
        names = self.seconds.keys() | other.seconds.keys()
        seconds = {n: self.seconds.get(n, 0.0) + other.seconds.get(n, 0.0) for n in sorted(names)}
        return Speed(max(self.images_per_s, other.images_per_s), seconds)


def _checked_formats(formats: Sequence[str] | None, kept: Kept) -> list[str]:
    """Each format once; fail early on unknown names, and on those that this cannot have."""
    kinds = [FORMATS[name] for name in dict.fromkeys(formats or USUAL)]
    mapped = [kind.name for kind in kinds if kind.needs_maps]
    if mapped and not kept.maps:
        raise ConfigError(
            f"--format {mapped[0]} needs maps, which are not kept; add --set annotate.maps=true"
        )
    return [kind.name for kind in kinds]


def _listed(source: Source) -> Iterator[ListedFile]:
    """The files of a source, as they are found.

    Raises:
        NotFound: no such collection, or no file in it.
    """
    files = source.files()
    first = next(files, None)
    if first is None:
        raise NotFound(
            f"{source.path}: no files there (hidden ones do not count), as a {source.kind}; add "
            "images to it"
        )
    return chain([first], files)


def _request(machine: Machine, model: Model, kept: Kept) -> dict[str, Any]:
    """The request, as it stands in listing.json: no places of files."""
    return {
        "model": {
            "digest": model.digest,
            "method": model.card.method,
            "backbone": model.card.backbone,
        },
        "classes": list(model.card.classes),
        "cutoffs": model.card.cutoffs.model_dump(mode="json"),
        "limits": machine.images.model_dump(mode="json"),
        "kept": kept.model_dump(mode="json"),
        "chunk_images": machine.resources.annotate.chunk_images,
    }


def _deciding(request: dict[str, Any]) -> dict[str, Any]:
    """The part of a request that decides the annotation of an image."""
    return {
        "model": request["model"]["digest"],
        "images": request["limits"],
        "annotate": request["kept"],
    }


def _store(
    out: Path,
    request: dict[str, Any],
    files: Iterable[ListedFile],
    source: Source,
    *,
    update: bool,
) -> AnnotationStore:
    """The store that was started, else a new one with all files of the source.

    Raises:
        Conflict: it is the annotation of other images.
    """
    if not exists(out / LISTING):
        return AnnotationStore.begin(out, request, files)
    store = AnnotationStore.open(out)
    if not update:
        if other := store.first_other(source):
            raise Conflict(
                f"{out}: {other} of its files is gone from {source.path} or changed since; follow "
                f"what became of it with --update, or {VERB.advice}"
            )
        return store
    store, changes = store.follow(source)
    if changes:
        facts = {name: count for name, count in asdict(changes).items() if count}
        say(f"wsol: {source.path}: {', '.join(f'{count} {name}' for name, count in facts.items())}")
    return store


def _is_finished(out: Path, formats: Sequence[str]) -> bool:
    return is_sealed(out) and set(formats) <= set(Annotation.open_verified(out).formats)


def _annotate_missing(machine: Machine, jobs: Sequence[_Job], source: Source) -> Speed:
    """Write the parts that are missing, those of one listing side by side."""
    together = groupby(jobs, key=lambda job: job.store.listing_key)
    speed = Speed()
    for _, some in together:
        speed = speed + _annotate_together(machine, list(some), source)
    return speed


def _annotate_together(machine: Machine, jobs: Sequence[_Job], source: Source) -> Speed:
    """Write the missing parts of annotations that have one listing."""
    missing = [set(job.store.missing()) for job in jobs]
    indices = sorted(set().union(*missing))
    if not indices:
        return Speed()
    resources, store = machine.resources.annotate, jobs[0].store
    options = {
        "targets": [job.target.model_dump(mode="json") for job in jobs],
        "images": str(source.path),
        "limits": store.request["limits"],
        "kept": store.request["kept"],
        "device": resources.device,
        "threads": resources.threads,
    }
    units = [
        {"index": index, "wanted": [n for n, left in enumerate(missing) if index in left]}
        for index in indices
    ]
    total = store.listing.total
    done = total - sum(map(store.listing.size, indices))
    shown, seconds = Progress(total, "images", "annotate", done), dict.fromkeys(PHASES, 0.0)
    workers, quarantined = Counter[str](), 0
    with connect(machine) as engine, shown as progress:
        for row in engine.pool(units, Annotator, options, resources, "annotate"):
            workers[row["worker"]] += row["images"]
            quarantined += row["quarantined"]
            progress.beside = _beside(workers, quarantined)
            progress.advance(row["images"])
            seconds = {phase: seconds[phase] + spent for phase, spent in row["seconds"].items()}
        return Speed(progress.per_second, seconds)


def _beside(workers: Counter[str], quarantined: int) -> str:
    """Share of each worker, and what failed: a slow node or a broken folder shows while it runs."""
    shares = [str(images) for _, images in sorted(workers.items())]
    some = " + ".join(shares[:8]) + (" + …" if len(shares) > 8 else "")
    failed = f"{quarantined} quarantined" if quarantined else "none quarantined"
    return f"{failed}, by worker {some}"


def _require_enough(
    store: AnnotationStore, listed: int, quarantined: int, max_quarantined: float
) -> None:
    """Refuse an annotation of too few of its files."""
    if is_enough(listed, quarantined, max_quarantined):
        return
    lines = map(json.loads, filter(None, read_text(store.folder / QUARANTINE).split("\n")))
    rejected = [Quarantined(line["path"], line["path"], "", line["reason"]) for line in lines]
    require_enough(store.folder / QUARANTINE, listed, rejected, max_quarantined)


def _finish(
    store: AnnotationStore,
    formats: Sequence[str],
    counts: Tally,
    speed: Speed,
) -> None:
    """Write the exports, and seal."""
    unseal(store.folder)
    export(store, formats)
    seal(
        store.folder,
        kind=Annotation.kind,
        model=store.request["model"],
        formats=list(exported(store.folder)),
        images_per_s=round(speed.images_per_s, 2),
        seconds={phase: round(spent, 2) for phase, spent in speed.seconds.items()},
        **asdict(counts),
    )


def _result(out: Path, images: Path) -> AnnotateResult:
    found = Annotation.open(out)
    return AnnotateResult(
        out=out,
        images=images,
        model=found.model_digest,
        listed=found.listed,
        read=found.read,
        quarantined=found.quarantined,
        gone=found.gone,
        boxes=found.boxes,
        classes=found.classes,
        score_histogram=found.score_histogram,
        images_per_s=found.images_per_s,
        seconds=found.seconds,
        files=exported(out),
        quarantine=found.quarantine,
    )
