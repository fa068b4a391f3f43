"""The benchmark of the search compares two ways to the same values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workloads.benchmarks import search
from workloads.benchmarks.registry import BENCHMARKS
from workloads.metrics.options import MetricOptions
from workloads.search.objective import objective
from workloads.search.options import SearchOptions
from workloads.search.table import SearchTable


@pytest.fixture(scope="module")
def table() -> SearchTable:
    together = np.full((search.CLASSES, search.CLASSES), 0.1)
    made = list(search.made_predictions(12))
    return SearchTable.build(made, together, MetricOptions(thresholds=20, bootstrap=0))


def test_fewer_cutoffs_are_the_same_ones(table: SearchTable) -> None:
    few = search.thinned(table, 4)
    assert few.thresholds == 5
    for k in range(5):
        assert objective(few, k / 5, 0.2) == objective(table, k / 5, 0.2)
    assert len({objective(few, k / 5, 0.2)["box_f1"] for k in range(5)}) > 1


def test_a_difference_would_be_seen(table: SearchTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "OPTIONS", SearchOptions(alphas=2))
    alone = search.one_by_one(table)
    assert search.difference(search.at_once(table), alone) == 0.0
    other = replace(table, truths=table.truths + 1)
    assert search.difference(search.at_once(other), alone) > 0.001


def test_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "OPTIONS", SearchOptions(alphas=2))
    monkeypatch.setitem(search.IMAGES, "quick", 6)
    report = BENCHMARKS["search"]("quick")
    assert report["name"] == "search"
    assert (report["images"], report["candidates"]) == (6, 50)
    assert 60 <= report["maps"] <= 72
    assert report["exact_candidates"] == 2 * 751
    assert report["max_difference"] == 0.0
    assert report["ratio"] == pytest.approx(report["one_by_one_s"] / report["at_once_s"])
    assert report["together_s"] == pytest.approx(report["table_s"] + report["at_once_s"])
    assert report["exact_s"] > 0
