"""`wsol run`: the main job, from raw images to annotated images and a served answer."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.annotate import annotate
from orchestrator.config.names import check_names
from orchestrator.config.settings import Settings
from orchestrator.config.workspace import JobPaths, Workspace
from orchestrator.data.make import make
from orchestrator.engine.cluster import connect
from orchestrator.evaluate import evaluate
from orchestrator.pages.job.page import write_report
from orchestrator.pipeline.stages import Stages
from orchestrator.pipeline.steps import check_weights, ingested, pretrained, trained
from orchestrator.pipeline.table import results_table
from orchestrator.register import register_run
from orchestrator.serve.serve import running
from orchestrator.tracking.mlflow_store import RUN_TAG
from orchestrator.tracking.registry import set_champion
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.initial import pretraining
from orchestrator.tune.tune import tune_run
from workloads.artifacts import atomic_folder, read_json, write_json
from workloads.errors import Conflict, WsolError
from workloads.recipes.load import load_recipe
from workloads.shards.read import read_shards

ANNOTATED_IMAGES = 100


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a finished job leaves.

    Attributes:
        table: one row per method and one for the centre baseline; values in [0, 1] or None.
        champion: the registered version that won on validation.
        served: the endpoint's answer for one image.
        report: path of the self-contained HTML report.
        quarantined: inputs left out by ingestion and annotation, with where they are listed.
        seconds: time of each stage, of the run in which it was made.
    """

    name: str
    table: list[dict[str, Any]]
    champion: dict[str, Any]
    served: dict[str, Any]
    annotations: str
    report: str
    quarantined: int
    quarantine_lists: list[str]
    seconds: dict[str, float]


def run(settings: Settings, *, fresh: bool = False) -> JobResult:
    """Run the job of the settings, or continue it; finished stages are not repeated.

    Raises:
        Conflict: the name belongs to a job with other settings.
    """
    check_names(settings)  # a wrong name is said before any work
    paths = Workspace(settings.workspace).job(settings.job.name)
    _claim(settings, paths, fresh)
    with ExitStack() as leaving:
        return _Job(settings, paths, leaving).run()


