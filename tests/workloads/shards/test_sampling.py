"""The order in which images are chosen, and what is read for it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import made_record, write_shards

from workloads.errors import NotFound
from workloads.records import GroundTruth, Record
from workloads.shards.sampling import sample

CLASSES = ("cat", "dog", "owl")
LABELS = st.sets(st.integers(0, 2), max_size=3).map(lambda labels: tuple(sorted(labels)))


def labelled(image_id: str, *labels: int, split: str = "train") -> Record:
    return made_record(image_id, GroundTruth(labels=labels), split=split, image=image_id.encode())


def order(image_id: str) -> str:
    return hashlib.sha256(image_id.encode()).hexdigest()


def ids(folder: Path, count: int) -> list[str]:
    return [record.image_id for record in sample(folder, ["train"], count)]


def test_one_image_is_the_first_of_all(tmp_path: Path) -> None:
    names = [f"i{k}" for k in range(12)]
    folder = write_shards(
        tmp_path / "s", [labelled(n, k % 3) for k, n in enumerate(names)], CLASSES
    )
    assert ids(folder, 1) == [min(names, key=order)]


def test_a_record_comes_back_whole(tmp_path: Path) -> None:
    made = [labelled(f"i{k}", k % 3) for k in range(7)]
    folder = write_shards(tmp_path / "s", made, CLASSES, rows_per_file=5, rows_per_group=2)
    for record in sample(folder, ["train"], 7):
        assert record.image == record.image_id.encode()
        assert record.truth.labels == (int(record.image_id[1:]) % 3,)


def test_a_difficult_class_chooses_too(tmp_path: Path) -> None:
    cats = [labelled(f"c{k}", 0) for k in range(20)]
    owl = made_record("o", GroundTruth(difficult_labels=(2,)), image=b"")
    folder = write_shards(tmp_path / "s", [*cats, owl], CLASSES)
    assert "o" in ids(folder, 2)


def test_an_image_of_two_classes_is_chosen_once_and_stands_at_its_first(tmp_path: Path) -> None:
    both = labelled("both", 0, 2)
    folder = write_shards(tmp_path / "s", [labelled("dog", 1), both], CLASSES)
    assert ids(folder, 5) == ["both", "dog"]


def test_a_missing_split_is_said(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", [labelled("a", 0)], CLASSES)
    with pytest.raises(NotFound, match="unknown split 'test'"):
        sample(folder, ["train", "test"], 3)


@settings(max_examples=25, deadline=None)
@given(labels=st.lists(LABELS, min_size=1, max_size=14), count=st.integers(1, 16))
def test_every_class_has_its_turn_before_any_has_two(
    labels: list[tuple[int, ...]], count: int
) -> None:
    made = [labelled(f"i{k}", *of_image) for k, of_image in enumerate(labels)]
    with tempfile.TemporaryDirectory() as name:
        folder = write_shards(Path(name) / "s", made, CLASSES, rows_per_file=4, rows_per_group=3)
        chosen = ids(folder, count)
        fewer = ids(folder, count - 1) if count > 1 else []
    assert len(chosen) == len(set(chosen)) == min(count, len(made))
    assert set(fewer) <= set(chosen)  # a larger sample only adds
    present = {label for of_image in labels for label in of_image or (-1,)}
    if count >= len(present):
        shown = {label for i in chosen for label in labels[int(i[1:])] or (-1,)}
        assert shown == present
