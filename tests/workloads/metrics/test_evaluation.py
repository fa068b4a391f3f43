"""The table of single images, and the loop that fills it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prediction_cases import PLAIN, prediction_of, random_predictions, truth_of

from workloads.localization.cutoffs import Cutoffs
from workloads.metrics.evaluation import case_schema, case_table, evaluate_predictions, write_cases
from workloads.metrics.options import MetricOptions
from workloads.metrics.registry import METRICS, build_metrics

NAMES = ("gt_known", "top1_error", "box_f1")
PREDICTIONS = [
    # Class 1 is found where it is not, class 0 where it is.
    prediction_of("b", truth_of((0, 0, 10, 10, 0)), [0.9, 0.8, 0.1], {0: PLAIN, 1: PLAIN}),
    # Nothing is there and nothing is found.
    prediction_of("a", truth_of(), [0.1, 0.2, 0.1], {0: PLAIN}),
    # Difficult only: localization says nothing, and the detection is ignored.
    prediction_of("c", truth_of((0, 0, 10, 10, 2, True)), [0.1, 0.2, 0.9], {2: PLAIN}),
]


def table_of(predictions, names=NAMES, classes=3, **options):
    metrics = build_metrics(names, classes, MetricOptions(thresholds=20, frame=24, **options))
    rows = evaluate_predictions(predictions, Cutoffs(), np.zeros((classes, classes)), metrics)
    return case_table(rows, metrics)


def test_the_table_by_hand():
    rows = table_of(PREDICTIONS).to_pylist()
    columns = (
        "image_id", "label", "present", "gt_known.iou", "gt_known.hit", "top1_error.wrong",
        "box_f1.true", "box_f1.false", "box_f1.missed",
    )  # fmt: skip
    assert [tuple(row.values()) for row in rows] == [
        ("a", None, False, None, None, None, None, None, None),
        ("b", 0, True, 1.0, True, False, 1, 0, 0),
        ("b", 1, False, None, None, None, 0, 1, 0),
        ("c", 2, True, None, None, None, 0, 0, 0),
    ]
    assert tuple(rows[0]) == columns


def test_the_schema():
    schema = case_schema({name: METRICS[name] for name in NAMES})
    assert schema.field("image_id") == pa.field("image_id", pa.string(), nullable=False)
    assert schema.field("label") == pa.field("label", pa.int32())
    assert schema.field("present") == pa.field("present", pa.bool_(), nullable=False)
    assert schema.field("gt_known.iou").type == pa.float64()
    assert schema.field("gt_known.hit").type == pa.bool_()
    assert schema.field("box_f1.missed").type == pa.int64()
    assert table_of(PREDICTIONS).schema == schema
    assert table_of([]).schema == schema
    assert table_of([]).num_rows == 0


def test_classes_and_accumulators_have_the_same_schema():
    assert case_schema(METRICS) == case_schema(build_metrics(METRICS, 3))


def test_without_metrics_there_is_still_a_row_for_each_image():
    table = table_of(PREDICTIONS, names=())
    assert table.column_names == ["image_id", "label", "present"]
    assert table["image_id"].to_pylist() == ["a", "b", "c"]
    assert table["label"].null_count == 3


def test_every_metric_fills_just_its_columns():
    images = random_predictions(seed=2, images=40, classes=3)
    table = table_of(images, names=METRICS)
    assert len(set(table["image_id"].to_pylist())) == len(images)
    for name, metric in METRICS.items():
        assert metric.columns, name
        filled = [table[f"{name}.{column}"].null_count < len(table) for column in metric.columns]
        assert all(filled), name
    keys = [(row["image_id"], -1 if row["label"] is None else row["label"])
            for row in table.select(["image_id", "label"]).to_pylist()]  # fmt: skip
    assert keys == sorted(set(keys))
    assert not any(name.endswith(".value") for name in table.column_names)


def test_the_rows_add_up_to_the_results():
    images = random_predictions(seed=2, images=40, classes=3)
    names = ("gt_known", "pointing", "top1_loc", "box_f1", "voc_ap")
    metrics = build_metrics(names, 3)
    rows = evaluate_predictions(images, Cutoffs(cutoff=0.45), np.zeros((3, 3)), metrics)
    table = case_table(rows, metrics).to_pydict()
    results = {name: metric.result() for name, metric in metrics.items()}

    def total(column):
        return sum(value or 0 for value in table[column])

    hits = total("gt_known.hit")
    assert results["gt_known"].value == hits / results["gt_known"].counted
    for column, count in (
        ("box_f1.true", "true_positives"),
        ("box_f1.false", "false_positives"),
        ("box_f1.missed", "false_negatives"),
        ("voc_ap.true", "true_positives"),
        ("voc_ap.missed", "false_negatives"),
    ):
        assert total(column) == results[column.split(".")[0]].details[count]


def test_the_table_of_single_images_is_stored_as_it_is(tmp_path):
    table = case_table([{"image_id": "a", "label": None, "present": False}], {})
    write_cases(tmp_path / "cases.parquet", table)
    assert pq.read_table(tmp_path / "cases.parquet") == table