class _Job:
    """One stage per method; each stage takes what it needs from the outputs before it."""

    def __init__(self, settings: Settings, paths: JobPaths, leaving: ExitStack) -> None:
        self.settings = settings
        self.job = settings.job
        self.paths = paths
        self.leaving = leaving
        self.stages = Stages(paths, self.prepare)

    def prepare(self) -> None:
        """Start Ray and the tracker for the whole job; a finished job needs neither."""
        self.leaving.enter_context(connect(self.settings))
        self.tracker = Tracker(self.settings)
        self.parent = self.tracker.start_run(
            self.job.name,
            params=self.job.model_dump(mode="json"),
            tags={RUN_TAG: self.paths.tracking_uid()},
        )
        self.leaving.push(self._close)

    def _close(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.tracker.close(self.parent, "FAILED" if error else "FINISHED")

    def run(self) -> JobResult:
        for recipe in self.job.recipes:
            if not self.paths.stage(f"train-{recipe}").exists():
                check_weights(load_recipe(recipe), self.job.data.dataset, {})
        root = self.stages.run("data", self.make_data)["root"]
        ingested = self.stages.run("ingest", partial(self.ingest, Path(root)))
        shards = Path(ingested["folder"])
        for start in sorted(
            {s for r in self.job.recipes for s in pretraining(load_recipe(r)).values()}
        ):
            self.stages.run(f"pretrain-{start}", partial(self.pretrain, start))
        for recipe in self.job.recipes:
            self.stages.run(f"train-{recipe}", partial(self.train, recipe, shards))
            self.stages.run(f"tune-{recipe}", partial(self.tune, recipe))
            self.stages.run(f"register-{recipe}", partial(self.register, recipe))
        champion = self.stages.run("champion", self.choose_champion)
        for recipe in self.job.recipes:
            self.stages.run(f"evaluate-{recipe}", partial(self.evaluate, recipe, shards))
        annotated = self.stages.run("annotate", partial(self.annotate, champion, shards))
        served = self.stages.run("serve", partial(self.serve, champion))
        report = self.stages.run("report", partial(self.report, shards))
        lists = [o for o in (ingested, annotated) if o["quarantined"]]
        return JobResult(
            name=self.job.name,
            table=self.table(),
            champion=champion,
            served=served["answer"],
            annotations=annotated["folder"],
            report=report["path"],
            quarantined=sum(o["quarantined"] for o in lists),
            quarantine_lists=[str(Path(o["folder"]) / "quarantine.jsonl") for o in lists],
            seconds=self.stages.seconds,
        )

    def make_data(self) -> dict[str, Any]:
        data = self.job.data
        if data.root is not None:
            return {"root": str(data.root.expanduser().resolve())}
        return {"root": str(make(self.settings, data.dataset).root)}

    def ingest(self, root: Path) -> dict[str, Any]:
        return ingested(self.settings, self.job.data.dataset, root)

    def pretrain(self, recipe: str) -> dict[str, Any]:
        """What other recipes start from."""
        return pretrained(
            self.settings,
            recipe,
            self.paths.run(recipe),
            self.tracker,
            self.job.epochs,
            self.parent.uid,
        )

    def train(self, recipe: str, shards: Path) -> dict[str, Any]:
        chosen = load_recipe(recipe)
        initial = {
            part: str(self.stages.outputs[f"pretrain-{start}"]["model"])
            for part, start in pretraining(chosen).items()
        }
        return trained(
            self.settings,
            chosen,
            shards,
            self.paths.run(recipe),
            self.tracker,
            initial,
            self.job.epochs,
            self.parent.uid,
        )

    def tune(self, recipe: str) -> dict[str, Any]:
        return tune_run(self.settings, self.paths.run(recipe), self.tracker).best()

    def register(self, recipe: str) -> dict[str, Any]:
        version = register_run(self.settings, self.paths.run(recipe), alias=None)
        return {"name": version.name, "version": version.version, "digest": version.digest}

    def choose_champion(self) -> dict[str, Any]:
        metric = self.job.registry.select_by
        values = {r: self.stages.outputs[f"tune-{r}"]["values"][metric] for r in self.job.recipes}
        winner = max(self.job.recipes, key=lambda recipe: values[recipe])
        version = self.stages.outputs[f"register-{winner}"]
        alias = self.job.registry.alias
        set_champion(self.settings, version["name"], version["version"], alias)
        return {**version, "alias": alias, "recipe": winner, "metric": metric, "values": values}

    def evaluate(self, recipe: str, shards: Path) -> dict[str, Any]:
        """The registered version, not the checkpoint: what is reported is what is served."""
        version = self.stages.outputs[f"register-{recipe}"]
        paths, split = self.paths.run(recipe), self.job.data.test_split
        reference = f"{version['name']}/{version['version']}"
        evaluate(
            self.settings,
            reference,
            shards,
            split,
            out=paths.evaluation(split),
            predictions=paths.predictions(split),
        )
        return {"metrics": str(paths.metrics(split))}

    def annotate(self, champion: dict[str, Any], shards: Path) -> dict[str, Any]:
        folder = self.job.annotate or self._unlabelled(shards)
        result = annotate(self.settings, folder, reference_of(champion), self.paths.annotations)
        return {
            "folder": str(result.out),
            "images": str(folder),
            "listed": result.listed,
            "read": result.read,
            "quarantined": result.quarantined,
            "boxes": result.boxes,
        }

    def _unlabelled(self, shards: Path) -> Path:
        """Test images as plain files, without anything that tells what is in them."""
        if not self.paths.unlabelled.exists():
            with atomic_folder(self.paths.unlabelled) as folder:
                records = read_shards(shards, self.job.data.test_split)
                for record, _ in zip(records, range(ANNOTATED_IMAGES), strict=False):
                    (folder / f"{Path(record.image_id).name}.jpg").write_bytes(record.image)
        return self.paths.unlabelled

    def serve(self, champion: dict[str, Any]) -> dict[str, Any]:
        """Ask the endpoint about one annotated image; both must say the same."""
        folder = Path(self.stages.outputs["annotate"]["images"])
        coco = read_json(self.paths.annotations / "annotations.coco.json")
        if not coco["images"]:
            raise WsolError(f"{folder}: no readable image to ask the endpoint about")
        image = coco["images"][0]
        serving = self.settings.serving.model_copy(update={"port": _free_port()})
        settings = self.settings.model_copy(update={"serving": serving})
        with running(settings, reference_of(champion)) as url:
            answer = _post(f"{url}/v1/detect", (folder / image["file_name"]).read_bytes())
        annotated = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        if _boxes_served(answer) != _boxes_annotated(annotated):
            raise WsolError(
                f"{image['file_name']}: the endpoint and annotate disagree on its boxes; "
                "this is a fault of the project, please report it"
            )
        value = {"image": image["file_name"], "answer": answer}
        write_json(self.paths.served, value)
        return value

    def report(self, shards: Path) -> dict[str, Any]:
        write_report(self.settings, self.paths, self.stages.outputs, self.table(), shards)
        for row in self.table():
            values = {f"{row['name']}.{k}": v for k, v in row.items() if isinstance(v, float)}
            self.tracker.log_metrics(self.parent, values)
        self.tracker.log_artifact(self.parent, self.paths.report)
        return {"path": str(self.paths.report)}

    def table(self) -> list[dict[str, Any]]:
        results = {
            recipe: read_json(Path(self.stages.outputs[f"evaluate-{recipe}"]["metrics"]))
            for recipe in self.job.recipes
        }
        return results_table(results)


def reference_of(champion: dict[str, Any]) -> str:
    """The registered version itself: an alias may move while the job runs."""
    return f"{champion['name']}/{champion['version']}"


def _claim(settings: Settings, paths: JobPaths, fresh: bool) -> None:
    if fresh and paths.folder.exists():
        shutil.rmtree(paths.folder)
    wanted = _deciding(settings)
    if not paths.settings.exists():
        write_json(paths.settings, wanted)
        return
    changed = _differences(read_json(paths.settings), wanted)
    if changed:
        raise Conflict(
            f"job '{settings.job.name}' was started with other settings ({'; '.join(changed)}); "
            "choose another name with --name, restore them, or start over with --fresh"
        )


def _deciding(settings: Settings) -> dict[str, Any]:
    """The settings that decide a job's results."""
    return {
        "job": settings.job.model_dump(mode="json"),
        "images": settings.images.model_dump(mode="json"),
        "train.workers": settings.resources.train.workers,
    }


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [
            d
            for k in keys
            for d in _differences(old.get(k), new.get(k), f"{where}.{k}".lstrip("."))
        ]
    return [] if old == new else [f"{where}: {json.dumps(old)} -> {json.dumps(new)}"]


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
