"""`wsol tune`: the cut-offs of a trained run, by its name."""

from __future__ import annotations

from dataclasses import asdict

from orchestrator.config.settings import Evaluate, Machine, Tune
from orchestrator.config.workspace import RunPaths
from orchestrator.engine.claims import Verb
from orchestrator.engine.leases import lease
from orchestrator.predict import PredictRequest, predict
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.spec import spec_of
from orchestrator.tune.stored_maps import TuneResult, log_search, tune
from workloads.artifacts import digest
from workloads.localization.cutoffs import Cutoffs
from workloads.models.model import Model
from workloads.models.version import retune_model
from workloads.recipes.describe import given_cutoffs
from workloads.shards.shards import Shards

VERB = Verb("tune", "stored maps", "remove the folder")


def tune_run(
    machine: Machine,
    paths: RunPaths,
    search: Tune,
    measure: Evaluate,
    tracker: Tracker | None = None,
) -> TuneResult:
    """Store the validation maps of a finished run, search on them, write the tuned model.

    Args:
        measure: what is stored of each image, and the options of the metrics.

    Raises:
        NotFound: no such run, or it is not finished.
        Conflict: another process works on the run.
    """
    machine.check_tracking()
    spec = spec_of(paths)
    with lease(paths.folder, VERB.name):
        wanted = PredictRequest(spec.val_split, measure.stored_maps, limit=search.images)
        # Named by what was asked for, so that another search makes its own.
        place = paths.predictions(f"{wanted.split}-search-{digest(asdict(wanted))[:8]}")
        model = Model.open(paths.model)
        stored = predict(machine, model, Shards.open(spec.shards), wanted, place, VERB)
        per_class = search.per_class or spec.recipe.evaluation.per_class
        search = search.model_copy(update={"per_class": per_class})
        result = tune(model, stored, search, measure.metrics, paths.search)
        searched = {
            name: getattr(result, name)
            for name in ("cutoff", "class_cutoffs", "alpha", "score_threshold")
        }
        # What the paper gives is not searched, unless somebody asks for it by name.
        given = given_cutoffs(spec.recipe)
        cutoffs = Cutoffs.parse({**searched, **given, **result.rules}, "cut-offs")
        retune_model(paths.model, paths.tuned_model, cutoffs, {"validation": dict(result.measured)})
    log_search(tracker or Tracker(machine), result, paths)
    return result
