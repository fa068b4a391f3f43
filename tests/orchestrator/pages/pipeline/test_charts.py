"""Charts of a report from values: which are drawn, and what their captions say."""

from __future__ import annotations

from typing import Any

import pytest
from report_methods import made_card, made_method

from orchestrator.pages.figures import Line
from orchestrator.pages.pipeline import charts as module
from orchestrator.pages.pipeline.charts import CURVE_POINTS, charts
from orchestrator.pages.pipeline.methods import Method


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Title to what is drawn below it, instead of a drawing."""
    seen: dict[str, Any] = {}

    def note(what: Any, x_label: str, title: str, alt: str, **options: bool) -> str:
        seen[title] = what
        return alt

    monkeypatch.setattr(module, "curves", note)
    monkeypatch.setattr(module, "trials", note)
    return seen


def captions(methods: list[Method]) -> list[str]:
    return [chart.caption for chart in charts(methods)]


def curve(cutoffs: list[float], values: list[float | None]) -> dict[str, Any]:
    return {"metric": "box_f1", "trials": [], "curve": {"cutoffs": cutoffs, "gt_known": values}}


def test_without_epochs_trials_and_details_only_the_search_is_there(drawn: dict) -> None:
    method = made_method("a", card=made_card(cutoff=0.25))
    assert captions([method]) == [
        "Right boxes, the class given. Dots: the cut-offs that the search chose (a 0.25)."
    ]
    assert list(drawn) == ["GT-known localization, validation"]


def test_the_last_epoch_is_said_and_gaps_are_left(drawn: dict) -> None:
    epochs = [
        {"epoch": 1, "loss": 0.5},
        {"epoch": 2, "val_classification_map": 0.25},
        {"epoch": 3, "loss": 0.125},
        {"epoch": 4},
    ]
    said = captions([made_method("old"), made_method("a", epochs=epochs)])
    assert said[0] == "After the last epoch: a 0.125."
    assert said[1] == "After the last epoch: a 25.0 %."
    (line,) = drawn["Training loss"]
    assert (line.method, list(line.x)) == (1, [1, 2, 3, 4])
    assert [y == y for y in line.y] == [True, False, True, False]  # NaN is a gap


def test_a_loss_that_is_never_a_number_is_no_chart(drawn: dict) -> None:
    epochs = [{"epoch": 1, "loss": float("nan")}, {"epoch": 2, "loss": float("inf")}]
    charts([made_method("a", epochs=epochs)])
    assert "Training loss" not in drawn


def test_the_mark_is_the_chosen_cut_off_at_the_nearest_point(drawn: dict) -> None:
    search = curve([0.0, 0.4, 0.8], [0.1, 0.7, None])
    charts([made_method("a", search=search, card=made_card(cutoff=0.5))])
    (line,) = drawn["GT-known localization, validation"]
    assert line.mark == (0.5, 0.7)
    assert line.y[2] != line.y[2]


@pytest.mark.parametrize("count", [1, CURVE_POINTS, CURVE_POINTS + 1, 1001, 10_000])
def test_long_curves_are_thinned_from_their_first_point(drawn: dict, count: int) -> None:
    cutoffs = [k / count for k in range(count)]
    charts([made_method("a", search=curve(cutoffs, list(cutoffs)))])
    (line,) = drawn["GT-known localization, validation"]
    assert 0 < len(line.x) <= CURVE_POINTS
    assert list(line.x) == line.y
    assert line.x[0] == 0
    if count <= CURVE_POINTS:
        assert list(line.x) == cutoffs


def test_trials_say_what_won(drawn: dict) -> None:
    trial = {"cutoff": 0.3, "alpha": 0.2, "box_f1": None}
    search = curve([0.5], [0.5]) | {"trials": [trial, trial | {"box_f1": 0.5}]}
    card = made_card(alpha=0.2, score_threshold=0.125)
    said = captions([made_method("a", search=search, card=card)])
    assert said[-1].endswith("Won: a α = 0.20, score ≥ 0.12.")
    points = drawn["Best of each α: Box F1, validation"]
    assert [(p.method, p.x, p.alpha) for p in points] == [(0, 0.3, 0.2)] * 2
    assert points[0].y != points[0].y
    assert points[1].y == 0.5


def test_curves_of_the_test_split_are_dashed_by_iou(drawn: dict) -> None:
    by_iou = {f"0.{k}": {"curve": [k / 10, None]} for k in (3, 5, 7)}
    details = {"curve_cutoffs": [0.1, 0.2], "by_iou": by_iou}
    said = captions([made_method("a", {"max_box_acc_v2": {"details": details}}), made_method("b")])
    assert said[-1].endswith("IoU of at least: dashed 0.3, solid 0.5, dotted 0.7.")
    lines = drawn["Box accuracy of all components, test"]
    assert [(line.method, line.dashes, line.y[0]) for line in lines] == [
        (0, "--", 0.3), (0, "-", 0.5), (0, ":", 0.7),
    ]  # fmt: skip


def test_overlaps_are_shares_amid_their_bins(drawn: dict) -> None:
    counts = {"gt_known": {"details": {"iou_histogram": [1, 0, 0, 3]}}}
    none = {"gt_known": {"details": {"iou_histogram": [0, 0, 0, 0]}}}
    charts([made_method("a", none), made_method("b", counts)])
    middles = [0.125, 0.375, 0.625, 0.875]
    assert drawn["Overlap of the boxes with the true ones, test"] == [
        Line(1, middles, [0.25, 0, 0, 0.75], steps=True)
    ]
