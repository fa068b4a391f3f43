"""Every path of a workspace and of a run, in one place."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from workloads.artifacts import digest, exists, write_text
from workloads.storage.storage import storage_of

METRICS_FILE = "metrics.json"
PER_IMAGE_FILE = "per_image.parquet"


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Paths of one training run: one recipe on one set of shards.

    Attributes:
        place: the workspace that it is in; what it stores names places in it without their
            beginning. None for a run outside of one.
    """

    folder: Path
    place: Path | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def spec(self) -> Path:
        """The training that was asked for."""
        return self.folder / "spec.json"

    def tracking_uid(self) -> str:
        """Names this run in the tracker, for ever and on every server."""
        return _uid(self.folder)

    @property
    def events(self) -> Path:
        """Metrics per epoch, JSON lines, written before any tracker hears of them."""
        return self.folder / "events.jsonl"

    @property
    def progress(self) -> Path:
        """Latest position within the epoch."""
        return self.folder / "progress.json"

    @property
    def preview(self) -> Path:
        """Maps and boxes on a few validation images, after the last epoch."""
        return self.folder / "preview.jpg"

    @property
    def ray_storage(self) -> Path:
        """Ray Train's own bookkeeping."""
        return self.folder / "ray"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of the training: the last ones, the best one if it is wanted."""
        return self.folder / "checkpoints"

    @property
    def stalled(self) -> Path:
        """A note for each worker that has not moved for long."""
        return self.folder / "stalled"

    @property
    def final_error(self) -> Path:
        """A worker's note of an error that another attempt would only repeat."""
        return self.folder / "final-error.json"

    @property
    def model(self) -> Path:
        """The trained model with untuned thresholds; its manifest marks the run as finished."""
        return self.folder / "model"

    @property
    def tuned_model(self) -> Path:
        """The model with its tuned thresholds: what is registered."""
        return self.folder / "tuned-model"

    @property
    def search(self) -> Path:
        """Result of the search: parameters, values, each alpha's best, curves."""
        return self.folder / "search.json"

    def predictions(self, split: str) -> Path:
        """Stored scores and maps of a split."""
        return self.folder / "predictions" / split

    def evaluation(self, split: str) -> Path:
        """Metrics of a split, and what they say about single images."""
        return self.folder / "evaluation" / split

    def metrics(self, split: str) -> Path:
        """Metrics of a split."""
        return self.evaluation(split) / METRICS_FILE


@dataclass(frozen=True, slots=True)
class PipelinePaths:
    """Paths of one `wsol run` or `wsol reproduce`; `place` as of `RunPaths`."""

    folder: Path
    place: Path | None = None

    def tracking_uid(self) -> str:
        """Names this pipeline in the tracker, for ever and on every server."""
        return _uid(self.folder)

    @property
    def unlabelled(self) -> Path:
        """The images to annotate when the user names no folder."""
        return self.folder / "unlabelled"

    @property
    def annotations(self) -> Path:
        return self.folder / "annotations"

    @property
    def served(self) -> Path:
        """The endpoint's answer for one image."""
        return self.folder / "served.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def stage(self, name: str) -> Path:
        """Record of a finished stage."""
        return self.folder / "stages" / f"{name}.json"

    def run(self, recipe: str) -> RunPaths:
        return RunPaths(self.folder / "train" / recipe, self.place)


@dataclass(frozen=True, slots=True)
class SweepPaths:
    """Paths of one search over trainings; `place` as of `RunPaths`."""

    folder: Path
    place: Path | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    def tracking_uid(self) -> str:
        """Names this sweep in the tracker, for ever and on every server."""
        return _uid(self.folder)

    def trial(self, number: int) -> RunPaths:
        """A trial's training."""
        return RunPaths(self.folder / "trials" / f"{number:04d}", self.place)

    def record(self, number: int) -> Path:
        """A trial's point, state and value."""
        return self.folder / "trials" / f"{number:04d}.json"

    def begun(self) -> Iterator[int]:
        """Numbers of the trials that have begun, which they do in order."""
        return takewhile(lambda number: exists(self.record(number)), count())

    @property
    def ray_storage(self) -> Path:
        """Ray Tune's own bookkeeping."""
        return self.folder / "ray"

    @property
    def result(self) -> Path:
        """The best trial and all others; there when the sweep is finished."""
        return self.folder / "sweep.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


