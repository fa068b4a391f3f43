"""The best cut-offs of a model, from its stored predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from pydantic import JsonValue

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.options import MetricOptions
from workloads.models.card import ModelCard
from workloads.predictions.store import Prediction
from workloads.search.grid_search import Found, search
from workloads.search.options import SearchOptions, combinations
from workloads.search.table import SearchTable


def tune(
    card: ModelCard,
    predictions: Iterable[Prediction],
    options: SearchOptions | None = None,
    metrics: MetricOptions | None = None,
) -> Found:
    """Search cut-off and co-occurrence weight; no network runs.

    Args:
        card: of the model that made the predictions; of its cut-offs stays what is not searched.
        predictions: of a validation split, read once for each combination of rules.

    Raises:
        NotFound: a rule needs regions and none are stored.
    """
    options = options or SearchOptions()
    found: list[Found] = []
    for rules in combinations(options.rules):
        cutoffs = Cutoffs.parse({**card.cutoffs.model_dump(), **rules}, "rules")
        table = SearchTable.build(
            predictions, np.asarray(card.cooccurrence), metrics or MetricOptions(), cutoffs
        )
        if not table.has_boxes:  # nothing can tell one rule from another
            return search(table, options, card.cutoffs)
        found.append(replace(search(table, options, cutoffs), rules=rules))
    best = max(found, key=lambda one: one.value)
    return replace(best, by_rules=tuple(map(_row, found))) if options.rules else best


def _row(found: Found) -> dict[str, JsonValue]:
    return {**found.rules, **found.best}
