"""The table of `wsol evaluate`: what is rounded, left out, and shown by class."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import orchestrator.evaluate
from orchestrator.cli.main import app
from workloads.shards.shards import Shards


def metric(value: float | None, confidence: float = 0.95, **more: Any) -> dict[str, Any]:
    plain = {"interval": None, "centre": None, "per_class": {}, "counted": 9, "skipped": 0}
    return {"value": value, "options": {"confidence": confidence}, **plain, **more}


@dataclass(frozen=True)
class Measured:
    metrics: dict[str, Any]
    method: str = "cam"
    backbone: str = "tiny"
    split: str = "test"
    images: int = 9
    classes: tuple[str, ...] = ("cat", "[b]dog", "owl")
    out: Path = Path("made")


@pytest.fixture
def evaluate(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Shards, "open", lambda folder: folder)

    def call(metrics: dict[str, Any], *words: str) -> Any:
        called: list[tuple[Any, ...]] = []

        def work(_: Any, *arguments: Any) -> Measured:
            called.append(arguments)
            return Measured(metrics)

        monkeypatch.setattr(orchestrator.evaluate, "evaluate", work)
        given = ["evaluate", "m", "--shards", "in", *words]
        done = CliRunner().invoke(app, given, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done, called[0]

    return call


def rows(done: Any) -> list[list[str]]:
    lines = done.stdout.splitlines()
    return [[c.strip() for c in line.split("  ") if c.strip()] for line in lines]


def test_values_have_three_decimals_and_what_is_missing_a_dash(evaluate):
    metrics = {
        "box_f1": metric(0.12345, interval=(0.1, 0.23456), centre=0.5, skipped=2),
        "pointing": metric(1.0),
    }
    done, _ = evaluate(metrics)
    shown = rows(done)
    assert shown[0] == ["metric", "value", "95% interval", "centre", "counted", "skipped"]
    assert shown[2:] == [
        ["box_f1", "0.123", "0.100 - 0.235", "0.500", "9", "2"],
        ["pointing", "1.000", "–", "–", "9", "0"],
    ]


def test_by_class_each_name_is_shown_as_it_is(evaluate):
    per_class = {0: 0.25, 1: 0.75, 2: None}
    done, _ = evaluate({"box_f1": metric(0.5, per_class=per_class)}, "--per-class")
    assert rows(done)[0][:3] == ["metric", "class", "value"]
    assert [row[:3] for row in rows(done)[2:]] == [
        ["box_f1", "all", "0.500"],
        ["box_f1", "cat", "0.250"],
        ["box_f1", "[b]dog", "0.750"],
        ["box_f1", "owl", "–"],
    ]


def test_intervals_of_different_confidence_are_all_in_the_head(evaluate):
    done, _ = evaluate({"a": metric(0.5, 0.95), "b": metric(0.5, 0.9), "c": metric(0.1, 0.9)})
    assert rows(done)[0][2] == "90% 95% interval"


def test_what_counted_nothing_is_left_out_of_the_table_and_named(evaluate):
    metrics = {"pxap": metric(None, counted=0), "box_f1": metric(0.5), "ap": metric(0, counted=0)}
    done, _ = evaluate(metrics)
    assert [row[0] for row in rows(done)[2:]] == ["box_f1"]
    assert done.stderr.splitlines() == [
        "cam on tiny: 9 images of split test",
        "nothing to count for: ap, pxap",
        "single images: made/per_image.parquet",
    ]


def test_if_nothing_counts_there_is_still_an_answer(evaluate):
    done, _ = evaluate({"pxap": metric(None, counted=0)})
    assert rows(done)[0][0] == "metric"
    assert "nothing to count for: pxap" in done.stderr


def test_the_json_has_every_digit_and_what_counted_nothing(evaluate):
    metrics = {
        "pxap": metric(float("nan"), counted=0),
        "f1": metric(1 / 3, per_class={1: 2 / 3}, interval=(0.1, 0.2)),
    }
    done, _ = evaluate(metrics, "-o", "json", "--per-class")
    found = json.loads(done.stdout)["metrics"]
    assert found["pxap"]["value"] is None
    assert (found["f1"]["value"], found["f1"]["per_class"]) == (1 / 3, {"1": 2 / 3})
    assert found["f1"]["interval"] == [0.1, 0.2]


def test_rankings_and_the_split_of_the_settings_are_handed_on(evaluate):
    words = ["--ranking", "a", "--ranking", "torchvision:resnet18=w.pt"]
    _, called = evaluate({"f1": metric(0.5)}, *words, "--set", "data.test_split=minival")
    assert called[2] == "minival"
    assert called[-1] == ["a", "torchvision:resnet18=w.pt"]
