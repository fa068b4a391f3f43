"""Train one recipe on shards with Ray Train: the same path drives CPUs and GPUs."""

from __future__ import annotations

import json
import logging
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from orchestrator.cluster import connect, require
from orchestrator.mlflow_store import RUN_TAG
from orchestrator.progress import Progress
from orchestrator.provenance import stable_provenance
from orchestrator.settings import Settings
from orchestrator.tracking import EventLog, Tracker, read_events
from orchestrator.workspace import RunPaths
from workloads.artifacts import digest, is_sealed, read_json, read_manifest, sha256, write_json
from workloads.errors import ConfigError, Conflict, NotFound, WsolError, unknown_name
from workloads.images import ImageLimits
from workloads.options import Options
from workloads.recipes import Recipe, load_recipe
from workloads.shards import read_shard_manifest


class TrainSpec(Options):
    """Everything that decides the result of one training; its digest names it."""

    recipe: Recipe
    shards: Path
    shards_digest: str
    train_split: str
    val_split: str
    classes: tuple[str, ...]
    task: str
    workers: int
    limits: ImageLimits
    initial: Path | None
    initial_digest: str | None

    def identity(self) -> str:
        """Digest of what decides the result; where shards and weights lie does not."""
        return digest(self.model_dump(mode="json", exclude={"shards", "initial"}))


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
    recipe: str,
    shards: Path,
    paths: RunPaths,
    *,
    resume: bool = False,
    epochs: int | None = None,
    initial: Path | None = None,
    parent: str | None = None,
    tracker: Tracker | None = None,
) -> TrainResult:
    """Train a recipe, or continue its run; continuing a finished one is a no-op.

    Args:
        epochs: instead of the recipe's.
        initial: what the backbone starts from: a model folder, or a weights file.
        parent: the tracked run that this one belongs to.
        tracker: the job's, so that a server that is down is said once.

    Raises:
        Conflict: the run was started with other settings, or before and `resume` is false.
        ResourceError: the workers do not fit on the cluster.
        WsolError: training failed; the message is the worker's.
    """
    spec = make_spec(settings, recipe, shards, epochs, initial)
    if _claim(paths, spec, resume):
        return _result(paths, recipe, tracking_run=None)
    with connect(settings):
        resources = settings.resources.train
        require(resources.workers, resources.cpus_per_worker, resources.gpus_per_worker, "train")
        tracker = tracker or Tracker(settings)
        run = tracker.start_run(
            paths.name,
            params=_parameters(spec),
            tags={RUN_TAG: paths.tracking_uid(), "wsol.recipe": recipe},
            parent=parent,
        )
        try:
            with tracker.follow(run, paths.events), _shown_progress(paths, spec):
                _export(_fit(settings, spec, paths), spec, paths)
        except BaseException:
            tracker.close(run, "FAILED")
            raise
        tracker.close(run, "FINISHED")
    return _result(paths, recipe, run.run_id)


def _result(paths: RunPaths, recipe: str, tracking_run: str | None) -> TrainResult:
    return TrainResult(
        run=paths.name,
        recipe=recipe,
        model=paths.model,
        digest=read_manifest(paths.model, "model")["digest"],
        metrics=learning_curves(paths.events)[-1],
        tracking_run=tracking_run,
    )


def make_spec(
    settings: Settings, recipe: str, shards: Path, epochs: int | None, initial: Path | None
) -> TrainSpec:
    """What a training of `recipe` on `shards` would be.

    Raises:
        ConfigError: the recipe starts from another one's weights and none are given.
    """
    chosen = load_recipe(recipe)
    if chosen.initial and initial is None:
        raise ConfigError(
            f"recipe '{recipe}' starts from weights of '{chosen.initial}': train that first and "
            "give its model folder with --initial, or let 'wsol run' do both"
        )
    if epochs is not None:
        chosen = chosen.model_copy(
            update={"train": chosen.train.model_copy(update={"epochs": epochs})}
        )
    manifest = read_shard_manifest(shards)
    data = settings.job.data
    for key, split in (("train_split", data.train_split), ("val_split", data.val_split)):
        if split not in manifest.splits:
            raise NotFound(
                f"{shards}: {unknown_name('split', split, manifest.splits)}; "
                f"name one with --set job.data.{key}=NAME"
            )
    return TrainSpec(
        recipe=chosen,
        shards=shards.resolve(),
        shards_digest=read_manifest(shards, "shards")["digest"],
        train_split=settings.job.data.train_split,
        val_split=settings.job.data.val_split,
        classes=manifest.classes,
        task=manifest.task,
        workers=settings.resources.train.workers,
        limits=settings.images,
        initial=initial.resolve() if initial else None,
        initial_digest=_content_digest(initial) if initial else None,
    )


