"""Images with all that was found in them: what comes back from a row, and what is chosen of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_candidates import found_image, made_candidates, made_detections

from workloads.annotation.found import FOUND_FIELDS, MAP_COLUMNS, NOTHING, candidates_in, found_row
from workloads.annotation.selection import Selection
from workloads.errors import ConfigError, NotFound
from workloads.localization.candidates import Candidates, find_candidates, wanted_classes
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.detect import detect

TWO = made_detections([[0, 0, 9, 9], [5, 5, 8, 8], [1, 1, 2, 2]], [0.9, 0.5, 0.2], [2, 0, 2])
RNG = np.random.default_rng(0)
MAPS = [(RNG.random((7, 6)).astype(np.float32),) for _ in range(4)]
SCORES = np.array([0.1, 0.7, 0.3, 0.6], np.float32)
TOGETHER = RNG.random((4, 4)) / 5


def read_back(*given: Candidates) -> list[Candidates]:
    rows = [found_row(one, 6) for one in given]
    return list(candidates_in(pa.Table.from_pylist(rows, schema=pa.schema(FOUND_FIELDS))))


def candidates(labels: list[int], **cutoffs: object) -> Candidates:
    chosen = Cutoffs(**cutoffs)
    return find_candidates(
        SCORES, labels, lambda k: MAPS[k], 60, 70, chosen, TOGETHER, keep_maps=True
    )


@given(arrays(np.float32, (3, 4, 5), elements=st.floats(-1e6, 1e6, width=32)))
def test_maps_come_back_within_a_step(values: np.ndarray) -> None:
    given = made_candidates(made_detections([[0, 0, 9, 9]], [0.5], [1]))
    stored = replace(given, maps=((values[0], values[1], values[2, :2]),))
    (found,) = read_back(stored)
    assert found.maps is not None
    for ours, theirs in zip(found.maps[0], stored.maps[0], strict=True):
        step = (float(theirs.max()) - float(theirs.min())) / 65_535
        assert ours.shape == theirs.shape
        # Half a step, and the rounding of a float32.
        assert np.abs(ours - theirs).max() <= step / 2 + np.abs(theirs).max() * 2e-7


def test_an_image_without_a_candidate_has_no_maps_and_says_that_they_are_kept() -> None:
    assert [one.maps for one in read_back(NOTHING, replace(NOTHING, maps=()))] == [None, ()]


def test_rows_come_back_as_they_were_whatever_stands_beside_them() -> None:
    given = [made_candidates(TWO), NOTHING, made_candidates(TWO, maps=True)]
    rows = pa.Table.from_pylist([found_row(one, 6) for one in given], pa.schema(FOUND_FIELDS))
    # in several chunks and from the middle on, as a table may lie in memory
    tables = [rows, pa.concat_tables([rows[:1], rows[1:]]), pa.concat_tables([rows, rows])[3:]]
    for table in [*tables, rows.drop_columns(MAP_COLUMNS)]:
        found = list(candidates_in(table))
        assert [one.maps is None for one in found][:2] == [True, True]
        assert (found[2].maps is None) == ("maps" not in table.column_names)
        for ours, theirs in zip(found, given, strict=True):
            assert ours.labels.tolist() == theirs.labels.tolist()
            assert ours.points_xy.tolist() == theirs.points_xy.tolist()
            assert ours.detections.boxes_xyxy.tolist() == theirs.detections.boxes_xyxy.tolist()
            assert ours.detections.scores.tolist() == theirs.detections.scores.tolist()
            assert ours.detections.labels.tolist() == theirs.detections.labels.tolist()
            size = (ours.detections.width, ours.detections.height)
            assert size == (theirs.detections.width, theirs.detections.height)


@pytest.mark.parametrize("rule", ["largest", "all"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_boxes_at_a_threshold_are_those_of_a_model_with_it(rule: str, alpha: float) -> None:
    every = candidates([0, 1, 2, 3], box_rule=rule, alpha=alpha)
    for threshold in (0.0, 0.3, 0.6, 0.65, 2.0):
        model = Cutoffs(box_rule=rule, alpha=alpha, score_threshold=threshold)
        expected = detect(SCORES, lambda k: MAPS[k], 60, 70, model, TOGETHER)
        found = every.detections_at(threshold)
        for name in ("boxes_xyxy", "scores", "labels"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_other_cutoffs_are_those_of_a_model_with_them() -> None:
    tight = candidates([1, 3], cutoff=0.9).recut(Cutoffs(cutoff=0.3))
    wide = candidates([1, 3], cutoff=0.3)
    np.testing.assert_array_equal(tight.detections.boxes_xyxy, wide.detections.boxes_xyxy)
    np.testing.assert_array_equal(tight.detections.scores, wide.detections.scores)
    with pytest.raises(NotFound, match="no maps were kept"):
        made_candidates(TWO).recut(Cutoffs(cutoff=0.3))


def test_the_point_is_the_hottest_pixel() -> None:
    raw = np.zeros((7, 6), np.float32)
    raw[6, 5] = 1  # the last of each ten pixels: its centre is five before the far edge
    found = find_candidates(SCORES, [0], lambda _: (raw,), 60, 70, Cutoffs(), TOGETHER)
    np.testing.assert_allclose(found.points_xy, [[55.5, 65.5]], atol=0.51)


def test_wanted_are_the_present_and_some_of_the_next() -> None:
    cutoffs = Cutoffs(score_threshold=0.6)
    assert wanted_classes(SCORES, cutoffs, floor=0.0, most=0) == [1, 3]
    assert wanted_classes(SCORES, cutoffs, floor=0.0, most=1) == [1, 2, 3]
    assert wanted_classes(SCORES, cutoffs, floor=0.2, most=9) == [1, 2, 3]
    assert wanted_classes(SCORES, cutoffs, floor=0.0, most=9) == [0, 1, 2, 3]
    assert wanted_classes(SCORES, Cutoffs(score_threshold=0.9), floor=0.95, most=9) == []


def test_a_selection_keeps_what_reaches_the_score_and_is_wanted() -> None:
    classes, own = ["a", "b", "c"], Cutoffs(score_threshold=0.6)
    image = found_image(4, "x.jpg", TWO)

    def labels(**options: object) -> tuple[list[int], list[int]]:
        shown = Selection.of(own, classes, **options).apply(image)
        return shown.detections.labels.tolist(), shown.candidates.labels.tolist()

    assert labels() == ([2, 2], [2])
    assert labels(min_score=0.5) == ([2, 0, 2], [0, 2])
    assert labels(min_score=0.5, names=["a"]) == ([0], [0])
    assert labels(min_score=0.95) == ([], [])
    with pytest.raises(ConfigError, match="unknown class 'd'"):
        Selection.of(own, classes, names=["d"])
    with pytest.raises(ConfigError, match=r"--cutoff: cutoff: .*less than 1"):
        Selection.of(own, classes, cutoff=1.5)
    with pytest.raises(NotFound, match="no maps were kept"):
        labels(cutoff=0.4)
    assert labels(cutoff=own.cutoff) == labels()  # it changes nothing, so it needs no maps
