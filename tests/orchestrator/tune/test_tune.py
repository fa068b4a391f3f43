"""The search from stored predictions to its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prediction_cases import box_map, prediction_of, truth_of

from orchestrator.config.settings import Evaluate
from orchestrator.tune.stored_maps import TuneResult, tune
from workloads.artifacts import read_json, seal, write_json
from workloads.localization.cutoffs import Cutoffs
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.model import Model
from workloads.models.version import CARD_FILE
from workloads.predictions.predictions import Predictions
from workloads.predictions.store import write_predictions
from workloads.search.options import SearchOptions

# Above .5 the box is the small one, below it the large one; a far pixel stretches a tight one.
NESTED = box_map(20, 20, (0, 0, 16, 16, 0.5), (0, 0, 6, 6, 1.0))
FAR = box_map(20, 20, (0, 0, 6, 6, 1.0), (15, 15, 16, 16, 0.9))
SMALL, LARGE = (0, 0, 6, 6), (0, 0, 16, 16)


def search(folder: Path, rows: list, cutoffs: Cutoffs, **options: Any) -> TuneResult:
    card = ModelCard(
        method="any",
        method_options={},
        backbone="any",
        task="multilabel",
        classes=("a", "b"),
        preprocessing=Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)),
        cutoffs=cutoffs,
        cooccurrence=((0.0, 0.0), (0.0, 0.0)),
        provenance={},
    )
    write_json(folder / "model" / CARD_FILE, card.model_dump(mode="json"))
    write_predictions(folder / "stored" / "part-00000.parquet", rows)
    seal(folder / "stored", kind="predictions", rows=len(rows), request={})
    wanted, metrics = SearchOptions(cutoff_range=(0.1, 0.8), **options), Evaluate().metrics
    seal(folder / "model", kind="model")
    model, stored = Model.open(folder / "model"), Predictions.open(folder / "stored")
    return tune(model, stored, wanted, metrics, folder / "search.json")


def rows_of(*cases: tuple) -> list:
    return [
        prediction_of(f"{label}-{i}", truth_of((*box, label)), [0.9 * (k == label) for k in (0, 1)],
                      {label: heat})
        for label, heat, box, count in cases
        for i in range(count)
    ]  # fmt: skip


def test_a_cutoff_for_each_class_only_where_it_is_asked_for(tmp_path):
    rows = rows_of((0, NESTED, SMALL, 60), (1, NESTED, LARGE, 50))
    common = search(tmp_path / "a", rows, Cutoffs())
    of_class = search(tmp_path / "b", rows, Cutoffs(), per_class=True)
    assert (common.cutoff, common.class_cutoffs) == (0.5, ())
    assert of_class.cutoff == 0.5
    assert of_class.class_cutoffs == pytest.approx((0.5, 0.499))
    assert common.values["gt_known"] == pytest.approx(60 / 110)
    assert of_class.values["gt_known"] == of_class.values["box_f1"] == 1.0
    written = read_json(tmp_path / "b" / "search.json")
    assert written["class_cutoffs"] == list(of_class.class_cutoffs)
    assert of_class.best.class_cutoffs == of_class.class_cutoffs


@pytest.mark.parametrize(("rule", "expected"), [("largest", 1.0), ("tight", 0.0)])
def test_the_box_rule_is_that_of_the_trained_model(tmp_path, rule, expected):
    found = search(tmp_path, rows_of((0, FAR, SMALL, 3)), Cutoffs(box_rule=rule))
    assert found.values["gt_known"] == expected
    assert np.max(found.curve["gt_known"]) == 1.0
