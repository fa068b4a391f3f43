"""`wsol bench`: facts and tables of a measurement, and its JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator.benchmarks import registry
from orchestrator.cli.main import app
from workloads.errors import ConfigError
from workloads.registry import Registry

MEASURED: dict[str, Any] = {
    "ratio": np.float64(2.5),
    "baseline_s": 0.123456,
    "empty": [],
    "sizes": [1, 2],
    "rows": [
        {"method": "cam", "box_f1": {"mean": 0.25, "deviation": 0.0314}, "pxap": None},
        {"method": "spn", "box_f1": {"mean": 0.5, "deviation": None}, "pxap": {"mean": None}},
    ],
}


@pytest.fixture
def bench(monkeypatch):
    def measure(extent: str = "usual") -> dict[str, Any]:
        print("chatter")  # noqa: T201 - what must not reach stdout
        return {**MEASURED, "extent": extent}

    made = Registry("benchmark", {"mine": measure})
    monkeypatch.setattr(registry, "BENCHMARKS", made)

    def call(*words: str) -> Any:
        return CliRunner().invoke(app, ["bench", *words], catch_exceptions=False)

    return call


def test_the_json_is_what_was_measured_with_its_name(bench):
    done = bench("mine", "-o", "json")
    assert json.loads(done.stdout) == {"name": "mine", **MEASURED, "extent": "usual"}
    assert done.stderr == "bench mine ...\nchatter\n"


@pytest.mark.parametrize("extent", ["quick", "full"])
def test_less_or_more_can_be_asked_for(bench, extent):
    assert json.loads(bench("mine", f"--{extent}", "-o", "json").stdout)["extent"] == extent


def test_less_and_more_at_once_are_refused(bench):
    with pytest.raises(ConfigError, match="--quick and --full are two extents"):
        bench("mine", "--quick", "--full")


def test_people_see_facts_and_below_them_tables(bench):
    lines = [line.rstrip() for line in bench("mine").stdout.splitlines()]
    facts, table = lines[: lines.index("extent      usual") + 1], lines[-4:]
    assert facts == [
        "name        mine",
        "ratio       2.5",
        "baseline s  0.1235",
        "empty       –",
        "sizes       1, 2",
        "extent      usual",
    ]
    assert table[0].split() == ["method", "box_f1", "pxap"]
    # a mean over seeds with its deviation, which one seed does not have
    assert table[2].split() == ["cam", "0.250", "±", "0.031", "–"]
    assert table[3].split() == ["spn", "0.500", "–"]


def test_an_unknown_benchmark_is_named_with_the_nearest(bench):
    with pytest.raises(ConfigError) as caught:
        bench("mien")
    assert str(caught.value) == ("unknown benchmark 'mien'; did you mean 'mine'? (allowed: mine)")
