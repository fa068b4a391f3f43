"""One trial of the comparison: train on one data set from one seed, read, search, measure.

It runs in one process and one thread, so several can run side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workloads.artifacts import is_sealed
from workloads.comparison.plan import Data, Plan, Reading
from workloads.datasets.digits import Digits, make_digits
from workloads.datasets.registry import DATASETS, open_dataset
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import METHODS
from workloads.metrics.evaluation import evaluate_predictions
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import build_metrics
from workloads.models.localizer import Localizer
from workloads.models.version import load_network, read_card
from workloads.predictions.predict import predict
from workloads.predictions.store import Prediction
from workloads.proposals.proposals import Proposals
from workloads.recipes.schema import Recipe
from workloads.recipes.train import train as train_recipe
from workloads.search.cutoff_scan import scan
from workloads.search.objective import objective
from workloads.search.table import SearchTable
from workloads.shards.ingest import ingest
from workloads.shards.shards import Shards

CUTOFFS: tuple[float, ...] = tuple(np.round(np.arange(0.02, 0.9, 0.01), 2).tolist())
ALPHAS: tuple[float, ...] = tuple(np.round(np.arange(0.0, 0.52, 0.05), 2).tolist())
BOX_METRIC = "box_f1"
WITH_ALPHA = "with_alpha"
# Maps are stored for the true classes and for so many of the best scored.
STORED_MAPS = 5

Values = dict[str, float]


def make_shards(data: Data, folder: Path) -> Path:
    """Draw a data set and ingest it; what is there already is kept."""
    if is_sealed(folder):
        return folder
    kind = DATASETS[data.dataset]
    if not issubclass(kind, Digits):
        raise ValueError(f"{data.dataset} is not made by the project")
    tree = folder.with_name(f"{folder.name}-tree")
    make_digits(tree, kind.drawn_with.parse(data.options, data.dataset), layout=kind)
    ingest(open_dataset(data.dataset, tree), folder)
    return folder


def train(
    recipe: Recipe, shards: Path, starts: Mapping[str, Path], out: Path, proposals: Path | None
) -> Path:
    """Train a recipe in this process; a finished model is kept.

    Args:
        starts: recipe name to the model that other recipes start from.
    """
    if is_sealed(out):
        return out
    torch.set_num_threads(1)
    sources = {"backbone": recipe.initial, **recipe.parts}
    initial = {p: None if start is None else starts[start] for p, start in sources.items()}
    stored = None if proposals is None else Proposals.open(proposals)
    train_recipe(recipe, Shards.open(shards), out, initial=initial, proposals=stored)
    return out


def read(model: Path, reading: Reading, shards: Path, split: str) -> Iterator[Prediction]:
    """Scores and maps of a split by a reading of a model's weights."""
    return predict(_localizer(model, reading), Shards.open(shards), split, top=STORED_MAPS)


def measure(plan: Plan, data: Data, model: Path, reading: Reading, shards: Path) -> dict[str, Any]:
    """Test values of one reading, at the cut-offs that validation chose.

    Returns:
        metric to value; under `with_alpha` the same with the co-occurrence weight that was best
        for classification on the validation split; and the parameters.
    """
    options = MetricOptions(
        pointing_tolerance_px=data.pointing_tolerance_px,
        prediction_tolerance_px=data.pointing_tolerance_px,
        bootstrap=0,
    )
    together = np.asarray(read_card(model).cooccurrence)
    table = SearchTable.build(read(model, reading, shards, "val"), together, options)

    by_cutoff, tried = scan(table, table.scores), [table.grid(cutoff) for cutoff in CUTOFFS]

    def best_cutoff(metric: str) -> float:
        return CUTOFFS[int(np.argmax(getattr(by_cutoff, metric)[tried]))]

    best = {metric: best_cutoff(metric) for metric in ("gt_known", BOX_METRIC)}
    threshold = float(by_cutoff.score_threshold[table.grid(best[BOX_METRIC])])
    alpha = max(ALPHAS, key=lambda a: objective(table, best["gt_known"], a)["classification_map"])
    test = list(read(model, reading, shards, "test"))

    def values(cutoffs: Cutoffs, names: tuple[str, ...]) -> Values:
        metrics = build_metrics(names, table.scores.shape[1], options)
        evaluate_predictions(test, cutoffs, together, metrics)
        return {name: metric.result().value for name, metric in metrics.items()}

    boxes = Cutoffs(cutoff=best[BOX_METRIC], score_threshold=threshold)
    others = tuple(name for name in plan.metrics if name != BOX_METRIC)
    return {
        **values(Cutoffs(cutoff=best["gt_known"]), others),
        **values(boxes, (BOX_METRIC,)),
        WITH_ALPHA: values(Cutoffs(cutoff=best["gt_known"], alpha=alpha), others),
        "parameters": {**best, "alpha": alpha},
    }


def _localizer(model: Path, reading: Reading) -> Localizer:
    """The model, read by its own or by another method."""
    card = read_card(model)
    kind = METHODS[reading.method or card.method]
    own = card.method_options if reading.method is None else kind.presets["tiny"]
    options = kind.options_type.parse({**own, **reading.options}, f"reading by {kind.name}")
    changes = {"method": kind.name, "method_options": options.model_dump(mode="json")}
    read_as = card.model_copy(update=changes)
    return Localizer(load_network(model, read_as), read_as, str(model))
