"""Search cut-offs and the co-occurrence weight with Ray Tune, on stored validation maps."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import RunPaths
from orchestrator.engine.cluster import connect
from orchestrator.engine.progress import Progress
from orchestrator.tracking.mlflow_store import RUN_TAG
from orchestrator.tracking.tracker import Tracker
from workloads.artifacts import read_manifest, write_json
from workloads.errors import WsolError
from workloads.models.version import read_card
from workloads.predictions.store import read_predictions
from workloads.search.class_cutoffs import with_class_cutoffs
from workloads.search.objective import cutoff_curve, objective
from workloads.search.table import SearchTable

MEASURED = ("box_f1", "gt_known", "classification_map")


@dataclass(frozen=True, slots=True)
class TuneResult:
    """The best parameters and every trial.

    Attributes:
        cutoff, alpha, score_threshold: the best parameters.
        class_cutoffs: a cut-off for each class instead; empty where that was not asked for or
            gained nothing.
        values: all metrics at the best parameters on the validation split.
        trials: parameters and metrics of every trial, in order.
        curve: box accuracy at every cut-off, from one pass.
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

    def best(self) -> dict[str, Any]:
        """The best parameters and their values, without trials and curve."""
        return {
            "cutoff": self.cutoff,
            "alpha": self.alpha,
            "score_threshold": self.score_threshold,
            "class_cutoffs": self.class_cutoffs,
            "values": self.values,
        }


def tune(
    settings: Settings, model: Path, predictions: Path, out: Path, per_class: bool = False
) -> TuneResult:
    """Random search, started from the best cut-off of the one-pass curve.

    Args:
        per_class: search a cut-off for each class even if the settings do not ask for it.

    The same seed gives the same trials, and ties go to the earlier trial, so a search that was
    killed and started again ends with the same parameters.

    Raises:
        NotFound: no finished predictions in the folder.
        WsolError: a trial failed.
    """
    search = settings.job.search
    digest = read_manifest(predictions, "predictions")["digest"]
    card = read_card(model)
    table = SearchTable.build(
        read_predictions(predictions),
        np.asarray(card.cooccurrence),
        settings.job.metrics,
        card.cutoffs,
    )
    curve: dict[str, Any] = cutoff_curve(table)
    with connect(settings):
        trials = _trials(settings, table, curve["best_cutoff"], out)
    best = max(trials, key=lambda trial: trial[search.metric])  # the first of equals
    of_class: tuple[float, ...] = ()
    if per_class or search.per_class:
        best, of_class = with_class_cutoffs(table, best, search.metric, search.cutoff_range)
    result = TuneResult(
        metric=search.metric,
        cutoff=best["cutoff"],
        alpha=best["alpha"],
        score_threshold=best["score_threshold"],
        class_cutoffs=of_class,
        values={name: best[name] for name in MEASURED},
        trials=trials,
        curve=curve,
        predictions=digest,
    )
    write_json(out, asdict(result))
    return result


def log_search(tracker: Tracker, result: TuneResult, paths: RunPaths) -> None:
    """The search as an MLflow run below the training's, with a child for every trial."""
    name, uid = f"search-{paths.name}", f"{paths.tracking_uid()}/search"
    sweep = tracker.start_run(name, {"metric": result.metric}, {RUN_TAG: uid}, paths.tracking_uid())
    best = {"cutoff": result.cutoff, "alpha": result.alpha, **result.values}
    tracker.log_metrics(sweep, best)
    tracker.log_artifact(sweep, paths.search)
    for index, trial in enumerate(result.trials):
        params = {key: trial[key] for key in ("cutoff", "alpha")}
        label = f"{name}-{index:03d}"
        child = tracker.start_run(label, params, {RUN_TAG: f"{uid}/{index}"}, uid)
        tracker.log_metrics(child, {key: trial[key] for key in MEASURED})
        tracker.close(child, "FINISHED")
    tracker.close(sweep, "FINISHED")


def _trials(
    settings: Settings, table: SearchTable, first_cutoff: float, out: Path
) -> list[dict[str, float]]:
    from ray import tune as ray_tune
    from ray.tune.search.basic_variant import BasicVariantGenerator

    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the newer one talks even when verbose is 0
    search = settings.job.search
    low, high = search.cutoff_range
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    with Progress(search.trials, "trials", "search cut-offs and alpha") as progress:
        tuner = ray_tune.Tuner(
            ray_tune.with_parameters(_trial, table=table),
            param_space={
                "cutoff": ray_tune.uniform(low, high),
                "alpha": ray_tune.uniform(*search.alpha_range),
            },
            tune_config=ray_tune.TuneConfig(
                metric=search.metric,
                mode="max",
                num_samples=search.trials,
                max_concurrent_trials=settings.resources.tune.concurrent_trials,
                reuse_actors=True,
                search_alg=BasicVariantGenerator(
                    points_to_evaluate=[
                        {"cutoff": min(max(first_cutoff, low), high), "alpha": 0.0}
                    ],
                    random_state=search.seed,
                ),
            ),
            run_config=ray_tune.RunConfig(
                name="search",
                storage_path=str(out.parent / "ray-tune"),
                verbose=0,
                callbacks=[_progress_callback(progress)],
            ),
        )
        results = tuner.fit()
    if results.errors:
        raise WsolError(f"a search trial failed: {results.errors[0]}") from results.errors[0]
    return [_row(r) for r in sorted(results, key=lambda r: r.metrics["trial_id"])]


def _trial(config: dict[str, float], table: SearchTable) -> None:
    from ray import tune as ray_tune

    ray_tune.report(objective(table, config["cutoff"], config["alpha"]))


def _row(result: Any) -> dict[str, float]:
    names = ("cutoff", *MEASURED, "score_threshold")
    return {**result.config, **{name: float(result.metrics[name]) for name in names}}


def _progress_callback(progress: Progress) -> Any:
    from ray.tune import Callback

    class ProgressCallback(Callback):
        def __init__(self, shown: Progress | None) -> None:
            self.shown = shown

        def __getstate__(self) -> dict[str, Any]:
            return {"shown": None}  # Tune saves its callbacks, and a bar cannot be saved

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            if self.shown:
                self.shown.advance(1)

    return ProgressCallback(progress)
