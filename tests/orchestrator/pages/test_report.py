"""The report of a synthetic pipeline: complete, self-contained, small, safe with any names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from html_page import Page, loads_nothing
from synthetic_pipeline import RECIPES, SyntheticPipeline, make_pipeline

from orchestrator.pages.base import percent
from orchestrator.pages.figures import Line, Trial, curves, trials
from orchestrator.pages.heat_table import together
from orchestrator.pages.panels import data_uri
from orchestrator.pages.pipeline.cases import KINDS, Case, Kind, select
from orchestrator.pages.pipeline.facts import duration
from orchestrator.pages.pipeline.methods import read_methods
from orchestrator.pages.pipeline.page import write_report
from orchestrator.pages.pipeline.tables import metric_rows, per_class
from workloads.artifacts import read_json, write_json
from workloads.metrics.registry import METRICS
from workloads.shards.shards import Shards

MAX_BYTES = 3_000_000
HOSTILE = '<img src=x onerror="alert(1)">&\'$x$'
HOSTILE_RECIPES = ('a"b<script>alert(2)</script>', "c&amp;{{ 7 * 7 }}")


def render(job: SyntheticPipeline) -> str:
    write_report(job.settings, job.paths, job.outcome, job.table, job.shards)
    return job.paths.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> SyntheticPipeline:
    return make_pipeline(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def html(job: SyntheticPipeline) -> str:
    return render(job)


@pytest.fixture(scope="module")
def hostile_job(tmp_path_factory: pytest.TempPathFactory) -> SyntheticPipeline:
    classes = [f"{HOSTILE}{index}" for index in range(10)]
    images = {"train": 12, "val": 8, "test": 12}
    return make_pipeline(tmp_path_factory.mktemp("hostile"), HOSTILE_RECIPES, classes, images)


def test_it_loads_nothing(html: str) -> None:
    assert loads_nothing(html) > 20


def test_it_is_small_and_written_whole(job: SyntheticPipeline, html: str) -> None:
    assert 50_000 < len(html.encode()) < MAX_BYTES
    assert [p.name for p in job.paths.folder.glob(".*")] == []


def test_everything_has_its_place(job: SyntheticPipeline, html: str) -> None:
    text = " ".join(Page(html).text)
    for recipe in RECIPES:
        assert recipe in text
    counted = [key for key in job.table[0] if key != "name"]
    assert {"pointing_diff", "coco_ap", "max_box_acc"} <= set(counted)
    for name in counted:
        assert METRICS[name].title in text
    assert METRICS["pxap"].title not in text  # nothing to count: there are no masks
    winner = job.outcome.champion
    assert winner.recipe == "digits-whole"
    assert percent(winner.values["digits-whole"]) in text
    for expected in (
        "60 train · 30 val · 60 test", "wsol-digits version 2", "no GPU", "torch 2.",
        "broken <b>.jpg", "the file is empty", "train-digits-part", "all stages",
        '"class": "', "found by all", "small object", "whole on small, 20 epochs, from start-small",
    ):  # fmt: skip
        assert expected in text, expected


def test_the_table_holds_the_values_and_marks_the_best(job: SyntheticPipeline, html: str) -> None:
    for row in job.table:
        for key, value in row.items():
            if key != "name":
                assert f">{percent(value)}<" in html
    methods = read_methods(job.settings, job.paths, job.outcome.champion.recipe)
    assert [m.name for m in methods] == ["digits-whole", "digits-part"]
    rows = metric_rows(job.table, methods)
    known = next(row for row in rows if row.title == METRICS["gt_known"].title)
    assert [cell.best for cell in known.cells] == [True, False]
    assert known.centre is not None
    assert known.explained.startswith("Share of image-class pairs")
    assert "section" not in "".join(row.explained for row in rows)


def test_every_picture_has_words_and_boxes_within_it(html: str) -> None:
    page = Page(html)
    alts = page.values("img", "alt")
    assert len(alts) == len(page.values("img", "src")) >= 3 * 6
    assert all(alts)
    assert all(page.values("svg", "aria-label"))
    styles = [s for s in page.values("i", "style") if s.startswith("left:")]
    assert len(styles) > 20
    for style in styles:
        left, top, width, height = map(float, re.findall(r":([\d.]+)%", style))
        assert left + width <= 100.01
        assert top + height <= 100.01


def test_hostile_names_are_text(hostile_job: SyntheticPipeline) -> None:
    page = Page(render(hostile_job))
    assert page.open == []
    assert "script" not in page.tags
    assert not [entry for entry in page.attributes if entry[1].startswith("on")]
    text = "".join(page.text)
    for name in (*HOSTILE_RECIPES, f"{HOSTILE}7"):
        assert name in text


def test_missing_values_are_dashes(job: SyntheticPipeline, tmp_path: Path) -> None:
    table = [dict.fromkeys(row) | {"name": row["name"]} for row in job.table]
    nothing = SyntheticPipeline(job.settings, job.paths, job.outcome, table, job.shards)
    html = render(nothing)
    results = html[html.index('class="results"') : html.index('id="pictures"')]
    cells = re.findall(r"<td(?: class=\"\w+\")?>([^<]*)</td>", results)
    assert len(cells) == 3 * (len(job.table[0]) - 1)
    assert set(cells) == {"–"}


def test_a_search_without_any_case_still_gives_a_page(hostile_job: SyntheticPipeline) -> None:
    path = hostile_job.paths.run(HOSTILE_RECIPES[0]).search
    search = read_json(path)
    search["curve"]["gt_known"] = [float("nan")] * len(search["curve"]["cutoffs"])
    search["trials"] = [{**trial, "box_f1": None} for trial in search["trials"]]
    write_json(path, search)
    assert "</html>" in render(hostile_job)


def with_outcome(job: SyntheticPipeline, **values: object) -> SyntheticPipeline:
    outcome = replace(job.outcome, **values)
    return SyntheticPipeline(job.settings, job.paths, outcome, job.table, job.shards)


def test_nothing_left_out_is_said(job: SyntheticPipeline) -> None:
    html = render(with_outcome(job, quarantines={}, read=61))
    assert "None: every listed image was read." in html


def test_a_picture_that_is_gone_is_said(job: SyntheticPipeline, tmp_path: Path) -> None:
    html = render(with_outcome(job, images=tmp_path))
    assert "the picture is not there any more" in html


def gone(shards: Shards) -> Shards:
    """Shards whose files have been lost."""
    return replace(shards, folder=shards.folder / "no")


def test_a_failed_report_leaves_the_old_one(job: SyntheticPipeline, html: str) -> None:
    before = render(job)
    with pytest.raises(FileNotFoundError):
        render(SyntheticPipeline(job.settings, job.paths, job.outcome, job.table, gone(job.shards)))
    assert job.paths.report.read_text(encoding="utf-8") == before


def test_the_same_job_shows_the_same_cases(job: SyntheticPipeline) -> None:
    methods = read_methods(job.settings, job.paths, "digits-whole")
    stored = [(method.predictions, method.card) for method in methods]
    first, second = select(stored), select(stored)
    assert first == second
    shown = [item.case for item in first.chosen]
    assert len({case.image_id for case in shown}) == len(shown) <= sum(k.shown for k in KINDS)
    by_title = {kind.title: kind for kind in KINDS}
    assert all(by_title[item.kind].holds(item.case) for item in first.chosen)
    assert first.images == 60
    # Whether a method did well has no part in the order within a kind.
    kind = Kind("any", 5, lambda case: case.present)
    any_case = [item.case.order for item in select(stored, [kind]).chosen]
    assert any_case == sorted(any_case)


def test_many_methods_get_one_case_per_kind(job: SyntheticPipeline) -> None:
    (method,) = read_methods(job.settings, job.paths, "digits-whole")[:1]
    many = select([(method.predictions, method.card)] * 9)
    assert len({item.kind for item in many.chosen}) == len(many.chosen)


def case(**values: object) -> Case:
    plain = {
        "image_id": "a", "part": 0, "label": 0, "present": True, "difficult": False,
        "ious": (0.8, 0.6), "found": (True, True), "area": 0.2,
    }  # fmt: skip
    return Case(**{**plain, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "values"),
    [
        ({"found by all"}, {}),
        ({"methods disagree"}, {"ious": (0.8, 0.35)}),
        ({"found by all", "small object"}, {"area": 0.01}),
        ({"box wrong"}, {"ious": (0.1, 0.2)}),
        ({"class missed"}, {"ious": (0.0, 0.2), "found": (False, True)}),
        ({"difficult object"}, {"difficult": True}),
        ({"false alarm"}, {"present": False, "ious": (0.0, 0.0), "area": 0.0}),
        (set(), {"ious": (0.0, 0.0), "area": 0.0}),  # labelled, but nobody drew a box
    ],
)
def test_kinds_of_cases(kinds: set[str], values: dict[str, object]) -> None:
    assert {kind.title for kind in KINDS if kind.holds(case(**values))} == kinds


def test_tables_of_many_classes_are_cut_and_say_so(job: SyntheticPipeline, monkeypatch) -> None:
    methods = read_methods(job.settings, job.paths, "digits-whole")
    monkeypatch.setattr("orchestrator.pages.pipeline.tables.PER_CLASS_ROWS", 4)
    monkeypatch.setattr("orchestrator.pages.heat_table.TOGETHER_CLASSES", 3)
    shown = per_class(methods, "box_f1")
    assert len(shown.rows) == 4
    assert "2 best and the 2 worst of 10" in shown.note
    matrix = together(methods[0].card.classes, methods[0].card.cooccurrence)
    assert len(matrix.rows) == len(matrix.heads) == 3
    assert all(row.cells[i] is None for i, row in enumerate(matrix.rows))
    assert "7 classes" in matrix.note


def test_charts_take_the_colours_of_the_page() -> None:
    svg = curves([Line(0, [0, 1], [0.2, 0.4], mark=(0, 0.2)), Line(7, [0], [1.0])], "x", "y", "all")
    assert "var(--m0)" in svg
    assert "var(--m1)" in svg  # the eighth method
    assert "var(--muted)" in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert "font-family" not in svg
    assert "<style" not in svg


def test_charts_show_names_as_they_are() -> None:
    svg = trials([Trial(0, 0.1, 0.2, 0.0)], HOSTILE, "$y", HOSTILE)
    assert "<img" not in svg
    assert "&lt;img src=x" in svg


@pytest.mark.parametrize("size", [(3, 5), (64, 80), (1200, 10)])
def test_pictures_of_every_size_become_data(size: tuple[int, int]) -> None:
    uri = data_uri(np.zeros((*size, 3), np.uint8))
    assert uri.startswith("data:image/webp;base64,")
    assert len(uri) < 20_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599.7, "1 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0.0"), (0.12345, "12.3"), (1.0, "100.0")],
)
def test_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_the_answer_reads_as_json(job: SyntheticPipeline, html: str) -> None:
    page = Page(html)
    answer = next(t for t in page.text if t.startswith('{\n  "detections"'))
    assert json.loads(answer) == read_json(job.paths.served)["answer"]
    assert re.search(r'"box": \[[^\n]+\]', answer)
