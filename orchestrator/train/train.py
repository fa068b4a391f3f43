"""Train one recipe on shards with Ray Train: the same path drives CPUs and GPUs."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import RunPaths
from orchestrator.engine.cluster import connect, require
from orchestrator.engine.progress import Progress
from orchestrator.provenance import stable_provenance
from orchestrator.tracking.events import EventLog, learning_curves
from orchestrator.tracking.mlflow_store import RUN_TAG
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.spec import TrainSpec, build, image_size, make_spec, parameters
from orchestrator.train.worker import train_worker
from workloads.artifacts import is_sealed, read_json, read_manifest, write_json
from workloads.errors import Conflict, WsolError
from workloads.recipes.schema import Recipe


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished training.

    Attributes:
        run: name of the run.
        model: folder of the model, sealed.
        digest: the model's content digest.
        metrics: those of the last epoch.
        tracking_run: MLflow run id, None if the tracker was not reached.
    """

    run: str
    recipe: str
    model: Path
    digest: str
    metrics: dict[str, float]
    tracking_run: str | None


def train(
    settings: Settings,
    recipe: Recipe | str,
    shards: Path,
    paths: RunPaths,
    *,
    resume: bool = False,
    epochs: int | None = None,
    initial: Mapping[str, str] | None = None,
    proposals: Path | None = None,
    parent: str | None = None,
    tracker: Tracker | None = None,
) -> TrainResult:
    """Train a recipe, or continue its run; continuing a finished one is a no-op.

    Args:
        epochs, initial, proposals: as in `make_spec`.
        parent: the tracked run that this one belongs to.
        tracker: the job's, so that a server that is down is said once.

    Raises:
        Conflict: the run was started with other settings, or before and `resume` is false.
        ResourceError: the workers do not fit on the cluster.
        WsolError: training failed; the message is the worker's.
    """
    spec = make_spec(settings, recipe, shards, epochs, initial, proposals)
    if _claim(paths, spec, resume):
        return _result(paths, spec, tracking_run=None)
    with connect(settings):
        resources = settings.resources.train
        require(resources.workers, resources.cpus_per_worker, resources.gpus_per_worker, "train")
        tracker = tracker or Tracker(settings)
        run = tracker.start_run(
            paths.name,
            params=parameters(spec),
            tags={RUN_TAG: paths.tracking_uid(), "wsol.recipe": spec.recipe.name},
            parent=parent,
        )
        try:
            with tracker.follow(run, paths.events), _shown_progress(paths, spec):
                _export(_fit(settings, spec, paths), spec, paths)
        except BaseException:
            tracker.close(run, "FAILED")
            raise
        tracker.close(run, "FINISHED")
    return _result(paths, spec, run.run_id)


def _result(paths: RunPaths, spec: TrainSpec, tracking_run: str | None) -> TrainResult:
    return TrainResult(
        run=paths.name,
        recipe=spec.recipe.name,
        model=paths.model,
        digest=read_manifest(paths.model, "model")["digest"],
        metrics=learning_curves(paths.events)[-1],
        tracking_run=tracking_run,
    )


def _claim(paths: RunPaths, spec: TrainSpec, resume: bool) -> bool:
    """Own the run's folder: a name is never used again by accident. True if it is finished."""
    if paths.spec.exists() and read_json(paths.spec)["identity"] != spec.identity():
        raise Conflict(
            f"run '{paths.name}' was started with other settings (see {paths.spec}); "
            "choose another --name or restore the settings"
        )
    if is_sealed(paths.model) and not resume:
        raise Conflict(f"run '{paths.name}' is finished ({paths.folder}); choose another --name")
    if paths.spec.exists() and not resume:
        raise Conflict(
            f"run '{paths.name}' is unfinished ({paths.folder}); continue it with --resume "
            "or choose another --name"
        )
    write_json(paths.spec, {"identity": spec.identity(), **spec.model_dump(mode="json")})
    return is_sealed(paths.model)


