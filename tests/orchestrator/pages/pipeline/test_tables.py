"""Tables of a report from values: what is best, what is missing, what is left out."""

from __future__ import annotations

from typing import Any

import pytest
from report_methods import made_card, made_method

from orchestrator.pages.pipeline.tables import (
    PER_CLASS_METRICS,
    PER_CLASS_ROWS,
    MetricRow,
    metric_rows,
    metric_title,
    per_class,
)
from workloads.metrics.registry import METRICS


def rows_of(key: str, *values: float | None, centre: float | None = None) -> list[MetricRow]:
    names = [f"m{k}" for k in range(len(values))]
    table = [{"name": name, key: value} for name, value in zip(names, values, strict=True)]
    return metric_rows([*table, {"name": "centre", key: centre}], [made_method(n) for n in names])


def best(row: MetricRow) -> list[bool]:
    return [cell.best for cell in row.cells]


@pytest.mark.parametrize(
    ("key", "values", "marked"),
    [
        ("box_f1", (0.2, 0.3), [False, True]),
        ("top1_error", (0.2, 0.3), [True, False]),  # the fewer, the better
        ("box_f1", (0.30001, 0.30002), [True, True]),  # both read 30.0
        ("box_f1", (0.3004, 0.3006), [False, True]),
        ("box_f1", (None, 0.0), [False, True]),
        ("box_f1", (None, None), [False, False]),
        ("box_f1", (0.9,), [False]),  # nobody to be better than
    ],
)
def test_the_best_is_what_reads_best(
    key: str, values: tuple[float | None, ...], marked: list[bool]
) -> None:
    (row,) = rows_of(key, *values)
    assert best(row) == marked
    assert [cell.value for cell in row.cells] == list(values)
    assert [cell.method for cell in row.cells] == list(range(len(values)))


def test_the_baseline_is_never_the_best() -> None:
    (row,) = rows_of("box_f1", 0.2, 0.1, centre=0.9)
    assert row.centre == 0.9
    assert best(row) == [True, False]


def test_a_metric_that_only_some_have() -> None:
    methods = [made_method("b"), made_method("a")]
    table = [{"name": "a", "pxap": 0.5}, {"name": "b", "box_f1": 0.25}, {"name": "centre"}]
    pxap, f1 = metric_rows(table, methods)
    assert (pxap.title, f1.title) == ("PxAP", "Box F1")
    assert [cell.value for cell in pxap.cells] == [None, 0.5]  # in the order of the methods
    assert [cell.value for cell in f1.cells] == [0.25, None]
    assert pxap.centre is f1.centre is None


def test_intervals_stand_beside_values_alone() -> None:
    metrics = {"box_f1": {"interval": [0.1, 0.4]}}
    methods = [made_method("a", metrics), made_method("b", metrics), made_method("c")]
    table = [{"name": n, "box_f1": v} for n, v in (("a", 0.2), ("b", None), ("c", 0.1))]
    (row,) = metric_rows([*table, {"name": "centre"}], methods)
    assert [cell.interval for cell in row.cells] == [(0.1, 0.4), None, None]


@pytest.mark.parametrize("key", list(METRICS))
def test_every_metric_is_explained_in_one_sentence_without_sections(key: str) -> None:
    (row,) = rows_of(key, 0.5)
    assert row.title == METRICS[key].title
    assert row.explained
    assert "\n" not in row.explained
    assert "section" not in row.explained


def test_a_metric_that_is_gone_keeps_its_key() -> None:
    assert metric_title("no_longer_there") == "no_longer_there"


def by_class(**values: dict[str, float | None]) -> dict[str, Any]:
    return {key: {"per_class": of_class} for key, of_class in values.items()}


def test_values_by_class_stand_metric_by_metric_and_method_by_method() -> None:
    first = by_class(gt_known={"0": 0.1, "1": 0.2}, box_f1={"0": 0.3, "1": None})
    second = by_class(gt_known={"0": 0.5}, box_f1={"0": 0.7, "1": 0.8})
    table = per_class([made_method("a", first), made_method("b", second)], "box_f1")
    assert table.groups == ("Box F1", "GT-known localization")
    assert table.span == 2
    assert table.heads == (0, 1, 0, 1)
    assert [row.name for row in table.rows] == ["cat", "dog"]
    assert table.rows[0].cells == (0.3, 0.7, 0.1, 0.5)
    assert table.rows[1].cells == (None, 0.8, 0.2, None)
    assert table.rows[1].titles[1] == "Box F1, b"
    assert table.note == ""


def test_metrics_without_classes_are_not_there_and_no_more_than_some_are() -> None:
    keys = ("voc_ap", "gt_known", "corloc", "box_f1")
    metrics = by_class(pxap={}, **{key: {"0": 0.5} for key in keys})
    table = per_class([made_method("a", metrics)], "corloc")
    titles = [METRICS[key].title for key in ("corloc", "voc_ap", "gt_known")]
    assert list(table.groups) == titles
    assert len(titles) == PER_CLASS_METRICS
    nothing = per_class([made_method("a", by_class(pxap={}))], "pxap")
    assert nothing.rows == ()
    assert nothing.note == "No metric has values by class."


@pytest.mark.parametrize("count", [PER_CLASS_ROWS, PER_CLASS_ROWS + 1])
def test_classes_are_in_order_of_number_until_there_are_too_many(count: int) -> None:
    card = made_card(tuple(f"c{k}" for k in range(count)))
    values = {str(k): k / 100 for k in range(count)}
    table = per_class([made_method("a", by_class(box_f1=values), card=card)], "box_f1")
    names = [row.name for row in table.rows]
    if count == PER_CLASS_ROWS:
        assert names == [f"c{k}" for k in range(count)]
        assert table.note == ""
    else:
        assert names == [f"c{k}" for k in reversed(range(count)) if k != 12]
        assert table.note == "The 12 best and the 12 worst of 25 classes, by Box F1 of a."
