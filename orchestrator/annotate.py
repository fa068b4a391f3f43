"""Annotate a folder of images with a model: every file exactly once, killed or not.

An annotation folder holds

    listing.json            the files, in their order, with model and limits
    parts/                  one part per chunk of the listing: the ledger
    annotations.coco.json   the exports, made from the parts alone
    annotations.parquet
    quarantine.jsonl        files without annotations, and why
    manifest.json           written last: counts and the digest of every file

On a cluster, the image folder, the model and the annotation folder must be on storage that all
nodes see under the same path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Annotate, Machine
from orchestrator.engine.claims import Verb, claim
from orchestrator.engine.connect import connect
from orchestrator.engine.progress import Progress, say
from orchestrator.engine.quarantine import is_enough, require_enough
from orchestrator.tracking.registry import fetch_model
from workloads.annotation.annotation import Annotation
from workloads.annotation.changes import follow
from workloads.annotation.chunk import annotate_chunk
from workloads.annotation.export import export, exported
from workloads.annotation.listing import ListedFile, Listing, list_images
from workloads.annotation.options import Kept
from workloads.annotation.store import LISTING, AnnotationStore
from workloads.artifacts import (
    QUARANTINE,
    exists,
    is_sealed,
    read_json,
    seal,
    unseal,
    write_json,
)
from workloads.errors import ConfigError, Conflict, IntegrityError, NotFound
from workloads.formats.registry import FORMATS, USUAL
from workloads.images.decode import ImageLimits
from workloads.models.localizer import Localizer
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
        model: the model's content digest.
        boxes: boxes in all images together.
        images_per_s: speed of the run that finished it, from the start of its workers; 0 if an
            earlier run had done all images.
        files: format name to export.
        quarantine: list of the files without annotations, JSON lines.
    """

    out: Path
    images: Path
    model: str
    listed: int
    read: int
    quarantined: int
    boxes: int
    images_per_s: float
    files: dict[str, Path]
    quarantine: Path


def annotate(
    machine: Machine,
    folder: Path,
    model: str,
    out: Path,
    formats: Sequence[str] | None = None,
    *,
    kept: Kept | None = None,
    max_quarantined: float | None = None,
) -> AnnotateResult:
    """Annotate all images below a folder, or continue; a finished annotation is a no-op.

    Args:
        model: a model folder, NAME@ALIAS or NAME/VERSION.
        out: the annotation folder; it may not be in `folder`.
        formats: names from FORMATS, None for the usual ones; a finished annotation gets the
            missing ones added.
        kept: what is kept of each image, for exports; else the defaults.
        max_quarantined: share of the files, 0 to 1, that may be quarantined; else the default.

    Raises:
        NotFound: no such folder or model, or no file in the folder.
        InputRejected: more were quarantined than may be, or all. What was annotated stays, so the
            same command continues once they are mended, or with a larger share.
        ConfigError: an unknown format or one that needs maps, which are not kept; or `out` is in
            `folder`.
        Conflict: `out` holds something else, the annotation of another model, or the folder
            changed since the first start; or another process is writing there.
        IntegrityError: files and parts do not add up, or a finished file was changed.
        OSError: as the file system says (a full disk, say); start again to continue.
    """
    kept = kept or Kept()
    wanted = _checked_formats(formats, kept)
    if max_quarantined is None:
        max_quarantined = Annotate().max_quarantined
    check_address(folder, "the images")
    check_address(out, "--out")
    folder, out = absolute(folder), absolute(out)
    found = fetch_model(machine, model)
    request = _request(machine, folder, out, found, kept)
    with claim(out, _deciding(request, out), VERB):
        if not exists(out / LISTING):
            write_json(out / LISTING, {**request, "first": _digest_of(request)})
        _follow_changes(out, request, folder)
        store = AnnotationStore.open(out)
        if not _is_finished(out, wanted):
            speed = _annotate_missing(machine, store, found, folder)
            counts = store.counts()
            _require_enough(store, counts["listed"], counts["quarantined"], max_quarantined)
            _finish(store, request, wanted, counts, speed)
        result = _result(out, folder)
        _require_enough(store, result.listed, result.quarantined, max_quarantined)
    return result


class Annotator:
    """An actor that holds the model and writes one part per chunk."""

    def __init__(
        self,
        model: str,
        digest: str,
        folder: str,
        out: str,
        limits: dict[str, Any],
        kept: dict[str, Any],
        device: str,
        threads: int,
    ) -> None:
        self.model = Path(model)
        self.digest = digest
        self.folder = Path(folder)
        self.out = Path(out)
        self.limits = ImageLimits(**limits)
        self.kept = Kept(**kept)
        self.device = device
        self.threads = threads

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        index = int(unit["index"])
        files = self.store.listing.chunk(index)
        first_id = self.store.listing.first_id(index)
        result = annotate_chunk(
            self.localizer, self.folder, files, first_id, self.limits, self.kept
        )
        self.store.write(index, result)
        return {"images": len(files)}

    @cached_property
    def store(self) -> AnnotationStore:
        """The store that parts are written to."""
        return AnnotationStore.open(self.out)

    @cached_property
    def localizer(self) -> Localizer:
        """The model, loaded with the first chunk: of an error in a constructor, Ray keeps no
        more than the text."""
        localizer = Localizer.load(self.model, device=self.device, threads=self.threads)
        if localizer.digest != self.digest:
            raise IntegrityError(f"{self.model}: changed while it was used; restore it")
        return localizer


def _checked_formats(formats: Sequence[str] | None, kept: Kept) -> list[str]:
    """Each format once; fail early on unknown names, and on those that this cannot have."""
    kinds = [FORMATS[name] for name in dict.fromkeys(formats or USUAL)]
    mapped = [kind.name for kind in kinds if kind.needs_maps]
    if mapped and not kept.maps:
        raise ConfigError(
            f"--format {mapped[0]} needs maps, which are not kept; add --set annotate.maps=true"
        )
    return [kind.name for kind in kinds]


def _deciding(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """The part of a request that decides the annotation; places of files do not.

    The files are those of the first start; `_follow_changes` looks at what became of them.
    """
    started = read_json(out / LISTING) if exists(out / LISTING) else {}
    return {
        "model": request["model"]["digest"],
        "files of the folder": started.get("first") or _digest_of(started or request),
        "images": request["limits"],
        "annotate": request["kept"],
    }


def _digest_of(request: dict[str, Any]) -> str:
    return Listing(tuple(ListedFile(*values) for values in request["files"]), 1).digest


def _follow_changes(out: Path, request: dict[str, Any], folder: Path) -> None:
    """Take new images of the folder in, and new names and times of those that are there.

    Raises:
        Conflict: listed images are gone, or others now.
    """
    store = AnnotationStore.open(out)
    files = tuple(ListedFile(*values) for values in request["files"])
    if _facts(files) == _facts(store.listing.files):
        return
    changes = follow(store.listing, files, store.contents(), folder)
    if changes.lost:
        more = f" and {len(changes.lost) - 1} more" if len(changes.lost) > 1 else ""
        raise Conflict(
            f"{out}: holds an annotation of other images: {changes.lost[0]}{more} of the folder "
            f"{'are' if more else 'is'} gone or changed since; {VERB.advice}"
        )
    if changes.new:
        say(f"wsol: {changes.new} new in {folder}; the others are known")
    listed = changes.listing
    unseal(out)
    write_json(
        out / LISTING,
        {
            **store.request,
            "first": store.request.get("first") or _digest_of(store.request),
            "files": [list(asdict(file).values()) for file in listed.files],
            "added": list(listed.added),
        },
    )


def _facts(files: Sequence[ListedFile]) -> set[ListedFile]:
    return {replace(file, read_as=None) for file in files}


def _request(machine: Machine, folder: Path, out: Path, model: Model, kept: Kept) -> dict[str, Any]:
    """Everything that decides the annotation, as it stands in listing.json: no places of files."""
    if out.is_relative_to(folder):
        raise ConfigError(f"{out}: is in the image folder {folder}; choose an --out beside it")
    files = list_images(folder)
    if not files:
        raise NotFound(f"{folder}: no files there (hidden ones do not count); add images to it")
    return {
        "model": {
            "digest": model.digest,
            "method": model.card.method,
            "backbone": model.card.backbone,
        },
        "classes": list(model.card.classes),
        "cutoffs": model.card.cutoffs.model_dump(mode="json"),
        "kept": kept.model_dump(mode="json"),
        "limits": machine.images.model_dump(mode="json"),
        "chunk_images": machine.resources.annotate.chunk_images,
        "files": [list(asdict(file).values()) for file in files],
    }


def _is_finished(out: Path, formats: Sequence[str]) -> bool:
    return is_sealed(out) and set(formats) <= set(Annotation.open_verified(out).formats)


def _annotate_missing(
    machine: Machine, store: AnnotationStore, model: Model, folder: Path
) -> float:
    """Write the parts that are missing; images per second."""
    missing, listing = store.missing(), store.listing
    if not missing:
        return 0.0
    resources = machine.resources.annotate
    options = {
        "model": str(model.folder),
        "digest": model.digest,
        "folder": str(folder),
        "out": str(store.folder),
        "limits": store.request["limits"],
        "kept": store.request["kept"],
        "device": resources.device,
        "threads": resources.threads,
    }
    units = [{"index": index} for index in missing]
    total = len(listing.files)
    done = total - sum(len(listing.chunk(index)) for index in missing)
    shown = Progress(total, "images", "annotate", done)
    with connect(machine) as engine, shown as progress:
        for row in engine.pool(units, Annotator, options, resources, "annotate"):
            progress.advance(row["images"])
        return progress.per_second


def _require_enough(
    store: AnnotationStore, listed: int, quarantined: int, max_quarantined: float
) -> None:
    """Refuse an annotation of too few of its files; the list of the others is written then."""
    if is_enough(listed, quarantined, max_quarantined):
        return
    if not is_sealed(store.folder):
        store.write_quarantine()
    rejected = [
        Quarantined(file.path, file.path, "", file.reason)
        for chunk in store.results()
        for file in chunk.quarantined
    ]
    require_enough(store.folder / QUARANTINE, listed, rejected, max_quarantined)


def _finish(
    store: AnnotationStore,
    request: dict[str, Any],
    formats: Sequence[str],
    counts: dict[str, int],
    speed: float,
) -> None:
    """Write the exports, and seal."""
    unseal(store.folder)
    store.write_quarantine()
    export(store, formats)
    seal(
        store.folder,
        kind=Annotation.kind,
        model=request["model"],
        formats=list(exported(store.folder)),
        images_per_s=round(speed, 2),
        **counts,
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
        boxes=found.boxes,
        images_per_s=found.images_per_s,
        files=exported(out),
        quarantine=found.quarantine,
    )