def _content_digest(initial: Path) -> str:
    """Names the content of a model folder or of a weights file."""
    if initial.is_dir():
        return str(read_manifest(initial, "model")["digest"])
    if not initial.is_file():
        raise NotFound(f"{initial}: no such weights file or model folder")
    return sha256(initial)


def learning_curves(events: Path) -> list[dict[str, float]]:
    """Metrics per epoch in order; of an epoch reported twice, the last report."""
    by_epoch = {int(event["epoch"]): event["metrics"] for event in read_events(events)}
    return [{"epoch": epoch, **by_epoch[epoch]} for epoch in sorted(by_epoch)]


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


def _parameters(spec: TrainSpec) -> dict[str, Any]:
    return {
        **spec.recipe.model_dump(mode="json", exclude={"summary"}),
        "shards_digest": spec.shards_digest,
        "workers": spec.workers,
    }


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
    from workloads.checkpoints import load_checkpoint
    from workloads.localizer import save_model
    from workloads.model_card import Cutoffs, ModelCard, Preprocessing
    from workloads.shards import cooccurrence

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
            size=image_size(spec), mean=method.backbone.mean, std=method.backbone.std
        ),
        cutoffs=Cutoffs(),
        cooccurrence=tuple(tuple(row) for row in together.tolist()),
        provenance=provenance,
    )
    save_model(paths.model, method, card)


def build(spec: TrainSpec) -> Any:
    """The network of a spec as its training starts."""
    import torch

    from workloads.backbones.weights import load_weights
    from workloads.checkpoints import load_initial
    from workloads.methods import build_method

    torch.manual_seed(spec.recipe.train.seed)
    method = build_method(
        spec.recipe.method,
        spec.recipe.backbone,
        len(spec.classes),
        spec.task,
        spec.recipe.preset,
        spec.recipe.method_options,
    )
    if spec.initial and spec.initial.is_dir():
        load_initial(method, spec.initial)
    elif spec.initial:
        load_weights(method.backbone, spec.initial)
    return method


def image_size(spec: TrainSpec) -> int:
    """Side of the network's input in pixels."""
    from workloads.backbones import BACKBONES

    return spec.recipe.train.image_size or BACKBONES[spec.recipe.backbone].input_size


def train_worker(config: dict[str, Any]) -> None:
    """What every Ray Train worker runs; the training itself knows nothing of Ray."""
    import ray.train
    import torch
    import torch.distributed
    from ray.train.torch import get_device, prepare_model

    from workloads.training_run import Share, TrainingRun

    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    spec = TrainSpec.model_validate(config["spec"])
    run = TrainingRun(
        method=build(spec),
        options=spec.recipe.train,
        shards=spec.shards,
        train_split=spec.train_split,
        val_split=spec.val_split,
        size=image_size(spec),
        share=share,
        limits=spec.limits,
        device=get_device(),
        wrap=prepare_model if share.world > 1 else None,
        gather=_gather,
    )
    saved = ray.train.get_checkpoint()
    if saved is not None:
        with saved.as_directory() as folder:
            run.restore(Path(folder))
    shown = Path(config["progress"]) if share.rank == 0 else None
    for metrics in run.epochs(shown):
        _report(run, metrics, share)


def _report(run: Any, metrics: dict[str, float], share: Any) -> None:
    import ray.train

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if share.rank == 0:
            run.save(Path(folder))
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(metrics, checkpoint=checkpoint)


def _gather(value: Any) -> list[Any]:
    """The value of every worker, in the order of ranks."""
    import torch.distributed as dist

    if not dist.is_initialized():
        return [value]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered


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
