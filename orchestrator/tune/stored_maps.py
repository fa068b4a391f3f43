"""The search of a model's cut-offs on its stored validation maps, and its tracked runs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from orchestrator.config.workspace import RunPaths
from orchestrator.tracking.mlflow_store import RUN_TAG
from orchestrator.tracking.tracker import Tracker
from workloads.artifacts import write_json
from workloads.metrics.options import MetricOptions
from workloads.models.model import Model
from workloads.predictions.predictions import Predictions
from workloads.search.grid_search import MEASURED
from workloads.search.options import SearchOptions
from workloads.search.tune import tune as search_cutoffs


def _or_nan(value: Any) -> Any:
    return math.nan if value is None else value


Value = Annotated[float, BeforeValidator(_or_nan)]
"""A metric's value; NaN without any case, for which JSON has null."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best parameters of a search, and all metrics at them; see `TuneResult`."""

    cutoff: float
    alpha: float
    score_threshold: float
    class_cutoffs: tuple[float, ...]
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class TuneResult:
    """The best parameters, and those of each co-occurrence weight.

    Attributes:
        metric: what was maximised; another one than was asked for where there are no boxes.
        cutoff, alpha, score_threshold: the best parameters.
        class_cutoffs: a cut-off for each class instead; empty where that was not asked for or
            gained nothing.
        values: all metrics at the best parameters on the validation split.
        trials: parameters and metrics of each co-occurrence weight at its best cut-off, in order.
        curve: box accuracy at every cut-off, from one pass.
        unmeasured: metrics without any case: the split has no boxes.
        rules, by_rules: as `Found` has them.
    """

    metric: str
    cutoff: float
    alpha: float
    score_threshold: float
    class_cutoffs: tuple[float, ...]
    values: dict[str, float]
    trials: list[dict[str, float]]
    curve: dict[str, Any]
    predictions: str
    unmeasured: tuple[str, ...] = ()
    rules: dict[str, Any] = field(default_factory=dict)
    by_rules: list[dict[str, Any]] = field(default_factory=list)

    @property
    def measured(self) -> dict[str, float]:
        """The values of metrics that had a case."""
        return _measured(self.values)

    @property
    def best(self) -> Tuned:
        """Without trials and curve."""
        return Tuned(self.cutoff, self.alpha, self.score_threshold, self.class_cutoffs, self.values)


def tune(
    model: Model,
    stored: Predictions,
    options: SearchOptions,
    metrics: MetricOptions,
    out: Path,
) -> TuneResult:
    """Search on stored predictions and write what was found, in this process.

    A search that was killed and started again ends with the same parameters.
    """
    found = search_cutoffs(model.card, stored, options, metrics)
    result = TuneResult(
        metric=found.metric,
        cutoff=found.best["cutoff"],
        alpha=found.best["alpha"],
        score_threshold=found.best["score_threshold"],
        class_cutoffs=found.class_cutoffs,
        values={name: found.best[name] for name in MEASURED},
        trials=list(found.trials),
        curve=found.curve,
        predictions=stored.digest,
        unmeasured=found.unmeasured,
        rules=dict(found.rules),
        by_rules=list(found.by_rules),
    )
    write_json(out, asdict(result))
    return result


def log_search(tracker: Tracker, result: TuneResult, paths: RunPaths) -> None:
    """The search as an MLflow run below the training's, with a child for each alpha."""
    name, uid = f"search-{paths.name}", f"{paths.tracking_uid()}/search"
    sweep = tracker.start_run(name, {"metric": result.metric}, {RUN_TAG: uid}, paths.tracking_uid())
    best = {"cutoff": result.cutoff, "alpha": result.alpha, **result.measured}
    tracker.log_metrics(sweep, best)
    tracker.log_artifact(sweep, paths.search)
    for index, trial in enumerate(result.trials):
        params = {key: trial[key] for key in ("cutoff", "alpha")}
        label = f"{name}-{index:03d}"
        child = tracker.start_run(label, params, {RUN_TAG: f"{uid}/{index}"}, uid)
        tracker.log_metrics(child, _measured({key: trial[key] for key in MEASURED}))
        tracker.close(child, "FINISHED")
    tracker.close(sweep, "FINISHED")


def _measured(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not math.isnan(value)}
