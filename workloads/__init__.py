"""A plain library of images and networks, without Ray or MLflow.

    from workloads import Localizer, ingest, open_dataset, predict, train, tune

Names are imported when they are first used, so that `import workloads` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import workloads.compile_cache as _compile_cache

if TYPE_CHECKING:
    from workloads.datasets.registry import open_dataset
    from workloads.detections import Detections
    from workloads.localization.cutoffs import Cutoffs
    from workloads.methods.base import Method
    from workloads.methods.registry import METHODS, build_method
    from workloads.metrics.measure import evaluate
    from workloads.models.card import ModelCard
    from workloads.models.localizer import Localizer
    from workloads.models.model import Model
    from workloads.predictions.predict import predict
    from workloads.recipes.load import load_recipe
    from workloads.recipes.train import train
    from workloads.records import Record
    from workloads.search.tune import tune
    from workloads.shards.ingest import ingest
    from workloads.shards.shards import Shards

_HOMES = {
    "Cutoffs": "localization.cutoffs",
    "Detections": "detections",
    "Localizer": "models.localizer",
    "METHODS": "methods.registry",
    "Method": "methods.base",
    "Model": "models.model",
    "ModelCard": "models.card",
    "Record": "records",
    "Shards": "shards.shards",
    "build_method": "methods.registry",
    "evaluate": "metrics.measure",
    "ingest": "shards.ingest",
    "load_recipe": "recipes.load",
    "open_dataset": "datasets.registry",
    "predict": "predictions.predict",
    "train": "recipes.train",
    "tune": "search.tune",
}
__all__ = [
    "METHODS",
    "Cutoffs",
    "Detections",
    "Localizer",
    "Method",
    "Model",
    "ModelCard",
    "Record",
    "Shards",
    "build_method",
    "evaluate",
    "ingest",
    "load_recipe",
    "open_dataset",
    "predict",
    "train",
    "tune",
]

_compile_cache.set_cache_folder()  # before anything imports numba


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workloads' has no attribute '{name}'")
    return getattr(import_module(f"workloads.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
