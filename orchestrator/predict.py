"""Store class scores and maps of a split, once, through a Ray Data actor pool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Machine
from orchestrator.engine.claims import Verb, claim, is_finished
from orchestrator.engine.connect import connect
from orchestrator.engine.engine import Engine
from orchestrator.engine.progress import Progress
from workloads.artifacts import contents, seal
from workloads.errors import ConfigError, IntegrityError
from workloads.files import is_folder
from workloads.images.decode import ImageLimits
from workloads.models.localizer import Localizer
from workloads.models.model import Model
from workloads.models.ranking import Ranker, open_ranker
from workloads.predictions.predict import predict_records
from workloads.predictions.predictions import Predictions
from workloads.predictions.store import SCHEMA_VERSION, write_predictions
from workloads.shards.read import RowGroup
from workloads.shards.shards import Shards
from workloads.storage.addresses import absolute


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Everything that decides stored predictions, beside the model's and the shards' content.

    Attributes:
        split: whose images.
        stored_maps: maps kept of each image beside those of its true classes.
        limit: about so many images are enough. They come from row groups that are spread evenly
            over the split.
        ranking: classifiers whose mean probabilities take the place of the model's own scores;
            names as `open_ranker` takes them.
    """

    split: str
    stored_maps: int
    limit: int | None = None
    ranking: tuple[str, ...] = ()


def predict(
    machine: Machine,
    model: Model,
    shards: Shards,
    wanted: PredictRequest,
    out: Path,
    verb: Verb,
) -> Predictions:
    """Stored predictions of a model on a split; continues where it was stopped.

    Args:
        verb: whose predictions they are, for advice.

    Raises:
        NotFound: no such split.
        ConfigError: the model was trained on other classes.
        Conflict: `out` holds something else, or another process works there.
        IntegrityError: parts and shards do not add up.
    """
    out = absolute(out)  # workers may be elsewhere
    _check_classes(model, shards)
    groups = spread(shards.row_groups(wanted.split), wanted.limit)
    request = {
        "model": model.digest,
        "shards": shards.digest,
        "split": wanted.split,
        "stored_maps": wanted.stored_maps,
        "schema": SCHEMA_VERSION,
        "ranking": [_content(name) for name in wanted.ranking],
        "row_groups": len(groups),
    }
    if not is_finished(out, request, verb):
        with claim(out, request, verb):
            with connect(machine) as engine:
                _compute(engine, machine, model, groups, wanted, out)
            rows = sum(group.rows for group in groups)
            seal(out, kind=Predictions.kind, rows=rows, request=request)
    return Predictions.open(out)


def _check_classes(model: Model, shards: Shards) -> None:
    """The classes of a model and of shards must be the same in the same order.

    Raises:
        ConfigError: the first one that differs.
    """
    for at, (one, other) in enumerate(zip_longest(model.card.classes, shards.classes)):
        if one != other:
            raise ConfigError(
                f"{shards.folder}: class {at} is '{other}', the model's is '{one}'; "
                "use a model that was trained on these classes"
            )


def spread(groups: list[RowGroup], limit: int | None) -> list[RowGroup]:
    """Evenly spaced row groups with about `limit` images, at least one; None for all."""
    total = sum(group.rows for group in groups)
    if limit is None or limit >= total:
        return groups
    count = max(1, round(len(groups) * limit / total))
    return [groups[int((i + 0.5) * len(groups) / count)] for i in range(count)]


def _content(ranker: str) -> str:
    """Names the content of a ranker: the model's digest, or torchvision's name."""
    folder = Path(ranker)
    return Model.open(folder).digest if is_folder(folder) else ranker


def _placed(ranker: str) -> str:
    folder = Path(ranker)
    return str(absolute(folder)) if is_folder(folder) else ranker


def _compute(
    engine: Engine,
    machine: Machine,
    model: Model,
    groups: list[RowGroup],
    wanted: PredictRequest,
    out: Path,
) -> None:
    parts = [out / f"part-{index:05d}.parquet" for index in range(len(groups))]
    written = set(contents(out))  # one listing, as a bucket answers each question slowly
    missing = [i for i, part in enumerate(parts) if part not in written]
    units = [
        {"path": str(groups[i].path), "index": groups[i].index, "part": str(parts[i])}
        for i in missing
    ]
    resources = machine.resources.evaluate
    options = {
        "model": str(model.folder),
        "ranking": tuple(
            str(absolute(Path(r))) if is_folder(Path(r)) else r for r in wanted.ranking
        ),
        "top": wanted.stored_maps,
        "limits": machine.images.model_dump(),
        "device": resources.device,
        "threads": resources.threads,
    }
    total = sum(group.rows for group in groups)
    before = total - sum(groups[i].rows for i in missing)
    with Progress(total, "images", f"maps of {wanted.split}", done=before) as progress:
        for row in engine.pool(units, Predictor, options, resources, "evaluate"):
            progress.advance(row["rows"])
    written = set(contents(out))
    absent = [part.name for part in parts if part not in written]
    if absent:
        raise IntegrityError(f"{out}: {absent[0]} was not written; run the same command again")


class Predictor:
    """An actor that holds the model and writes one part per row group."""

    def __init__(
        self,
        model: str,
        ranking: tuple[str, ...],
        top: int,
        limits: dict[str, Any],
        device: str,
        threads: int,
    ) -> None:
        self.model = Path(model)
        self.ranking = ranking
        self.top = top
        self.limits = ImageLimits(**limits)
        self.device = device
        self.threads = threads

    @cached_property
    def localizer(self) -> Localizer:
        """The model, loaded with the first unit (see `run_pool`)."""
        return Localizer.load(self.model, device=self.device, threads=self.threads)

    @cached_property
    def ranker(self) -> Ranker | None:
        """The classifier that ranks the classes, if not the model itself."""
        if not self.ranking:
            return None
        return open_ranker(self.ranking, self.localizer.card.classes, self.device, self.threads)

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        records = RowGroup(Path(unit["path"]), int(unit["index"]), 0).read()
        predictions = predict_records(self.localizer, records, self.limits, self.top, self.ranker)
        write_predictions(Path(unit["part"]), predictions)
        return {"rows": len(predictions)}
