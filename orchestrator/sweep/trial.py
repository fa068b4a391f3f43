"""One trial of a sweep: a training, and the search of its own best cut-offs."""

from __future__ import annotations

import math
import time
from typing import Any

from orchestrator.config.settings import Evaluate, Machine, Tune
from orchestrator.config.workspace import SweepPaths
from orchestrator.sweep.trials import Trial, Trials
from orchestrator.tracking.events import learning_curves
from orchestrator.tracking.untracked import Untracked
from orchestrator.train.spec import TrainSpec
from orchestrator.train.train import train
from orchestrator.tune.tune import tune_run
from workloads.errors import WsolError, one_line
from workloads.options import Options
from workloads.recipes.space import with_values
from workloads.search.sweep_options import SweepMetric

BOX_ACCURACY = "max_box_acc_v2"


class TrialJob(Options):
    """All that the trials of a sweep have in common; it travels to wherever one is run.

    Attributes:
        machine: on which a trial trains: this process alone, or Ray's workers.
        spec: the training, of which a trial changes the recipe.
    """

    machine: Machine
    spec: TrainSpec
    search: Tune
    measure: Evaluate
    metric: SweepMetric


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
        changes = _trained(job, paths, begun)
    except WsolError as error:
        changes = {"state": "failed", "error": one_line(str(error))}
    seconds = begun.seconds + time.monotonic() - started
    ended = begun.model_copy(update={**changes, "seconds": round(seconds, 1)})
    trials.write(ended)
    return ended


def _trained(job: TrialJob, paths: SweepPaths, trial: Trial) -> dict[str, Any]:
    run = paths.trial(trial.number)
    recipe = with_values(job.spec.recipe, trial.values)
    spec = job.spec.model_copy(update={"recipe": recipe})
    deaf = Untracked()
    train(job.machine, spec, run, resume=True, tracker=deaf)
    found = tune_run(job.machine, run, job.search, job.measure, deaf)
    measured = {**found.measured, BOX_ACCURACY: float(found.curve[BOX_ACCURACY])}
    measured = {name: value for name, value in measured.items() if not math.isnan(value)}
    if job.metric not in measured:
        raise WsolError(
            f"metric {job.metric} has no case on the validation split; choose another sweep.metric"
        )
    return {
        "state": "finished",
        "value": measured[job.metric],
        "measured": measured,
        "cutoffs": {name: getattr(found, name) for name in ("cutoff", "alpha", "score_threshold")},
        "epochs": len(learning_curves(run.events)),
    }
