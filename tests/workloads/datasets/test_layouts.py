"""Every data set in the registry: digits written in its layout are read back the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ingesting import ingest_all

from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import draw_all, make_digits, options_for
from workloads.datasets.registry import DATASETS, open_dataset
from workloads.errors import NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.records import Record
from workloads.shards.manifest import read_shard_manifest

OPTIONS = DigitsOptions(train=20, val=6, test=6)
EVERYWHERE = OPTIONS.model_copy(update={"groups": (1.0,), "companion": 0.0, "difficult": 0.0})
LIMITS = ImageLimits()


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_written_is_ingested_the_same(tmp_path: Path, name: str) -> None:
    """With all that a layout can hold: several digits, difficult ones."""
    _write_and_compare(tmp_path, name, options_for(DATASETS[name], OPTIONS))


@pytest.mark.parametrize("name", DATASETS)
def test_the_same_images_through_every_reader(tmp_path: Path, name: str) -> None:
    """With what every layout can hold: one digit that is not difficult."""
    _write_and_compare(tmp_path, name, EVERYWHERE)


def _write_and_compare(folder: Path, name: str, options: DigitsOptions) -> None:
    make_digits(folder / "raw", options, layout=DATASETS[name])
    dataset = open_dataset(name, folder / "raw")
    found = {_name(r.image_id): r for r in ingest_all(dataset, folder / "shards").values()}
    manifest = read_shard_manifest(folder / "shards")
    assert all(s.quarantined == 0 and s.read == s.listed for s in manifest.splits.values())
    drawn = [record for record in draw_all(options) if record.split in dataset.splits()]
    assert {record.split for record in drawn} >= {"train"}
    assert len(found) == len(drawn)
    for record in drawn:
        _assert_same(found[record.image_id], record)


@pytest.mark.parametrize("name", DATASETS)
def test_an_empty_folder_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        dataset = open_dataset(name, tmp_path)
        dataset.items(dataset.splits()[0] if dataset.splits() else "train")


def _name(image_id: str) -> str:
    """The digits' own id: layouts put folders, prefixes and suffixes around it."""
    return Path(image_id).name.removesuffix(".jpg").removesuffix(".JPEG")


def _assert_same(found: Record, drawn: Record) -> None:
    assert (found.image, found.split) == (drawn.image, drawn.split)
    assert (found.width, found.height) == (drawn.width, drawn.height)
    np.testing.assert_array_equal(decode(found.image, LIMITS), decode(drawn.image, LIMITS))
    assert found.truth.labels == drawn.truth.labels
    assert found.truth.difficult_labels == drawn.truth.difficult_labels
    np.testing.assert_array_equal(found.truth.box_labels, drawn.truth.box_labels)
    np.testing.assert_array_equal(found.truth.boxes_xyxy, drawn.truth.boxes_xyxy)
    np.testing.assert_array_equal(found.truth.box_difficult, drawn.truth.box_difficult)
