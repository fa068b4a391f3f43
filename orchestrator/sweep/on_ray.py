"""Trials of a sweep side by side, by Ray Tune: as many at once as the cluster has room for.

A trial trains in its own process, so Tune knows all that it takes: CPUs, and the share of a GPU
that its training or its maps need, whichever is more. Ray lets the process see that GPU alone.
"""

from __future__ import annotations

import io
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

from orchestrator.config.workspace import RunPaths, SweepPaths
from orchestrator.engine.progress import say
from orchestrator.sweep.queue import TrialQueue
from orchestrator.sweep.trial import TrialJob, TrialsSpec, resources_of, run_trial
from orchestrator.sweep.trials import Trial, Trials
from orchestrator.tracking.events import learning_curves
from workloads.artifacts import exists

EPOCH, PROGRESS = "epoch", "val_classification_map"
_LOOK_S = 1.0  # between two looks for an epoch that ended
_RELEASE_S = 30.0  # for what trials that ended had reserved
_MAX_LOST = 2  # times that a trial is started again after its process was lost


def run_on_ray(spec: TrialsSpec, queue: TrialQueue, paths: SweepPaths) -> None:
    """Run the trials of a queue until it has no more; one fits on the cluster."""
    import ray

    needs, have = resources_of(spec.job), ray.cluster_resources()
    at_once = int(min(have.get(kind.upper(), 0) // each for kind, each in needs.items()))
    reserved = _reserved()
    with redirect_stdout(io.StringIO()):  # Tune prints a banner even where it shall be silent
        _tuner(spec, queue, paths, needs, at_once).fit()
    _release(reserved)


def _tuner(
    spec: TrialsSpec, queue: TrialQueue, paths: SweepPaths, needs: dict[str, float], at_once: int
) -> Any:
    # Tune's own files of results would be written for nobody.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    from ray import tune

    from workloads.storage.buckets import arrow_place

    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    place, filesystem = arrow_place(paths.ray_storage)
    values = {"job": spec.job, "paths": paths, "reports": spec.options.stop != "none"}
    trial = tune.with_parameters(_trial, **values)
    return tune.Tuner(
        tune.with_resources(trial, needs),
        tune_config=tune.TuneConfig(
            search_alg=_searcher(queue, paths),
            scheduler=_scheduler(spec),
            num_samples=max(1, queue.left),
            max_concurrent_trials=at_once,
        ),
        run_config=tune.RunConfig(
            name=f"{paths.name}-{time.time_ns()}",  # a sweep goes on from its own records
            storage_path=place,
            storage_filesystem=filesystem,
            failure_config=tune.FailureConfig(max_failures=_MAX_LOST),
            verbose=0,
        ),
    )


def _trial(config: dict[str, Any], job: TrialJob, paths: SweepPaths, *, reports: bool) -> None:
    """One trial; Tune runs it in a process of its own, again if that was lost."""
    from ray import tune

    number = int(config["number"])
    last = job.epochs(Trials(paths).read_one(number).values)
    with _epochs_reported(paths.trial(number), last) if reports else nullcontext():
        run_trial(job, paths, number)
    # Tune wants to hear of an end; one without a curve, which failed, is the worst.
    curve = learning_curves(paths.trial(number).events)
    tune.report({EPOCH: last, PROGRESS: curve[-1].get(PROGRESS, 0.0) if curve else 0.0})


@contextmanager
def _epochs_reported(run: RunPaths, last: int) -> Iterator[None]:
    """For the time of the block, tell Tune of epochs that ended; not of the last, which is late."""
    from ray import tune

    stop, told = threading.Event(), 0

    def look() -> None:
        nonlocal told
        curve = learning_curves(run.events) if exists(run.events) else []
        for epoch in curve[told : last - 1]:
            tune.report({EPOCH: int(epoch["epoch"]), PROGRESS: epoch[PROGRESS]})
        told = len(curve)

    def follow() -> None:
        while not stop.wait(_LOOK_S):
            look()

    watcher = threading.Thread(target=follow, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _scheduler(spec: TrialsSpec) -> Any:
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule

    judged = {"time_attr": EPOCH, "metric": PROGRESS, "mode": "max"}
    grace = spec.options.grace_epochs
    if spec.options.stop == "asha":
        # One more than there are: at its own limit it would end trials before their cut-offs.
        most = max(grace, spec.job.epochs({})) + 1
        return ASHAScheduler(**judged, grace_period=grace, max_t=most)
    if spec.options.stop == "median":
        return MedianStoppingRule(**judged, grace_period=grace, min_samples_required=3)
    return FIFOScheduler()


def _searcher(queue: TrialQueue, paths: SweepPaths) -> Any:
    """The queue as Tune asks for trials, and tells of their end."""
    from ray.tune.search import Searcher

    class Queued(Searcher):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(metric=PROGRESS, mode="max")
            self._begun: dict[str, tuple[int, float]] = {}

        def suggest(self, trial_id: str) -> dict[str, int] | str:
            trial = queue.next()
            if trial is None:
                return str(Searcher.FINISHED)
            self._begun[trial_id] = trial.number, time.monotonic()
            return {"number": trial.number}

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            if begun := self._begun.pop(trial_id, None):
                number, since = begun
                seconds = round(time.monotonic() - since, 1)
                queue.ended(_ended(paths, number, seconds, error=error))

        def save(self, checkpoint_path: str) -> None:
            """Nothing: the records of trials are all that there is to keep."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing, as well."""

    return Queued()


def _ended(paths: SweepPaths, number: int, seconds: float, *, error: bool) -> Trial:
    """The record of a trial that ended, whoever ended it."""
    trial, run = Trials(paths).read_one(number), paths.trial(number)
    if trial.ended:
        return trial
    epochs = len(learning_curves(run.events)) if exists(run.events) else 0
    changes: dict[str, Any] = {"state": "stopped", "epochs": epochs, "seconds": seconds}
    if error:
        lost = f"its process was lost {_MAX_LOST + 1} times"
        changes |= {"state": "failed", "error": lost}
    return trial.model_copy(update=changes)


def _reserved() -> set[str]:
    """Placement groups that hold resources."""
    from ray.util import placement_group_table

    table = placement_group_table()
    return {key for key, group in table.items() if group["state"] != "REMOVED"}


def _release(before: set[str]) -> None:
    """Wait until trials that were ended early have given back what they had reserved."""
    end = time.monotonic() + _RELEASE_S
    while left := _reserved() - before:
        if time.monotonic() > end:
            say(f"sweep: {len(left)} placement groups are still held; Ray frees them at its end")
            return
        time.sleep(0.5)
