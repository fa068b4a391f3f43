"""One training, tracked, from its spec to a sealed model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import RunPaths
from orchestrator.engine.claims import Verb, claim
from orchestrator.engine.connect import connect, is_inline
from orchestrator.engine.progress import Progress, say
from orchestrator.provenance import stable_provenance
from orchestrator.tracking.events import learning_curves
from orchestrator.tracking.mlflow_store import RUN_TAG
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.fit import fit_inline, fit_on_ray
from orchestrator.train.spec import (
    TrainSpec,
    build,
    check_enough_images,
    parameters,
    save_spec,
    unseen_classes,
)
from orchestrator.train.stall import stalled
from workloads.artifacts import exists, is_sealed, read_json
from workloads.errors import Conflict, IntegrityError, NotFound, first_of
from workloads.models.model import Model
from workloads.shards.shards import Shards

_STALL_LOOK_S = 15.0  # between two looks for workers that stand still; each lists a folder

VERB = Verb("train", "a run", "choose another --name or restore the settings")


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
    machine: Machine,
    spec: TrainSpec,
    paths: RunPaths,
    *,
    resume: bool = False,
    parent: str | None = None,
    tracker: Tracker | None = None,
) -> TrainResult:
    """Train what a spec says, or continue its run; continuing a finished one is a no-op.

    Args:
        parent: the tracked run that this one belongs to.
        tracker: the caller's, so that a server that is down is said once.

    Raises:
        Conflict: the run was started with other settings, or before and `resume` is false; or
            another process trains it.
        ConfigError: too few images for one batch.
        ResourceError: the workers do not fit on the cluster.
        WsolError: training failed; the message is the worker's.
    """
    machine.check_tracking()
    if not resume:
        _refuse_started(paths)
    with claim(paths.folder, spec.deciding(), VERB):
        if is_sealed(paths.model):
            return _result(paths, spec, tracking_run=None)
        check_enough_images(spec)
        _say_unseen(spec)
        save_spec(paths, spec)
        resources = machine.resources.train
        with ThreadPoolExecutor(1) as beside:
            known = beside.submit(lambda: tracker or Tracker(machine))  # imports MLflow meanwhile
            with connect(machine) as engine:
                gpus = resources.least_workers * resources.gpus_per_worker
                engine.require(1, resources.least_cpus, gpus, "train")
                run_id = _tracked(machine, spec, paths, parent, known.result())
    return _result(paths, spec, run_id)


def _tracked(
    machine: Machine, spec: TrainSpec, paths: RunPaths, parent: str | None, tracker: Tracker
) -> str | None:
    """Train and export as one tracked run; its MLflow id."""
    run = tracker.start_run(
        paths.name,
        params=parameters(spec),
        tags={RUN_TAG: paths.tracking_uid(), "wsol.recipe": spec.recipe.name},
        parent=parent,
        wait=False,
    )
    fit = fit_inline if is_inline(machine) else fit_on_ray
    say(f"train {spec.recipe.name}: maps and boxes after each epoch in {paths.preview}")
    try:
        with (
            tracker.follow(run, paths.events),
            _shown_progress(paths, spec),
        ):
            _export(fit(machine.resources.train, spec, paths), spec, paths)
    except BaseException:
        tracker.close(run, "FAILED")
        raise
    tracker.close(run, "FINISHED")
    return run.run_id


def _say_unseen(spec: TrainSpec) -> None:
    """Warn of classes that cannot be learned; the others can."""
    if unseen := unseen_classes(spec):
        say(
            f"train {spec.recipe.name}: no image of split '{spec.train_split}' has class "
            f"{first_of(unseen)}; it is learned as absent from every image"
        )


def _result(paths: RunPaths, spec: TrainSpec, tracking_run: str | None) -> TrainResult:
    return TrainResult(
        run=paths.name,
        recipe=spec.recipe.name,
        model=paths.model,
        digest=Model.open(paths.model).digest,
        metrics=learning_curves(paths.events)[-1],
        tracking_run=tracking_run,
    )


def _refuse_started(paths: RunPaths) -> None:
    """A name is never used again by accident."""
    if is_sealed(paths.model):
        raise Conflict(f"run '{paths.name}' is finished ({paths.folder}); choose another --name")
    if exists(paths.spec):
        raise Conflict(
            f"run '{paths.name}' is unfinished ({paths.folder}); continue it with --resume "
            "or choose another --name"
        )


def _export(checkpoint: Path, spec: TrainSpec, paths: RunPaths) -> None:
    """The trained model with untuned thresholds as a sealed folder."""
    from workloads.models.version import save_model
    from workloads.recipes.describe import describe
    from workloads.training.checkpoints import load_checkpoint

    method = build(spec)
    method.load_state_dict(load_checkpoint(checkpoint).result())
    together = Shards.open(spec.shards).cooccurrence(spec.train_split)
    provenance: dict[str, JsonValue] = {
        **stable_provenance(),
        "training": spec.identity(),
        "shards": spec.shards_digest,
    }
    card = describe(method, spec.recipe, spec.classes, together, provenance)
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
    said, looked_at = "", time.monotonic()
    with Progress(state["total"], "images", f"train {title}", done=state["done"]) as progress:
        while not stop.wait(0.5):
            progress.advance_to(_position(paths).get("done", progress.done))
            if time.monotonic() - looked_at < _STALL_LOOK_S:
                continue
            looked_at = time.monotonic()
            if (news := stalled(paths)) and not said:
                say(f"train {title}: {news}")
            said = news
        progress.advance_to(_position(paths).get("done", progress.done))


def _position(paths: RunPaths) -> dict[str, int]:
    try:
        position: dict[str, int] = dict(read_json(paths.progress))
    except (OSError, NotFound, IntegrityError):  # not written yet
        return {}
    return position
