"""Specification of a plan's trials: how each is trained, read and measured, and its name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import PlanPaths, RunPaths, SweepPaths
from orchestrator.evaluate import stored_maps
from orchestrator.plans.prepare import Need
from orchestrator.sweep.spec import trial_machine
from orchestrator.sweep.trial import TrialJob, TrialsSpec
from orchestrator.sweep.trials import Trial
from orchestrator.tracking.untracked import Untracked
from orchestrator.train.spec import TrainSpec
from orchestrator.train.train import train
from workloads.artifacts import digest
from workloads.comparison.measure import WITH_ALPHA, Measuring, measure
from workloads.comparison.plan import Plan, Reading
from workloads.comparison.summary import table
from workloads.metrics.registry import build_metrics
from workloads.options import Options
from workloads.recipes.describe import given_cutoffs
from workloads.search.suggestions import Results
from workloads.shards.shards import Shards
from workloads.space import Values


class Work(Options):
    """One training on one data set, from any seed.

    Attributes:
        readings: by name, the training's own among them.
    """

    spec: TrainSpec
    readings: dict[str, Reading]
    how: Measuring

    def seeded(self, seed: int) -> TrainSpec:
        """The training from a seed."""
        options = self.spec.recipe.train.model_copy(update={"seed": seed})
        recipe = self.spec.recipe.model_copy(update={"train": options})
        return self.spec.model_copy(update={"recipe": recipe})

    def deciding(self) -> dict[str, Any]:
        """Everything that decides the values of a training that is there."""
        return self.model_dump(mode="json", include={"readings", "how"})


class PlanJob(TrialJob):
    """Trials of a plan.

    Attributes:
        works: by training and data set.
    """

    works: dict[str, dict[str, Work]]

    def work(self, values: Mapping[str, Any]) -> Work:
        """The training that a trial is of."""
        return self.works[values["training"]][values["data"]]

    def epochs(self, values: Mapping[str, Any]) -> int:
        """As its budget says."""
        return self.work(values).spec.recipe.train.epochs

    def run(self, run: RunPaths, trial: Trial) -> dict[str, Any]:
        """Train, and measure every reading of the weights."""
        import torch

        work = self.work(trial.values)
        spec = work.seeded(int(trial.values["seed"]))
        model = train(self.machine, spec, run, resume=True, tracker=Untracked()).model
        torch.set_num_threads(self.machine.resources.train.threads)  # as when it was trained now
        shards = Shards.open(spec.shards)
        readings = {
            name: measure(model, reading, shards, work.how)
            for name, reading in work.readings.items()
        }
        own = trial.values["training"]
        first = readings[own][work.how.metrics[0]]
        return {
            "value": None if math.isnan(first) else first,
            "measured": dict(_flat(own, readings)),
            "cutoffs": readings[own]["parameters"],
            "readings": readings,
        }


class PlanSpec(TrialsSpec):
    """The trials of a plan, in its order."""

    searches: ClassVar[bool] = False

    job: PlanJob
    plan: Plan

    @property
    def metric(self) -> str:
        """The plan's first."""
        return self.plan.metrics[0]

    def parameters(self) -> dict[str, Any]:
        """The plan, without what is only said of it."""
        return self.plan.model_dump(mode="json", exclude_defaults=True, exclude={"claims"})

    def summary(self, trials: Mapping[int, Trial]) -> dict[str, float]:
        """Means over seeds."""
        means = {
            f"{row['data']}.{row['reading']}.{metric}": row[metric].mean
            for row in table(self.plan, outcomes(trials))
            for metric in self.plan.metrics
        }
        return {name: mean for name, mean in means.items() if not math.isnan(mean)}

    def suggest(self, number: int, results: Results) -> Values | None:
        """The trial with a number; see `Points`."""
        trials = self.plan.trials()
        return trials[number]._asdict() if number < len(trials) else None

    def paths(self, sweep: SweepPaths) -> PlanPaths:
        """Places of the trials in the folder of a plan."""
        runs, records = [], []
        for trial in self.plan.trials():
            work, name = self.job.work(trial._asdict()), "-".join(map(str, trial))
            training = work.seeded(trial.seed).identity()
            runs.append(f"{name}-{training[:8]}")
            key = digest({"training": training, **work.deciding()})
            records.append(f"{name}-{key[:8]}")
        return PlanPaths(sweep.folder, sweep.place, tuple(runs), tuple(records))


def plan_spec(settings: Settings, plan: Plan, specs: Iterable[tuple[Need, TrainSpec]]) -> PlanSpec:
    """The trials of a plan whose data are there."""
    works: dict[str, dict[str, Work]] = {}
    for need, spec in specs:
        readings = plan.all_trainings[need.training].readings
        works.setdefault(need.training, {})[need.data] = Work(
            spec=spec,
            readings={need.training: Reading(), **readings},
            how=_measuring(settings, plan, need, spec),
        )
    many = {"trials": len(plan.trials()), "stop": "none"}
    return PlanSpec(
        job=PlanJob(machine=trial_machine(settings), works=works),
        options=settings.sweep.model_copy(update=many),
        plan=plan,
    )


def outcomes(trials: Mapping[int, Trial]) -> list[dict[str, Any]]:
    """The finished ones, as they are put together."""
    finished = (trial for trial in trials.values() if trial.state == "finished")
    return [{**trial.values, "readings": trial.readings} for trial in finished]


def _measuring(settings: Settings, plan: Plan, need: Need, spec: TrainSpec) -> Measuring:
    """The settings' way to measure, with the tolerance of the data set."""
    tolerance = plan.data[need.data].pointing_tolerance_px
    changes: dict[str, Any] = {"bootstrap": 0}  # the spread is that over seeds
    if tolerance is not None:
        changes |= {"pointing_tolerance_px": tolerance, "prediction_tolerance_px": tolerance}
    options = settings.evaluate.metrics.model_copy(update=changes)
    metrics = build_metrics(plan.metrics, len(spec.classes), options, spec.classes)
    return Measuring(
        val=spec.val_split,
        test=settings.data.test_split,
        metrics=plan.metrics,
        options=options,
        stored_maps=stored_maps(metrics.values(), len(spec.classes), settings.evaluate.stored_maps),
        given=given_cutoffs(need.recipe),
        limits=settings.images,
    )


def _flat(own: str, readings: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, float]]:
    """Metrics of the training's own reading by their names, of others behind theirs."""
    for reading, values in readings.items():
        for metric, value in values.items():
            if metric not in (WITH_ALPHA, "parameters") and not math.isnan(value):
                yield metric if reading == own else f"{reading}.{metric}", value
