"""Tables of a report, from results made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from orchestrator.pages.pipeline import tables
from orchestrator.pages.pipeline.methods import Method
from orchestrator.pages.pipeline.tables import metric_rows, metric_title, per_class
from workloads.localization.cutoffs import Cutoffs


@dataclass(frozen=True)
class Card:
    """As much of a model card as tables and charts look at."""

    classes: tuple[str, ...] = ("cat", "dog", "hen")
    cutoffs: Cutoffs = field(default_factory=lambda: Cutoffs(cutoff=0.4, alpha=0.1))


def metric(
    per_class: dict[str, float | None] | None = None,
    interval: tuple[float, float] | None = None,
    **details: Any,
) -> dict[str, Any]:
    return {"per_class": per_class or {}, "interval": interval, "details": details}


def search(**changes: Any) -> dict[str, Any]:
    return {
        "metric": "box_f1",
        "trials": [{"cutoff": 0.4, "alpha": 0.1, "box_f1": 0.5}],
        "curve": {"cutoffs": [0.0, 0.5], "gt_known": [0.2, 0.6]},
        **changes,
    }


def method(
    name: str,
    metrics: dict[str, Any] | None = None,
    epochs: list[dict[str, float]] | None = None,
    **changes: Any,
) -> Method:
    made = {
        "name": name, "recipe": None, "card": Card(), "results": {"metrics": metrics or {}},
        "search": search(), "epochs": epochs or [], "predictions": None,
    }  # fmt: skip
    return Method(**cast(Any, {**made, **changes}))


def rows(*values: dict[str, float | None], centre: dict[str, float] | None = None) -> list[dict]:
    """A results table of methods a, b, ... and of the centre baseline."""
    names = "abcdef"
    return [{"name": names[i], **v} for i, v in enumerate(values)] + [
        {"name": "centre", **(centre or {})}
    ]


METHODS = [method("a"), method("b")]


@pytest.mark.parametrize(
    ("key", "values", "best"),
    [
        ("pointing", (0.7, 0.6), [True, False]),
        ("pointing", (0.70001, 0.7), [True, True]),  # printed alike
        ("top1_error", (0.7, 0.6), [False, True]),  # the lower, the better
        ("pointing", (None, 0.1), [False, True]),
        ("pointing", (None, None), [False, False]),
        ("pointing", (0.0, None), [True, False]),
    ],
)
def test_the_best_of_each_metric(key: str, values: tuple, best: list[bool]) -> None:
    (row,) = metric_rows(rows(*({key: v} for v in values)), METHODS)
    assert [cell.best for cell in row.cells] == best
    assert [cell.value for cell in row.cells] == list(values)
    assert [cell.method for cell in row.cells] == [0, 1]


def test_of_one_method_nothing_is_best() -> None:
    (row,) = metric_rows(rows({"pointing": 0.9}), METHODS[:1])
    assert not row.cells[0].best


def test_methods_are_found_by_name_whatever_the_order_of_the_table() -> None:
    (row,) = metric_rows(rows({"pointing": 0.1}, {"pointing": 0.2}), METHODS[::-1])
    assert [cell.value for cell in row.cells] == [0.2, 0.1]


def test_the_centre_has_only_what_needs_no_network() -> None:
    table = rows({"pointing": 0.5, "voc_ap": 0.4}, centre={"pointing": 0.3})
    pointing, ap = metric_rows(table, METHODS[:1])
    assert (pointing.centre, ap.centre) == (0.3, None)


def test_a_metric_of_one_method_alone_is_a_row() -> None:
    table = rows({"pointing": 0.5}, {"pointing": 0.6, "object_energy": 0.2})
    keys = [row.title for row in metric_rows(table, METHODS)]
    assert keys == [metric_title("pointing"), metric_title("object_energy")]


def test_an_interval_stands_beside_its_value_and_nowhere_else() -> None:
    measured = [
        method("a", {"pointing": metric(interval=(0.4, 0.6))}),
        method("b", {"pointing": metric()}),
        method("c", {}),
    ]
    (row,) = metric_rows(rows(*({"pointing": v} for v in (0.5, 0.5, None))), measured)
    assert [cell.interval for cell in row.cells] == [(0.4, 0.6), None, None]


def test_what_a_metric_is_is_told_without_the_papers_sections() -> None:
    for key in ("pointing", "corloc", "box_f1", "classification_map"):
        (row,) = metric_rows(rows({key: 0.5}), METHODS[:1])
        assert row.explained
        assert "section" not in row.explained
        assert "\n" not in row.explained


def by_class(values: dict[str, float | None], **others: dict[str, float | None]) -> list[Method]:
    metrics = {key: metric(v) for key, v in {"box_f1": values, **others}.items()}
    return [method("a", metrics)]


def test_classes_in_their_order_with_names() -> None:
    table = per_class(by_class({"2": 0.1, "0": 0.3, "1": None}), "box_f1")
    assert [row.name for row in table.rows] == ["cat", "dog", "hen"]
    assert [row.cells for row in table.rows] == [(0.3,), (None,), (0.1,)]
    assert table.note == ""
    assert table.rows[0].titles == (f"{metric_title('box_f1')}, a",)


def test_the_deciding_metric_comes_first_and_those_without_classes_not_at_all() -> None:
    found = per_class(by_class({"0": 0.1}, pointing={"0": 0.5}, voc_ap={}), "pointing")
    assert found.groups == (metric_title("pointing"), metric_title("box_f1"))
    assert found.rows[0].cells == (0.5, 0.1)


def test_a_class_that_one_method_lacks_is_a_gap() -> None:
    two = [*by_class({"0": 0.1, "1": 0.2}), method("b", {"box_f1": metric({"1": 0.9})})]
    found = per_class(two, "box_f1")
    assert [row.cells for row in found.rows] == [(0.1, None), (0.2, 0.9)]
    assert found.span == 2
    assert found.heads == (0, 1)


def test_of_many_classes_the_best_and_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes without a value are among the worst; of equal ones the first is the better."""
    monkeypatch.setattr(tables, "PER_CLASS_ROWS", 4)
    values = {"0": 0.5, "1": 0.9, "2": 0.5, "3": None, "4": 0.1, "5": 0.7}
    many = method("a", {"box_f1": metric(values)}, card=Card(tuple("abcdef")))
    found = per_class([many], "box_f1")
    assert [row.name for row in found.rows] == ["b", "f", "e", "d"]
    assert (
        found.note == f"The 2 best and the 2 worst of 6 classes, by {metric_title('box_f1')} of a."
    )


def test_no_metric_by_class_is_said() -> None:
    found = per_class([method("a", {"voc_ap": metric()})], "voc_ap")
    assert (found.rows, found.note) == ((), "No metric has values by class.")
