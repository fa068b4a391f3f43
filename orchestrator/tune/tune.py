"""`wsol tune` and `wsol register`: the steps after `wsol train`, for one run by its name."""

from __future__ import annotations

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import RunPaths
from orchestrator.predict import predict
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.spec import spec_of
from orchestrator.tune.stored_maps import TuneResult, log_search, tune
from workloads.localization.cutoffs import Cutoffs
from workloads.models.version import retune_model


def tune_run(settings: Settings, paths: RunPaths, tracker: Tracker | None = None) -> TuneResult:
    """Store the validation maps of a finished run, search on them, write the tuned model.

    Raises:
        NotFound: no such run, or it is not finished.
    """
    spec = spec_of(paths)
    split = spec.val_split
    stored = predict(
        settings,
        paths.model,
        spec.shards,
        split,
        paths.predictions(f"{split}-search"),
        limit=settings.job.search.images,
    )
    result = tune(settings, paths.model, stored, paths.search, spec.recipe.evaluation.per_class)
    searched = {
        name: getattr(result, name)
        for name in ("cutoff", "class_cutoffs", "alpha", "score_threshold")
    }
    # What the paper gives is not searched.
    cutoffs = Cutoffs.parse({**searched, **spec.recipe.evaluation.cutoffs}, "cut-offs")
    retune_model(paths.model, paths.tuned_model, cutoffs, {"validation": dict(result.values)})
    log_search(tracker or Tracker(settings), result, paths)
    return result
