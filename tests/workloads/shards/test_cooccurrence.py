"""Co-occurrence of classes in shards, and rescoring by it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import made_record, write_shards

from workloads.errors import IntegrityError, NotFound
from workloads.localization.cooccurrence import rescore
from workloads.records import GroundTruth
from workloads.shards.cooccurrence import cooccurrence, cooccurrence_of

P = np.array([[1.0, 0.5, 0.0], [0.25, 1.0, 1.0], [0.0, 0.75, 1.0]])
SCORES = np.array([0.5, 0.25, 1.0], np.float32)


def test_by_hand():
    # s0 + 2 (.5 * .25), s1 + 2 (.25 * .5 + 1 * 1), s2 + 2 (.75 * .25)
    assert rescore(SCORES, P, 2.0).tolist() == [0.75, 2.5, 1.375]
    assert rescore(SCORES, P, 2.0).dtype == np.float32


def test_the_diagonal_is_ignored():
    np.testing.assert_array_equal(
        rescore(SCORES, P, 0.3), rescore(SCORES, P - np.diag([1.0, 9.0, -3.0]), 0.3)
    )


def test_without_weight_the_scores_stay_bit_for_bit():
    scores = np.array([0.1, np.float32(1) / 3, 1e-30], np.float32)
    assert rescore(scores, np.zeros((0, 0)), 0.0).tobytes() == scores.tobytes()


def test_many_images_get_the_bits_of_each():
    rng = np.random.default_rng(0)
    p, scores = rng.random((37, 37)), rng.random((50, 37), np.float32)
    together = rescore(scores, p, 0.7)
    for row, expected in zip(scores, together, strict=True):
        assert rescore(row, p, 0.7).tobytes() == expected.tobytes()


def test_a_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must be \(3, 3\)"):
        rescore(SCORES, np.zeros((2, 2)), 0.1)


CLASSES = ("cat", "dog", "owl")


def shards_of(folder: Path, labels: Sequence[tuple[int, ...]], **cut: int) -> Path:
    made = [made_record(f"i{k}", GroundTruth(labels=of), image=b"") for k, of in enumerate(labels)]
    return write_shards(folder, made, CLASSES, **cut)


def test_shares_of_images_by_hand(tmp_path: Path):
    folder = shards_of(tmp_path / "s", [(0,), (0, 1), (0, 1), (1,), (0,), ()])
    # Four cats, three dogs, two of both, no owl.
    assert cooccurrence(folder, "train", 3).tolist() == [[1, 2 / 3, 0], [1 / 2, 1, 0], [0, 0, 0]]


def test_a_class_that_is_only_difficult_is_not_there(tmp_path: Path):
    truth = GroundTruth(labels=(0,), difficult_labels=(1,))
    folder = write_shards(tmp_path / "s", [made_record("a", truth, image=b"")], CLASSES)
    assert cooccurrence(folder, "train", 3).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_no_files_are_no_co_occurrence():
    assert cooccurrence_of([], 2).tolist() == [[0, 0], [0, 0]]


def test_a_label_that_is_no_class_is_one_line_with_the_file(tmp_path: Path):
    folder = shards_of(tmp_path / "s", [(0,), (0, 2)])
    with pytest.raises(IntegrityError) as caught:
        cooccurrence(folder, "train", 2)
    path = folder / "train-00000.parquet"
    assert str(caught.value) == f"{path}: label 2, but there are 2 classes"


def test_a_missing_split_is_not_an_empty_one(tmp_path: Path):
    with pytest.raises(NotFound, match="unknown split 'val'"):
        cooccurrence(shards_of(tmp_path / "s", [(0,)]), "val", 3)


@settings(max_examples=25, deadline=None)
@given(
    labels=st.lists(st.sets(st.integers(0, 2)).map(lambda s: tuple(sorted(s))), min_size=1),
    files=st.integers(1, 5),
)
def test_counts_say_the_same_however_shards_are_cut(labels: list[tuple[int, ...]], files: int):
    with tempfile.TemporaryDirectory() as name:
        p = cooccurrence(shards_of(Path(name) / "s", labels, rows_per_file=files), "train", 3)
    count = [sum(k in of for of in labels) for k in range(3)]
    for i in range(3):
        for j in range(3):
            both = sum(i in of and j in of for of in labels)
            assert p[i, j] == (both / count[j] if count[j] else 0)
