"""The stages of a pipeline to come, with about how long each may take on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.engine.connect import is_inline, training_workers
from orchestrator.train.initial import pretraining
from workloads.datasets.registry import DATASETS
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe
from workloads.recipes.shipped import shipped

# Images a second on one core of an Intel Xeon (2026-11); what is not timed on this machine.
_MADE, _INGESTED, _MAPPED = 400.0, 1500.0, 150.0
_SEARCH_S, _START_S, _RAY_START_S = 3.0, 3.0, 15.0
_PROBED_IMAGES = 4


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage to come.

    Attributes:
        work: what it does, for people.
        seconds: about how long; None: nobody can say.
    """

    name: str
    work: str
    seconds: float | None


def plan(settings: Settings, recipes: Mapping[str, Recipe]) -> list[Planned]:
    """Every stage of `wsol run` in its order."""
    return [*_images(settings), *_trainings(settings, recipes), *_results(settings, recipes)]


def _images(settings: Settings) -> list[Planned]:
    data, counts = settings.data, _counts(settings)
    total = sum(counts.values()) if counts else None
    ingest = Planned("ingest", f"{_number(total)} images to shards", _at(total, _INGESTED))
    if data.root is not None:
        return [ingest]
    return [Planned("data", f"make {_number(total)} images", _at(total, _MADE)), ingest]


def _trainings(settings: Settings, recipes: Mapping[str, Recipe]) -> list[Planned]:
    counts, given = _counts(settings), settings.train.epochs
    alphas = len(settings.tune.alpha_values)
    starts = {s for recipe in recipes.values() for s in pretraining(recipe).values()}
    stages = []
    for name in sorted(name for name in starts if shipped(name) is None):
        recipe = load_recipe(name)
        options = settings.data.embedded.get(recipe.dataset)
        images = options.train if options else None
        stages.append(_training(settings, f"pretrain-{name}", recipe, images, given))
    for name, recipe in recipes.items():
        images = counts.get("train")
        stages += [
            _training(settings, f"train-{name}", recipe, images, given),
            Planned(
                f"tune-{name}",
                f"maps of {_number(counts.get('val'))} images, {alphas} alphas at all cut-offs",
                _plus(_at(counts.get("val"), _MAPPED), _SEARCH_S + _start(settings)),
            ),
            Planned(f"register-{name}", "the version in MLflow", 1.0),
        ]
    return stages


def _training(
    settings: Settings, stage: str, recipe: Recipe, images: int | None, epochs: int | None
) -> Planned:
    epochs = epochs or recipe.train.epochs
    seconds = None
    if images is not None and not settings.resources.train.gpus_per_worker:
        each = seconds_per_image(recipe, settings.data.dataset)
        seconds = images * epochs * each / training_workers(settings) + _start(settings)
    return Planned(stage, f"{_number(images)} images x {epochs} epochs", seconds)


def _results(settings: Settings, recipes: Mapping[str, Recipe]) -> list[Planned]:
    counts = _counts(settings)
    measure = _plus(_at(counts.get("test"), _MAPPED), _SEARCH_S + _start(settings))
    tests = _number(counts.get("test"))
    return [
        Planned("champion", "the best on the validation split", 0.1),
        *(Planned(f"evaluate-{name}", f"{tests} images measured", measure) for name in recipes),
        Planned("annotate", "images to boxes", _START_S + _start(settings)),
        Planned("serve", "one image asked of an endpoint", _START_S + _start(settings)),
        Planned("report", "a page to look at", 2.0),
    ]


def seconds_per_image(recipe: Recipe, dataset: str) -> float:
    """Training time on one core of this machine: thrice a forward pass of a few blank images."""
    import torch

    from workloads.recipes.network import input_size, new_network

    network = new_network(recipe, DATASETS[dataset].task, 2).train()
    images = torch.zeros(_PROBED_IMAGES, 3, input_size(recipe), input_size(recipe))
    with torch.no_grad(), _one_thread(torch):
        network(images)  # the first pass prepares what the others use
        started = time.process_time()
        network(images)
        return 3 * (time.process_time() - started) / _PROBED_IMAGES


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _counts(settings: Settings) -> dict[str, int]:
    """Images of the roles train, val and test; empty for data that is not looked at yet."""
    options = settings.data.embedded.get(settings.data.dataset)
    if settings.data.root is not None or options is None:
        return {}
    return {"train": options.train, "val": options.val, "test": options.test}


def _at(images: int | None, rate: float) -> float | None:
    return None if images is None else images / rate


def _plus(seconds: float | None, more: float) -> float | None:
    return None if seconds is None else seconds + more


def _start(settings: Settings) -> float:
    """Workers of a stage, before they work."""
    return 0.0 if is_inline(settings) else _RAY_START_S


def _number(images: int | None) -> str:
    return "all" if images is None else f"{images:,}"