@dataclass(frozen=True, slots=True)
class PlanPaths(SweepPaths):
    """Paths of a plan's trials, which are named after what decides their content.

    So an edited plan finds what it has in common with the one before.

    Attributes:
        runs, records: names by the number of the trial.
    """

    runs: tuple[str, ...] = ()
    records: tuple[str, ...] = ()

    def tracking_uid(self) -> str:
        """Names this plan in the tracker; an edited one is a run of its own."""
        return f"{_uid(self.folder)}-{digest({'records': self.records})[:8]}"

    def trial(self, number: int) -> RunPaths:
        """A trial's training."""
        return RunPaths(self.folder / "trials" / self.runs[number], self.place)

    def record(self, number: int) -> Path:
        """A trial's state and values."""
        return self.folder / "trials" / f"{self.records[number]}.json"

    def begun(self) -> Iterator[int]:
        """Numbers of the trials that have begun, whenever and in whatever order."""
        return (n for n in range(len(self.records)) if exists(self.record(n)))


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of everything below the workspace folder."""

    folder: Path

    @property
    def tracking_database(self) -> Path:
        return self.folder / "mlflow.db"

    @property
    def tracking_artifacts(self) -> Path:
        return self.folder / "mlflow-artifacts"

    def downloaded_model(self, digest: str) -> Path:
        """A model version fetched from a tracking server, kept by its content digest."""
        return self.folder / "models" / digest

    def predictions(self, digest: str, name: str) -> Path:
        """Stored scores and maps of a model that `wsol evaluate` was given."""
        return self.folder / "predictions" / digest[:16] / name

    def evaluation(self, digest: str, name: str) -> Path:
        """Metrics of a model that `wsol evaluate` was given."""
        return self.folder / "evaluations" / digest[:16] / name

    def made_data(self, name: str) -> Path:
        """A data set that the project made, in the layout in which it is distributed."""
        return self.folder / "data" / name

    def shards(self, name: str) -> Path:
        return self.folder / "shards" / name

    def proposals(self, digest: str) -> Path:
        """Object proposals, by the digest of what was asked for."""
        return self.folder / "proposals" / digest[:16]

    def inspection(self, digest: str) -> Path:
        """The page about shards of that content."""
        return self.folder / "inspect" / digest[:16]

    def review(self, key: str) -> Path:
        """The pages of `wsol review` about an annotation."""
        return self.folder / "reviews" / key

    def run(self, name: str) -> RunPaths:
        """A training run started on its own (`wsol train`)."""
        return RunPaths(self.folder / "runs" / name, self.folder)

    def pipeline(self, name: str) -> PipelinePaths:
        """A `wsol run`."""
        return PipelinePaths(self.folder / "pipelines" / name, self.folder)

    def reproduction(self, name: str) -> PipelinePaths:
        """A `wsol reproduce`."""
        return PipelinePaths(self.folder / "reproductions" / name, self.folder)

    def sweep(self, name: str) -> SweepPaths:
        """A `wsol tune RECIPE` or a `wsol sweep`."""
        return SweepPaths(self.folder / "sweeps" / name, self.folder)

    @property
    def jobs(self) -> Path:
        """Records and logs of jobs on clusters (`wsol submit`)."""
        return self.folder / "jobs"

    def benchmark(self, name: str) -> Path:
        """The folder of a benchmark that goes on where it was stopped."""
        return self.folder / "bench" / name


def _uid(folder: Path) -> str:
    """A unique id, kept in the folder: a path is not unique among the users of a server."""
    file = folder / "tracking-uid"
    if not exists(file):
        write_text(file, uuid.uuid4().hex)
    with storage_of(file).open(file) as stream:
        return stream.read().decode()
