"""The difficult subset from a published list, and classes with difficult objects alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prediction_cases import image_of, measure, point_map, truth_of

from workloads.errors import ConfigError, NotFound
from workloads.metrics.options import MetricOptions
from workloads.metrics.pair_list import read_pairs
from workloads.metrics.registry import build_metrics

CLASSES = ("cat", "dog", "tv monitor")


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_and_json_are_the_same_list(tmp_path: Path) -> None:
    rows = [{"image": "000012.jpg", "class": "dog"}, {"image": "3", "class": "tv monitor"}]
    text = "set,image,class\nval,000012,dog\nval,3,tv monitor\n"
    expected = {("000012", 1), ("3", 2)}
    assert read_pairs(written(tmp_path, "a.csv", text), CLASSES) == expected
    assert read_pairs(written(tmp_path, "b.csv", "\ufeff" + text), CLASSES) == expected
    assert read_pairs(written(tmp_path, "a.json", json.dumps(rows)), CLASSES) == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "image,class\n1,dgo\n", r"row 1: unknown class 'dgo'.*'dog'"),
        ("a.csv", "image,label\n1,dog\n", "row 1 has no 'class'"),
        ("a.csv", "image,class\n", "no pair in it"),
        ("a.json", "{}", "not a JSON array"),
        ("a.json", "[", "not a table"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_pairs(written(tmp_path, name, text), CLASSES)
    assert "\n" not in str(caught.value)


def test_a_list_decides_instead_of_the_definition(tmp_path: Path) -> None:
    """Class 0 is small and in company in both images; the list has image b and the large class."""
    truth = truth_of((0, 0, 4, 4, 0), (0, 0, 20, 20, 1))
    maps = {0: point_map(2, 2), 1: point_map(19, 19)}
    images = [image_of(truth, maps, image_id=name) for name in ("a", "b")]
    assert measure("pointing_diff", images, pointing_tolerance_px=0).counted == 2
    path = written(tmp_path, "list.csv", "image,class\nb,cat\na,dog\nc,cat\n")
    options = MetricOptions(difficult_pairs=path, pointing_tolerance_px=0, bootstrap=0)
    metric = build_metrics(["pointing_diff"], 3, options, CLASSES)["pointing_diff"]
    columns = [metric.update(image) for image in images]
    assert columns == [{1: {"hit": True}}, {0: {"hit": True}}]
    assert (metric.result().counted, metric.result().skipped) == (2, 2)
    assert metric.used_options["difficult_pairs"] == str(path)


def test_a_list_needs_names_and_a_file(tmp_path: Path) -> None:
    options = MetricOptions(difficult_pairs=tmp_path / "none.csv", bootstrap=0)
    with pytest.raises(NotFound, match="no such file"):
        build_metrics(["pointing_diff"], 3, options, CLASSES)
    unnamed = build_metrics(["pointing_diff"], 3, options)["pointing_diff"]
    with pytest.raises(ConfigError, match="use_classes"):
        unnamed.update(image_of(truth_of((0, 0, 4, 4, 0)), {0: point_map(2, 2)}))


def test_classes_with_difficult_objects_alone_may_count() -> None:
    # Class 0 is hit; class 1 is difficult and missed; class 2 has both kinds, a difficult one hit.
    truth = truth_of(
        (0, 0, 4, 4, 0), (0, 16, 4, 20, 1, True), (16, 0, 20, 4, 2), (8, 8, 12, 12, 2, True)
    )
    maps = {0: point_map(2, 2), 1: point_map(19, 19), 2: point_map(10, 10)}
    images = [image_of(truth, maps)]
    skip = measure("pointing", images, pointing_tolerance_px=0)
    assert (skip.value, skip.counted, skip.skipped) == (1, 2, 1)
    count = measure("pointing", images, pointing_tolerance_px=0, pointing_difficult_only="count")
    assert count.value == pytest.approx(2 / 3)
    assert count.per_class == {0: 1, 1: 0, 2: 1}
    assert (count.counted, count.skipped) == (3, 0)


def test_points_may_be_ranked_by_their_response() -> None:
    """By the class score the wrong point of image b comes first, by the response the right one."""
    truth = truth_of((0, 0, 4, 4, 0))
    right, wrong = 2 * point_map(2, 2), 1 * point_map(19, 19)
    images = [
        image_of(truth, {0: right, 1: wrong, 2: wrong}, (0.2, 0.1, 0.1), "a"),
        image_of(truth, {0: wrong, 1: wrong, 2: wrong}, (0.9, 0.1, 0.1), "b"),
    ]
    exact = {"prediction_tolerance_px": 0}
    # b is a false case and a missed object: precision 1/2 or 1 at the recall of 1/2.
    assert measure("pointing_map", images, **exact).value == pytest.approx(1 / 4)
    ranked = measure("pointing_map", images, **exact, pointing_score="response")
    assert ranked.value == pytest.approx(1 / 2)
    few = image_of(truth, {0: right})
    with pytest.raises(NotFound, match="maps of all 3 classes are needed and 1 are stored"):
        measure("pointing_map", [few], pointing_score="response")


def test_the_11_point_value_of_classification() -> None:
    # Positive, negative, positive: precision 1 up to recall 1/2 (6 points), then 2/3 (5 points).
    truths = [truth_of(labels=(0,)), truth_of(labels=(1,)), truth_of(labels=(0,))]
    images = [
        image_of(truth, {0: point_map(0, 0)}, (score, 0, 0), name)
        for truth, score, name in zip(truths, (0.9, 0.8, 0.7), "abc", strict=True)
    ]
    found = measure("classification_map_11pt", images)
    assert found.per_class[0] == pytest.approx((6 + 5 * 2 / 3) / 11)
    area = measure("classification_map", images).per_class[0]
    assert area == pytest.approx((1 + 2 / 3) / 2)
