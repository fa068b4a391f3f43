"""One trial: a training, and what is found of it; and all that the trials of a sweep share."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from orchestrator.config.settings import Evaluate, Machine, Tune
from orchestrator.config.workspace import RunPaths, SweepPaths
from orchestrator.sweep.trials import Trial, Trials
from orchestrator.tracking.events import learning_curves
from orchestrator.tracking.untracked import Untracked
from orchestrator.train.spec import TrainSpec
from orchestrator.train.train import train
from orchestrator.tune.tune import tune_run
from workloads.errors import WsolError, one_line
from workloads.options import Options
from workloads.recipes.space import with_values
from workloads.search.judgement import judged
from workloads.search.sweep_options import SweepMetric, SweepOptions

BOX_ACCURACY = "max_box_acc_v2"


class TrialJob(Options):
    """All that the trials of a sweep have in common; it travels to wherever one is run.

    Attributes:
        machine: on which a trial trains: its own process, without Ray.
    """

    machine: Machine

    @abstractmethod
    def epochs(self, values: Mapping[str, Any]) -> int:
        """Epochs of a trial's training."""

    @abstractmethod
    def run(self, run: RunPaths, trial: Trial) -> dict[str, Any]:
        """Train from the last checkpoint on; what the record of a finished trial says.

        Raises:
            WsolError: the trial failed.
        """


class SweepJob(TrialJob):
    """Trials that are points of a space, each judged at its own best cut-offs.

    Attributes:
        spec: the training, of which a trial changes the recipe.
    """

    spec: TrainSpec
    search: Tune
    measure: Evaluate
    metric: SweepMetric
    at_least: dict[str, float] = Field(default={})

    def epochs(self, values: Mapping[str, Any]) -> int:
        """One number for all: no search sets it."""
        return self.spec.recipe.train.epochs

    def run(self, run: RunPaths, trial: Trial) -> dict[str, Any]:
        """Train, and search the cut-offs on the validation split."""
        recipe = with_values(self.spec.recipe, trial.values)
        spec = self.spec.model_copy(update={"recipe": recipe})
        deaf = Untracked()
        train(self.machine, spec, run, resume=True, tracker=deaf)
        found = tune_run(self.machine, run, self.search, self.measure, deaf)
        measured = {**found.measured, BOX_ACCURACY: float(found.curve[BOX_ACCURACY])}
        measured = {name: value for name, value in measured.items() if not math.isnan(value)}
        return {
            "value": judged(measured, self.metric, self.at_least),
            "measured": measured,
            "cutoffs": {
                name: getattr(found, name) for name in ("cutoff", "alpha", "score_threshold")
            },
        }


class TrialsSpec(Options):
    """Trials that somebody asked for, and how they are run.

    Attributes:
        options: how many there are, and when to stop.
        searches: whether trials are tried for the best of them.
    """

    searches: ClassVar[bool] = True

    job: TrialJob
    options: SweepOptions

    @property
    @abstractmethod
    def metric(self) -> str:
        """The metric that a trial's value is of."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Parameters that a tracker is told."""

    @abstractmethod
    def summary(self, trials: Mapping[int, Trial]) -> dict[str, float]:
        """Metrics of the whole that a tracker is told in the end."""


def resources_of(job: TrialJob) -> dict[str, float]:
    """CPUs and GPUs of a trial, as Tune calls them; no GPU where none is needed."""
    resources = job.machine.resources
    gpus = max(resources.train.gpus_per_worker, resources.evaluate.gpus_per_actor)
    needs = {"cpu": resources.train.cpus_per_worker, "gpu": gpus}
    return {kind: each for kind, each in needs.items() if each > 0}


def run_trial(job: TrialJob, paths: SweepPaths, number: int) -> Trial:
    """Train from the last checkpoint on, search the cut-offs, and keep the record.

    A training that fails is a record with its error; whatever is no error of ours is raised.
    """
    trials, started = Trials(paths), time.monotonic()
    begun = trials.read_one(number)
    if begun.ended:
        return begun
    try:
        run = paths.trial(number)
        changes = {"state": "finished", **job.run(run, begun)}
        changes["epochs"] = len(learning_curves(run.events))
    except WsolError as error:
        changes = {"state": "failed", "error": one_line(str(error))}
    seconds = begun.seconds + time.monotonic() - started
    ended = begun.model_copy(update={**changes, "seconds": round(seconds, 1)})
    trials.write(ended)
    return ended
