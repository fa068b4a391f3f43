"""`wsol run`: from raw images to annotated images and a served answer."""

from __future__ import annotations

import json
import math
import socket
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from orchestrator.annotate.annotate import AnnotateResult, annotate
from orchestrator.config.names import check_names
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import PipelinePaths, Workspace
from orchestrator.engine.claims import Verb, claim
from orchestrator.engine.connect import training_workers
from orchestrator.evaluate import EvaluateResult, evaluate
from orchestrator.pages.pipeline.outcome import Champion, Outcome, Served
from orchestrator.pages.pipeline.page import write_report
from orchestrator.pipeline.plan import plan
from orchestrator.pipeline.steps import Steps, check_weights
from orchestrator.pipeline.table import results_table, unmeasured
from orchestrator.register import register_run
from orchestrator.serve.serve import running
from orchestrator.tracking.mlflow_store import RUN_TAG
from orchestrator.tracking.registry import ModelVersion, set_champion
from orchestrator.train.initial import pretraining
from orchestrator.tune.stored_maps import Tuned
from workloads.artifacts import QUARANTINE, atomic_folder, read_json, write_json
from workloads.errors import WsolError
from workloads.files import is_folder, read_bytes
from workloads.recipes.load import load_recipe, load_recipes
from workloads.recipes.own import is_file
from workloads.search.grid_search import SCORES_ALONE
from workloads.shards.shards import Shards

