"""Store class scores and maps of a split, once, through a Ray Data actor pool."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.chunks import claim, run_pool
from orchestrator.cluster import connect
from orchestrator.progress import Progress
from orchestrator.settings import Settings
from workloads.artifacts import read_manifest, seal
from workloads.errors import IntegrityError
from workloads.images import ImageLimits, decode
from workloads.loading import RowGroup, row_groups
from workloads.localizer import Localizer
from workloads.predictions import SCHEMA_VERSION, Prediction, classes_to_store, write_predictions


def predict(settings: Settings, model: Path, shards: Path, split: str, out: Path) -> Path:
    """Stored predictions of a model on a split; continues where it was stopped.

    Raises:
        NotFound: no such model, shards or split.
        Conflict: `out` holds the predictions of another model, other shards or other settings.
        IntegrityError: parts and shards do not add up.
    """
    model, shards, out = (p.resolve() for p in (model, shards, out))  # workers may be elsewhere
    request = {
        "model": read_manifest(model, "model")["digest"],
        "shards": read_manifest(shards, "shards")["digest"],
        "split": split,
        "stored_maps": settings.job.stored_maps,
        "schema": SCHEMA_VERSION,
    }
    groups = row_groups(shards, split)
    if claim(out, request, "predictions"):
        return out
    with connect(settings):
        _compute(settings, model, groups, split, out)
    rows = sum(group.rows for group in groups)
    seal(out, kind="predictions", rows=rows, request=request)
    return out


def _compute(
    settings: Settings, model: Path, groups: list[RowGroup], split: str, out: Path
) -> None:
    parts = [out / f"part-{index:05d}.parquet" for index in range(len(groups))]
    missing = [i for i, part in enumerate(parts) if not part.exists()]
    units = [
        {"path": str(groups[i].path), "index": groups[i].index, "part": str(parts[i])}
        for i in missing
    ]
    resources = settings.resources.evaluate
    options = {
        "model": str(model),
        "top": settings.job.stored_maps,
        "limits": settings.images.model_dump(),
        "device": "cuda" if resources.gpus_per_actor else "cpu",
        "threads": max(1, int(resources.cpus_per_actor)),
    }
    total = sum(group.rows for group in groups)
    before = total - sum(groups[i].rows for i in missing)
    with Progress(total, "images", f"maps of {split}", done=before) as progress:
        for row in run_pool(units, Predictor, options, resources, "evaluate"):
            progress.advance(row["rows"])
    absent = [part.name for part in parts if not part.exists()]
    if absent:
        raise IntegrityError(f"{out}: {absent[0]} was not written; run the same command again")


class Predictor:
    """An actor that holds the model and writes one part per row group."""

    def __init__(
        self, model: str, top: int, limits: dict[str, Any], device: str, threads: int
    ) -> None:
        self.model = Path(model)
        self.top = top
        self.limits = ImageLimits(**limits)
        self.device = device
        self.threads = threads

    @cached_property
    def localizer(self) -> Localizer:
        """The model, loaded with the first unit (see `run_pool`)."""
        return Localizer.load(self.model, device=self.device, threads=self.threads)

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        records = RowGroup(Path(unit["path"]), int(unit["index"]), 0).read()
        responses = self.localizer.predict(
            [decode(r.image, self.limits) for r in records],
            lambda row, scores: classes_to_store(records[row].truth, scores, self.top).tolist(),
        )
        predictions = [
            Prediction(
                image_id=record.image_id,
                split=record.split,
                width=record.width,
                height=record.height,
                truth=record.truth,
                scores=response.scores,
                map_labels=response.labels,
                scales=response.scales,
                proposal=response.proposal,
            )
            for record, response in zip(records, responses, strict=True)
        ]
        write_predictions(Path(unit["part"]), predictions)
        return {"rows": len(predictions)}
