"""A command line that is to run as a job, understood: its verb, settings and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.jobs.recipes import OwnRecipe

VERBS = (
    "ingest",
    "proposals",
    "train",
    "tune",
    "sweep",
    "evaluate",
    "annotate",
    "run",
    "reproduce",
)
"""Verbs that can be jobs: those that do work and end."""


@dataclass(frozen=True, slots=True)
class Command:
    """The words of a job, read as its verb reads them.

    Attributes:
        verb: its name.
        words: the verb and its arguments, without options of settings and output.
        settings: what those options and the file of the submitting machine say.
        resumes: it has `--resume`.
        places: files and folders that the words, settings and recipes name, by the word.
        recipes: files of recipes of the user's own, which travel with the job.
    """

    verb: str
    words: tuple[str, ...]
    settings: Settings
    resumes: bool
    places: Mapping[str, Path]
    recipes: tuple[OwnRecipe, ...] = ()


def needs(verb: str, settings: Settings) -> dict[str, float]:
    """The least that a verb needs at one moment, by Ray's names of resources.

    A training needs all of its workers; work in units goes on with one at a time.
    """
    resources = settings.resources
    train = resources.train
    training = _times(1, train.least_cpus, train.least_workers * train.gpus_per_worker)
    evaluate = _times(1, resources.evaluate.cpus_per_actor, resources.evaluate.gpus_per_actor)
    annotate = _times(1, resources.annotate.cpus_per_actor, resources.annotate.gpus_per_actor)
    ingest = _times(1, resources.ingest.cpus_per_task, 0)
    of_verb: dict[str, list[dict[str, float]]] = {
        "ingest": [ingest],
        "proposals": [_times(1, resources.proposals.cpus_per_task, 0)],
        "train": [training],
        "tune": [evaluate],
        "sweep": [_times(1, train.cpus_per_worker, 0)],
        "evaluate": [evaluate],
        "annotate": [annotate],
        "run": [ingest, training, evaluate, annotate],
        "reproduce": [ingest, training, evaluate],
    }
    return _largest(of_verb[verb])


def _times(count: int, cpus: float, gpus: float) -> dict[str, float]:
    return {"CPU": count * cpus, **({"GPU": count * gpus} if gpus else {})}


def _largest(all_needs: list[dict[str, float]]) -> dict[str, float]:
    found: dict[str, Any] = {}
    for one in all_needs:
        found |= {kind: max(amount, found.get(kind, 0.0)) for kind, amount in one.items()}
    return found
