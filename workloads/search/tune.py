"""The best cut-offs of a model, from its stored predictions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from workloads.metrics.options import MetricOptions
from workloads.models.card import ModelCard
from workloads.predictions.store import Prediction
from workloads.search.grid_search import Found, search
from workloads.search.options import SearchOptions
from workloads.search.table import SearchTable


def tune(
    card: ModelCard,
    predictions: Iterable[Prediction],
    options: SearchOptions | None = None,
    metrics: MetricOptions | None = None,
) -> Found:
    """Search cut-off and co-occurrence weight; no network runs.

    Args:
        card: of the model that made the predictions; its box rule is kept.
        predictions: of a validation split, read once.
    """
    table = SearchTable.build(
        predictions, np.asarray(card.cooccurrence), metrics or MetricOptions(), card.cutoffs
    )
    return search(table, options or SearchOptions(), card.cutoffs)
