"""The search of `wsol tune` on stored predictions: what it writes and what it tells the tracker."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prediction_cases import random_predictions
from samples import CLASSES, make_model

from orchestrator.config.workspace import RunPaths
from orchestrator.tune.stored_maps import Tuned, TuneResult, log_search, tune
from workloads.artifacts import seal
from workloads.errors import IntegrityError
from workloads.metrics.options import MetricOptions
from workloads.models.model import Model
from workloads.predictions.predictions import Predictions
from workloads.predictions.store import write_predictions
from workloads.records import GroundTruth, no_boxes
from workloads.search.grid_search import MEASURED
from workloads.search.options import SearchOptions


@dataclass
class Told:
    """A tracker that remembers what it was told, in order."""

    runs: dict[str, tuple[str, dict[str, Any], str | None]] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    artifacts: list[tuple[str, Path]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def start_run(
        self, name: str, params: dict[str, Any], tags: dict[str, str], parent: str | None = None
    ) -> str:
        (uid,) = tags.values()
        assert uid not in self.runs, "each run is opened once"
        self.runs[uid] = (name, params, parent)
        return uid

    def log_metrics(self, run: str, values: dict[str, float]) -> None:
        assert run not in self.closed
        self.metrics[run] = values

    def log_artifact(self, run: str, path: Path) -> None:
        self.artifacts.append((run, path))

    def close(self, run: str, status: str) -> None:
        assert status == "FINISHED"
        self.closed.append(run)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.open(make_model(tmp_path / "model", seed=0))


@pytest.fixture
def stored(tmp_path: Path) -> Predictions:
    folder = tmp_path / "predictions"
    folder.mkdir()
    images = random_predictions(seed=2, images=20, classes=len(CLASSES))
    write_predictions(folder / "part-00000.parquet", images[:12])
    write_predictions(folder / "part-00001.parquet", images[12:])
    seal(folder, kind="predictions", rows=20)
    return Predictions.open(folder)


def found(model: Model, stored: Predictions, out: Path, **options: Any) -> TuneResult:
    return tune(model, stored, SearchOptions(alphas=5, **options), MetricOptions(), out)


def test_the_file_is_the_result(model: Model, stored: Predictions, tmp_path: Path) -> None:
    result = found(model, stored, tmp_path / "search.json")
    written = json.loads((tmp_path / "search.json").read_text())
    assert written == json.loads(json.dumps(asdict(result)))
    assert len(written["trials"]) == 5
    assert written["predictions"] == stored.digest


def test_the_file_is_json_though_nothing_had_a_box(model: Model, tmp_path: Path) -> None:
    images = [
        replace(image, truth=GroundTruth.from_boxes(no_boxes(), np.zeros(0, np.int32)))
        for image in random_predictions(seed=2, images=6, classes=len(CLASSES))
    ]
    folder = tmp_path / "boxless"
    folder.mkdir()
    write_predictions(folder / "part-00000.parquet", images)
    seal(folder, kind="predictions", rows=6)
    result = found(model, Predictions.open(folder), tmp_path / "search.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    written = json.loads((tmp_path / "search.json").read_text(), parse_constant=refuse)
    assert "gt_known" in result.unmeasured
    assert written["values"]["gt_known"] is None
    assert written["trials"][0]["gt_known"] is None


def test_a_repeated_search_is_the_same_file(
    model: Model, stored: Predictions, tmp_path: Path
) -> None:
    found(model, stored, tmp_path / "one.json")
    found(model, stored, tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("metric", MEASURED)
def test_the_best_trial_of_the_metric_that_was_asked_for(
    model: Model, stored: Predictions, tmp_path: Path, metric: str
) -> None:
    result = found(model, stored, tmp_path / "search.json", metric=metric)
    best = max(result.trials, key=lambda trial: trial[metric])
    assert result.metric == metric
    assert result.best == Tuned(
        best["cutoff"], best["alpha"], best["score_threshold"], (), {k: best[k] for k in MEASURED}
    )


def test_damaged_predictions_are_not_searched(
    model: Model, stored: Predictions, tmp_path: Path
) -> None:
    (stored.folder / "part-00001.parquet").write_bytes(b"no")
    with pytest.raises((IntegrityError, OSError, ValueError)):
        found(model, stored, tmp_path / "search.json")
    assert not (tmp_path / "search.json").exists()


def test_the_tracker_hears_of_the_search_and_of_every_trial(
    model: Model, stored: Predictions, tmp_path: Path
) -> None:
    run = RunPaths(tmp_path / "first")
    run.folder.mkdir()
    result = found(model, stored, run.search)
    told = Told()
    log_search(told, result, run)  # type: ignore[arg-type]
    training = run.tracking_uid()
    search, *trials = told.runs
    assert told.runs[search] == ("search-first", {"metric": "box_f1"}, training)
    assert told.metrics[search] == {"cutoff": result.cutoff, "alpha": result.alpha, **result.values}
    assert told.artifacts == [(search, run.search)]
    assert [told.runs[t][0] for t in trials] == [f"search-first-{i:03d}" for i in range(5)]
    assert all(told.runs[t][2] == search for t in trials), "trials are below their search"
    for uid, trial in zip(trials, result.trials, strict=True):
        assert told.runs[uid][1] == {"cutoff": trial["cutoff"], "alpha": trial["alpha"]}
        assert told.metrics[uid] == {key: trial[key] for key in MEASURED}
    assert set(told.closed) == set(told.runs)
    assert told.closed[-1] == search


def test_another_run_has_other_ids(model: Model, stored: Predictions, tmp_path: Path) -> None:
    result = found(model, stored, tmp_path / "search.json")
    told = Told()
    for name in ("first", "second"):
        run = RunPaths(tmp_path / name)
        run.folder.mkdir()
        log_search(told, result, run)  # type: ignore[arg-type]
    assert len(told.runs) == 12
