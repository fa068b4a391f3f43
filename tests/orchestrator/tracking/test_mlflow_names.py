"""Names, values and errors as MLflow takes and gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.tracking.mlflow_store import clean_key, flat, root_cause

ROOT = Path(__file__).resolve().parents[3]


def test_parameters_are_flattened_and_cut() -> None:
    values = flat({"train": {"lr": 0.1, "steps": [1, 2]}, "empty": {}, "x" * 300: "y" * 9000})
    assert values["train.lr"] == "0.1"
    assert values["train.steps"] == "[1, 2]"
    assert values["empty"] == "{}"
    (long,) = [k for k in values if k.startswith("x")]
    assert len(long) == 250
    assert len(values[long]) == 500
    assert values[long].endswith("…")


@pytest.mark.parametrize(
    ("given", "clean"),
    [("loss", "loss"), ("val/box f1", "val/box f1"), ("AP@0.5", "AP_0.5"), ("a//b/../c", "a/c")],
)
def test_names_are_made_fit(given: str, clean: str) -> None:
    assert clean_key(given) == clean


@pytest.mark.parametrize("bad", ["", "/", "..", "../x", "(", "/etc"])
def test_no_name_is_refused_by_mlflow(bad: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(clean_key(bad))


def test_root_cause_is_one_short_line() -> None:
    wrapped = ValueError("wrapped")
    wrapped.__context__ = ConnectionRefusedError("refused\nby all")
    assert root_cause(wrapped) == "refused by all"
    assert len(root_cause(ValueError("x" * 1000))) == 200
    assert root_cause(ValueError()) == "ValueError"
