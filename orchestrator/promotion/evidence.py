"""Evidence for a promotion: two models measured on the same images."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.config.settings import Evaluate, Machine
from orchestrator.evaluate import Measured, measure_stored, stored_predictions, what_is_stored
from workloads.errors import ConfigError, first_of
from workloads.metrics.paired import Comparison, Pair, compared
from workloads.models.model import Model
from workloads.shards.shards import Shards

_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """Comparisons of two models on a split.

    Attributes:
        shards: the content digest of the data.
        images: how many both were measured on.
        confidence: of the intervals.
        comparisons: of each metric that has a case; the first decides.
    """

    shards: str
    split: str
    images: int
    classes: tuple[str, ...]
    confidence: float
    comparisons: tuple[Comparison, ...]

    @property
    def decisive(self) -> Comparison:
        return self.comparisons[0]


def gather_evidence(
    machine: Machine,
    champion: Model,
    candidate: Model,
    shards: Shards,
    split: str,
    measure: Evaluate,
    names: Sequence[str],
) -> Evidence:
    """Measure both, or read what was stored of them, and compare.

    Args:
        names: the metrics; the first must have a case, others without one are left out.

    Raises:
        ConfigError: other classes, other images, or the first metric has no case.
    """
    _check_classes(champion, candidate)
    old = _measured(machine, champion, shards, split, measure, names)
    new = _measured(machine, candidate, shards, split, measure, names)
    _check_images(old, new)
    found = [compared(old.metrics[name], new.metrics[name]) for name in names]
    if math.isnan(found[0].values.difference):
        raise ConfigError(
            f"metric {names[0]} has no case on split '{split}' of {shards.folder}; choose another "
            "with --metric, such as classification_map"
        )
    return Evidence(
        shards=shards.digest,
        split=split,
        images=new.images,
        classes=candidate.card.classes,
        confidence=measure.metrics.confidence,
        comparisons=tuple(one for one in found if not math.isnan(one.values.difference)),
    )


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """All of it, by metric and class name, rounded to five digits."""
    return {
        "shards": evidence.shards,
        "split": evidence.split,
        "images": evidence.images,
        "confidence": evidence.confidence,
        "metric": evidence.decisive.metric,
        "metrics": {
            one.metric: {
                **_pair_json(one.values),
                "interval": one.interval and [round(end, _DIGITS) for end in one.interval],
                "share_better": round(one.share_better, _DIGITS),
                "per_class": {
                    evidence.classes[k]: _pair_json(pair) for k, pair in one.per_class.items()
                },
            }
            for one in evidence.comparisons
        },
    }


def evidence_text(facts: dict[str, Any], longest: int) -> str:
    """As compact JSON of at most so many characters.

    Classes are left out where they do not fit: those whose values differ least, of the metrics
    that do not decide first. `classes_left_out` says how many.
    """
    metrics = facts["metrics"]
    droppable = [
        (name == facts["metric"], abs(pair["difference"]), name, label)
        for name, one in metrics.items()
        for label, pair in one["per_class"].items()
    ]
    droppable.sort()

    def text(dropped: int) -> str:
        gone = {(name, label) for _, _, name, label in droppable[:dropped]}
        return json.dumps(_without(facts, gone), separators=(",", ":"), ensure_ascii=False)

    dropped = bisect_left(
        range(len(droppable)), True, key=lambda count: len(text(count)) <= longest
    )
    return text(dropped)


def _without(facts: dict[str, Any], gone: set[tuple[str, str]]) -> dict[str, Any]:
    if not gone:
        return facts
    metrics = {
        name: {
            **one,
            "per_class": {k: v for k, v in one["per_class"].items() if (name, k) not in gone},
        }
        for name, one in facts["metrics"].items()
    }
    return {**facts, "metrics": metrics, "classes_left_out": len(gone)}


def _measured(
    machine: Machine,
    model: Model,
    shards: Shards,
    split: str,
    measure: Evaluate,
    names: Sequence[str],
) -> Measured:
    wanted = what_is_stored(model.card, split, measure, names)
    stored = stored_predictions(machine, model, shards, wanted)
    return measure_stored(machine, stored, model.card, names, measure.metrics, split)


def _check_classes(champion: Model, candidate: Model) -> None:
    ours, theirs = candidate.card.classes, champion.card.classes
    if ours != theirs:
        missing = sorted(set(theirs) - set(ours)) or ["none"]
        added = sorted(set(ours) - set(theirs)) or ["none"]
        raise ConfigError(
            f"the candidate has other classes than the champion (missing: {first_of(missing)}; "
            f"added: {first_of(added)}; or another order), so they cannot be compared; register "
            "it under another name (--set registry.model=NAME)"
        )


def _check_images(old: Measured, new: Measured) -> None:
    ids = [set(one.per_image["image_id"].to_pylist()) for one in (old, new)]
    if ids[0] != ids[1]:
        different = sorted(ids[0] ^ ids[1])
        raise ConfigError(
            f"champion and candidate were measured on other images ({first_of(different)}); "
            "remove their stored predictions and try again"
        )


def _pair_json(pair: Pair) -> dict[str, float]:
    return {
        "champion": round(pair.champion, _DIGITS),
        "candidate": round(pair.candidate, _DIGITS),
        "difference": round(pair.difference, _DIGITS),
    }
