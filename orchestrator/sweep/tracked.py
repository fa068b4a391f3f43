"""A sweep in MLflow: a run with a child for every trial."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.config.workspace import SweepPaths
from orchestrator.provenance import stable_provenance
from orchestrator.sweep.trial import TrialsSpec
from orchestrator.sweep.trials import Trial, Trials
from orchestrator.tracking.mlflow_store import RUN_TAG
from orchestrator.tracking.tracker import Tracker

_LOOK_S = 2.0  # between two looks for trials that began or ended


@contextmanager
def tracked(tracker: Tracker, spec: TrialsSpec, paths: SweepPaths) -> Iterator[None]:
    """For the time of the block, carry the sweep and its trials to MLflow as they come."""
    uid = paths.tracking_uid()
    params = {
        **spec.parameters(),
        **{f"code.{key}": value for key, value in stable_provenance().items()},
    }
    run = tracker.start_run(f"sweep-{paths.name}", params, {RUN_TAG: uid}, wait=False)
    children = _Children(tracker, paths, uid)
    try:
        with children:
            yield
    except BaseException:
        tracker.close(run, "FAILED")
        raise
    tracker.log_metrics(run, spec.summary(Trials(paths).read()))
    tracker.log_artifact(run, paths.report)
    tracker.close(run, "FINISHED")


def trial_uid(paths: SweepPaths, number: int) -> str:
    """Names a trial in the tracker."""
    return f"{paths.tracking_uid()}/{paths.record(number).stem}"


class _Children:
    """Starts a child run for each trial that began, and closes it when it ended."""

    def __init__(self, tracker: Tracker, paths: SweepPaths, uid: str) -> None:
        self._tracker, self._paths, self._uid = tracker, paths, uid
        self._trials = Trials(paths)
        self._closed: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="trials", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _follow(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        for number, trial in self._trials.read().items():
            if trial.ended and number not in self._closed:
                self._closed.add(number)
                self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        tags = {RUN_TAG: trial_uid(self._paths, trial.number), "wsol.state": trial.state}
        if trial.error:
            tags["wsol.error"] = trial.error
        name = f"trial-{self._paths.name}-{self._paths.record(trial.number).stem}"
        child = self._tracker.start_run(name, trial.values, tags, self._uid, wait=False)
        with self._tracker.follow(child, self._paths.trial(trial.number).events):
            pass  # all of its curves are there
        self._tracker.log_metrics(child, trial.measured, step=trial.epochs)
        self._tracker.close(child, "FAILED" if trial.state == "failed" else "FINISHED")