ANNOTATED_IMAGES = 100
# Settings that say where and how fast, not what comes out.
OF_MACHINE = {"cluster", "workspace", "tracking", "resources", "serve"}
VERB = Verb(
    "run",
    "a pipeline",
    "choose another name with --name, restore the settings, or start over with --fresh",
)


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """A finished pipeline.

    Attributes:
        table: one row per method and one for the centre baseline; values in [0, 1] or None.
        champion: the registered version that won on validation.
        unmeasured: metrics of which the test split has no case, as boxes are missing, say.
        served: the endpoint's answer for one image.
        report: path of the self-contained HTML report.
        quarantined: inputs left out by ingestion and annotation, with where they are listed.
        seconds: time of each stage, of the run in which it was made.
        remarks: what ingestion read leniently or found worth knowing, and how often.
    """

    name: str
    table: list[dict[str, Any]]
    champion: Champion
    unmeasured: list[str]
    served: dict[str, Any]
    annotations: str
    report: str
    quarantined: int
    quarantine_lists: list[str]
    seconds: dict[str, float]
    remarks: dict[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """A written report."""

    path: Path


def run(settings: Settings, *, fresh: bool = False) -> PipelineResult:
    """Run the pipeline of the settings, or continue it; finished stages are not repeated.

    Args:
        fresh: throw away what an earlier pipeline of that name made.

    Raises:
        Conflict: the name belongs to a pipeline with other settings, or another process runs it.
    """
    check_names(settings)  # fail early on unknown names
    paths = Workspace(settings.workspace).pipeline(settings.pipeline.name)
    owned = claim(paths.folder, _deciding(settings), VERB, fresh=fresh)
    with owned, ExitStack() as leaving:
        return _Pipeline(settings, paths, leaving).run()


class _Pipeline(Steps):
    """One method for each stage."""

    def __init__(self, settings: Settings, paths: PipelinePaths, leaving: ExitStack) -> None:
        super().__init__(settings, settings.data, paths, leaving)
        self.recipes = load_recipes(settings.pipeline.recipes, settings.pipeline.recipe_set)
        self.stages.plan = lambda: plan(settings, self.recipes)

    def prepare(self) -> None:
        """Beside the rest, the tracked run above those of the trainings."""
        super().prepare()
        tracked = self.tracker.start_run(
            self.settings.pipeline.name,
            params=self.settings.model_dump(mode="json", exclude=OF_MACHINE),
            tags={RUN_TAG: self.paths.tracking_uid()},
        )
        self.tracked, self.parent = tracked, tracked.uid
        self.leaving.push(self._close)

    def _close(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.tracker.close(self.tracked, "FAILED" if error else "FINISHED")

    def run(self) -> PipelineResult:
        """Every stage in its order."""
        for name, recipe in self.recipes.items():
            if not self.stages.has(f"train-{name}"):
                check_weights(recipe, self.data, {})
        ingested = self.ingest(self.make(self.data.dataset))
        shards = Shards.open(ingested.folder)
        tuned, versions = self.trainings(shards)
        champion = self.stages.run("champion", Champion, partial(self.choose, tuned, versions))
        measured = {
            name: self.stages.run(
                f"evaluate-{name}", EvaluateResult, partial(self.evaluate, name, version, shards)
            )
            for name, version in versions.items()
        }
        annotated = self.stages.run(
            "annotate", AnnotateResult, partial(self.annotate, champion, shards)
        )
        served = self.stages.run("serve", Served, partial(self.serve, champion, annotated))
        table = results_table({name: result.metrics for name, result in measured.items()})
        lists = {
            stage: folder / QUARANTINE
            for stage, folder, count in (
                ("ingest", ingested.folder, ingested.quarantined),
                ("annotate", annotated.out, annotated.quarantined),
            )
            if count
        }
        outcome = Outcome(
            champion, annotated.images, annotated.listed, annotated.read, annotated.boxes, served,
            lists, dict(self.stages.seconds),
        )  # fmt: skip
        report = self.stages.run("report", Report, partial(self.report, outcome, table, shards))
        return PipelineResult(
            name=self.settings.pipeline.name,
            table=table,
            champion=champion,
            unmeasured=unmeasured(table),
            served=served.answer,
            annotations=str(annotated.out),
            report=str(report.path),
            quarantined=ingested.quarantined + annotated.quarantined,
            quarantine_lists=[str(path) for path in lists.values()],
            seconds=self.stages.seconds,
            remarks=ingested.remarks,
        )

    def trainings(self, shards: Shards) -> tuple[dict[str, Tuned], dict[str, ModelVersion]]:
        """Every recipe trained, tuned and registered."""
        epochs = self.settings.train.epochs
        starts = self.pretrain(
            (s for recipe in self.recipes.values() for s in pretraining(recipe).values()), epochs
        )
        tuned, versions = {}, {}
        for name, recipe in self.recipes.items():
            self.train(f"train-{name}", recipe, shards, starts, {}, epochs)
            tuned[name] = self.tune(
                f"tune-{name}", name, self.settings.tune, self.settings.evaluate
            )
            versions[name] = self.stages.run(
                f"register-{name}", ModelVersion, partial(self.register, name)
            )
        return tuned, versions

    def register(self, recipe: str) -> ModelVersion:
        """The tuned model as a version."""
        return register_run(self.settings, self.paths.run(recipe), self.settings.registry.model)

    def choose(self, tuned: dict[str, Tuned], versions: dict[str, ModelVersion]) -> Champion:
        """The version that is best on the validation split, under its alias from now on."""
        registry = self.settings.registry
        metric = registry.select_by
        if any(math.isnan(result.values[metric]) for result in tuned.values()):
            metric = SCORES_ALONE  # without boxes
        values = {name: result.values[metric] for name, result in tuned.items()}
        winner = max(values, key=lambda name: values[name])
        version = versions[winner]
        set_champion(self.settings, version.name, version.version, registry.alias)
        return Champion(
            version.name, version.version, version.digest, registry.alias, winner,
            metric, values,
        )  # fmt: skip

    def evaluate(self, recipe: str, version: ModelVersion, shards: Shards) -> EvaluateResult:
        """The registered version, not the checkpoint: what is reported is what is served."""
        run, split = self.paths.run(recipe), self.data.test_split
        return evaluate(
            self.settings,
            version.reference,
            shards,
            split,
            self.settings.evaluate,
            out=run.evaluation(split),
            predictions=run.predictions(split),
        )

    def annotate(self, champion: Champion, shards: Shards) -> AnnotateResult:
        """The user's images, or test images without their labels."""
        folder = self.settings.annotate.folder or self._unlabelled(shards)
        return annotate(
            self.settings, folder, champion.reference, self.paths.annotations,
            kept=self.settings.annotate.kept,
            max_quarantined=self.settings.annotate.max_quarantined,
        )  # fmt: skip

    def _unlabelled(self, shards: Shards) -> Path:
        """Test images as plain files, without anything that tells what is in them."""
        if not is_folder(self.paths.unlabelled):
            with atomic_folder(self.paths.unlabelled) as folder:
                records = shards.records(self.data.test_split)
                for record, _ in zip(records, range(ANNOTATED_IMAGES), strict=False):
                    _free_name(folder, record.image_id).write_bytes(record.image)
        return self.paths.unlabelled

    def serve(self, champion: Champion, annotated: AnnotateResult) -> Served:
        """Ask the endpoint about one annotated image; both must say the same."""
        coco = read_json(annotated.files["coco"])
        if not coco["images"]:
            raise WsolError(f"{annotated.images}: no readable image to ask the endpoint about")
        image = coco["images"][0]
        serving = self.settings.serve.model_copy(update={"port": _free_port()})
        with running(self.settings, champion.reference, serving) as url:
            file = annotated.images / image["file_name"]
            answer = _post(f"{url}/v1/detect", read_bytes(file))
        of_image = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        if _boxes_served(answer) != _boxes_annotated(of_image):
            raise WsolError(
                f"{image['file_name']}: the endpoint and annotate disagree on its boxes; "
                "this is a fault of the project, please report it"
            )
        write_json(self.paths.served, {"image": image["file_name"], "answer": answer})
        return Served(image["file_name"], answer)

    def report(self, outcome: Outcome, table: list[dict[str, Any]], shards: Shards) -> Report:
        """The page, and the table in the tracker."""
        write_report(self.settings, self.paths, outcome, table, shards)
        for row in table:
            values = {f"{row['name']}.{k}": v for k, v in row.items() if isinstance(v, float)}
            self.tracker.log_metrics(self.tracked, values)
        self.tracker.log_artifact(self.tracked, self.paths.report)
        return Report(self.paths.report)


def _deciding(settings: Settings) -> dict[str, Any]:
    """The settings that decide the results: not where, how fast or how they are served."""
    values = settings.model_dump(mode="json", exclude=OF_MACHINE)
    changes = values["pipeline"].pop("recipe_set")
    # Of an own recipe its content decides, wherever its file is; a name stands for itself.
    values["pipeline"]["recipes"] = [
        load_recipe(recipe, changes).model_dump(mode="json")
        if changes or is_file(recipe)
        else recipe
        for recipe in settings.pipeline.recipes
    ]
    return {
        **values,
        "resources": {"train": {"workers": training_workers(settings)}},
    }


def _free_name(folder: Path, image_id: str) -> Path:
    """A file that is not there yet: of folders of classes each may have a 1.jpg."""
    whole = image_id.strip("/").replace("/", "_")
    names = chain((Path(image_id).name, whole), (f"{whole}-{n}" for n in count(2)))
    return next(p for p in (folder / f"{name}.jpg" for name in names) if not p.exists())


def _boxes_served(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted((d["label"] + 1, d["score"], *d["box"]) for d in answer["detections"])


def _boxes_annotated(annotations: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    boxes = [(a["category_id"], a["score"], a["bbox"]) for a in annotations]
    return sorted((label, score, x, y, x + w, y + h) for label, score, (x, y, w, h) in boxes)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _post(url: str, image: bytes) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own endpoint on loopback
        url, data=image, headers={"Content-Type": "application/octet-stream"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer
