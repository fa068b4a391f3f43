"""Evaluation in blocks: whatever the blocks and their order, the answer is that of one process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import random_predictions

from orchestrator.evaluate import Measured, _blocks, measure_parts, merge_measured, stored_maps
from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluation import results_json
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics
from workloads.models.card import ModelCard, Preprocessing
from workloads.predictions.store import part_files, write_predictions

CLASSES = 3
PARTS = 6
OPTIONS = MetricOptions(thresholds=50, bootstrap=10, frame=32)
CARD = ModelCard(
    method="any",
    method_options={},
    backbone="any",
    task="multilabel",
    classes=("a", "b", "c"),
    preprocessing=Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)),
    cutoffs=Cutoffs(cutoff=0.45, alpha=0.3, box_rule="all"),
    cooccurrence=tuple(map(tuple, np.random.default_rng(5).random((CLASSES, CLASSES)).tolist())),
    provenance={},
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("predictions")
    images = random_predictions(seed=1, images=24, classes=CLASSES)
    for index in range(PARTS):
        write_predictions(folder / f"part-{index:05d}.parquet", images[index::PARTS])
    return part_files(folder)


def measure(parts: list[Path]) -> Measured:
    return measure_parts(parts, CARD, tuple(METRICS), OPTIONS)


def text(measured: Measured) -> str:
    return json.dumps([results_json(measured.metrics), measured.per_image.to_pylist()])


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(PARTS)), cut=st.integers(1, PARTS - 1))
def test_blocks_in_any_order(parts, order, cut):
    shuffled = [parts[i] for i in order]
    merged = merge_measured([measure(shuffled[:cut]), measure(shuffled[cut:])])
    assert text(merged) == text(measure(parts))
    assert merged.images == 24


def test_blocks_hold_about_as_many_images_as_asked(parts):
    assert [len(block) for block in _blocks(parts, 8)] == [2, 2, 2]
    assert [len(block) for block in _blocks(parts, 1)] == [1] * PARTS
    assert _blocks(parts, 10_000) == [parts]


@pytest.mark.parametrize(("wanted", "stored"), [(2, 5), (5, 5), (9, 9)])
def test_the_maps_of_all_classes_are_stored_where_a_metric_needs_them(wanted, stored, capsys):
    options = MetricOptions(pointing_score="response")
    metrics = build_metrics(["gt_known", "pointing_map"], 5, options)
    assert stored_maps(metrics.values(), 5, wanted) == stored
    said = capsys.readouterr().err
    assert ("pointing_map: the options need the maps of all 5 classes" in said) == (wanted < 5)
    plain = build_metrics(tuple(METRICS), 5, MetricOptions())
    assert stored_maps(plain.values(), 5, wanted) == wanted


def test_nothing_to_merge():
    with pytest.raises(ValueError, match="nothing was measured"):
        merge_measured([])
