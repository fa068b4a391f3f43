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
from workloads.backbones.registry import BACKBONES
from workloads.comparison.plan import Data, Plan, Reading
from workloads.datasets.digits import Digits, make_digits
from workloads.datasets.registry import DATASETS, open_dataset
from workloads.images.decode import ImageLimits
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Method
from workloads.methods.registry import METHODS, build_method
from workloads.metrics.evaluation import evaluate_predictions
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import build_metrics
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer
from workloads.models.version import load_network, read_card, save_model
from workloads.predictions.predict import predict_records
from workloads.predictions.store import Prediction
from workloads.recipes.schema import Recipe
from workloads.search.objective import objective
from workloads.search.table import SearchTable
from workloads.shards.cooccurrence import cooccurrence
from workloads.shards.manifest import read_shard_manifest
from workloads.shards.read import row_groups
from workloads.shards.write import finish_shards, ingest_shard
from workloads.training.checkpoints import load_initial
from workloads.training.run import TrainingRun
from workloads.training.shard_loader import Share

CUTOFFS: tuple[float, ...] = tuple(np.round(np.arange(0.02, 0.9, 0.01), 2).tolist())
ALPHAS: tuple[float, ...] = tuple(np.round(np.arange(0.0, 0.52, 0.05), 2).tolist())
BOX_METRIC = "box_f1"
WITH_ALPHA = "with_alpha"
# Maps are stored for the true classes and for so many of the best scored.
STORED_MAPS = 5
SHARD_IMAGES = 512
LIMITS = ImageLimits()

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
    dataset = open_dataset(data.dataset, tree)
    listed = {split: dataset.items(split) for split in dataset.splits()}
    results = [
        ingest_shard(
            dataset, items[at : at + SHARD_IMAGES], folder / f"{split}-{at:05d}.parquet", LIMITS
        )
        for split, items in listed.items()
        for at in range(0, len(items), SHARD_IMAGES)
    ]
    finish_shards(folder, dataset, {s: len(items) for s, items in listed.items()}, results)
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
    manifest = read_shard_manifest(shards)
    torch.set_num_threads(1)
    torch.manual_seed(recipe.train.seed)
    method = build_method(
        recipe.method, recipe.backbone, len(manifest.classes), manifest.task,
        recipe.preset, recipe.method_options,
    )  # fmt: skip
    sources = {"backbone": recipe.initial, **recipe.parts}
    for part, network in method.pretrained_parts().items():
        if (start := sources.get(part)) is not None:
            load_initial(network, starts[start])
    size = recipe.train.image_size or BACKBONES[recipe.backbone].input_size
    run = TrainingRun(
        method, recipe.train, shards, "train", "val", size, Share(), LIMITS,
        torch.device("cpu"), proposals=proposals,
    )  # fmt: skip
    for _ in run.epochs():
        pass
    save_model(out, method, _card(method, recipe, size, shards))
    return out


def read(model: Path, reading: Reading, shards: Path, split: str) -> Iterator[Prediction]:
    """Scores and maps of a split by a reading of a model's weights."""
    localizer = _localizer(model, reading)
    for group in row_groups(shards, split):
        yield from predict_records(localizer, group.read(), LIMITS, STORED_MAPS)


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

    def best_cutoff(metric: str) -> float:
        values = [objective(table, cutoff, 0.0)[metric] for cutoff in CUTOFFS]
        return CUTOFFS[int(np.argmax(values))]

    best = {metric: best_cutoff(metric) for metric in ("gt_known", BOX_METRIC)}
    threshold = objective(table, best[BOX_METRIC], 0.0)["score_threshold"]
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


def _card(method: Method, recipe: Recipe, size: int, shards: Path) -> ModelCard:
    manifest = read_shard_manifest(shards)
    together = cooccurrence(shards, "train", len(manifest.classes))
    return ModelCard(
        method=method.name,
        method_options=method.options.model_dump(mode="json"),
        backbone=recipe.backbone,
        task=method.task,
        classes=manifest.classes,
        preprocessing=Preprocessing(
            size=size, fit=recipe.train.fit, mean=method.backbone.mean, std=method.backbone.std
        ),
        cutoffs=Cutoffs(),
        cooccurrence=tuple(tuple(row) for row in together.tolist()),
        provenance={"recipe": recipe.name},
    )