def _fit(settings: Settings, spec: TrainSpec, paths: RunPaths) -> Any:
    """The last checkpoint of the finished training, as Ray Train gives it."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    resources = settings.resources.train
    use_gpu = resources.gpus_per_worker > 0
    per_worker = {"CPU": resources.cpus_per_worker}
    if use_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "spec": spec.model_dump(mode="json"),
            "progress": str(paths.progress),
            "threads": max(1, int(resources.cpus_per_worker)),
        },
        scaling_config=ScalingConfig(
            num_workers=resources.workers, use_gpu=use_gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name=paths.name,
            storage_path=str(paths.ray_storage),
            callbacks=[_event_callback(paths.events)],
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            failure_config=FailureConfig(
                max_failures=resources.max_failures, controller_failure_limit=2
            ),
        ),
    )
    result = trainer.fit()
    if result.checkpoint is None:
        raise WsolError(f"run '{paths.name}': training ended without a checkpoint")
    return result.checkpoint


def _event_callback(events: Path) -> Any:
    """Writes every report to the run's event log, on Ray Train's controller."""
    from ray.train import UserCallback

    class EventCallback(UserCallback):
        def after_report(self, run_context: Any, metrics: list[Any], checkpoint: Any) -> None:
            values = dict(metrics[0])
            EventLog(events).append({"epoch": int(values.pop("epoch")), "metrics": values})

    return EventCallback()


def _export(checkpoint: Any, spec: TrainSpec, paths: RunPaths) -> None:
    """The trained model with untuned thresholds as a sealed folder."""
    from workloads.localization.cutoffs import Cutoffs
    from workloads.models.card import ModelCard, Preprocessing
    from workloads.models.version import save_model
    from workloads.shards.cooccurrence import cooccurrence
    from workloads.training.checkpoints import load_checkpoint

    method = build(spec)
    with checkpoint.as_directory() as folder:
        method.load_state_dict(load_checkpoint(Path(folder)).model)
    together = cooccurrence(spec.shards, spec.train_split, len(spec.classes))
    provenance: dict[str, JsonValue] = {
        **stable_provenance(),
        "recipe": spec.recipe.name,
        "training": spec.identity(),
        "shards": spec.shards_digest,
    }
    card = ModelCard(
        method=spec.recipe.method,
        method_options=method.options.model_dump(mode="json"),
        backbone=spec.recipe.backbone,
        task=method.task,
        classes=spec.classes,
        preprocessing=Preprocessing(
            size=image_size(spec.recipe),
            fit=spec.recipe.train.fit,
            ten_crop_margin=spec.recipe.evaluation.ten_crop_margin,
            mean=method.backbone.mean,
            std=method.backbone.std,
        ),
        cutoffs=Cutoffs.parse(spec.recipe.evaluation.cutoffs, "recipe's cut-offs"),
        cooccurrence=tuple(tuple(row) for row in together.tolist()),
        provenance=provenance,
    )
    save_model(paths.model, method, card)


@contextmanager
def _shown_progress(paths: RunPaths, spec: TrainSpec) -> Iterator[None]:
    """Images done, images/s and ETA on stderr while workers train."""
    stop = threading.Event()
    viewer = threading.Thread(target=_view, args=(paths, spec.recipe.name, stop), daemon=True)
    viewer.start()
    try:
        yield
    finally:
        stop.set()
        viewer.join()


def _view(paths: RunPaths, title: str, stop: threading.Event) -> None:
    """Follow the position that the first worker writes; nothing is shown before there is one."""
    while not (state := _position(paths)):
        if stop.wait(0.5):
            return
    with Progress(state["total"], "images", f"train {title}", done=state["done"]) as progress:
        while not stop.wait(0.5):
            progress.advance_to(_position(paths).get("done", progress.done))
        progress.advance_to(_position(paths).get("done", progress.done))


def _position(paths: RunPaths) -> dict[str, int]:
    try:
        position: dict[str, int] = json.loads(paths.progress.read_text())
    except (OSError, ValueError):  # not written yet
        return {}
    return position
