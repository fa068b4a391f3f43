"""Predictions of a model on shards: the same rows however they are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_shards import made_record, made_truth, write_shards
from samples import CLASSES, make_model, picture

from workloads.errors import InputRejected, NotFound
from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer
from workloads.predictions.predict import predict, predict_records
from workloads.records import Record
from workloads.shards.shards import Shards

LIMITS = ImageLimits()


@pytest.fixture(scope="module")
def localizer(tmp_path_factory: pytest.TempPathFactory) -> Localizer:
    return Localizer.load(make_model(tmp_path_factory.mktemp("m") / "model", seed=1))


def records() -> list[Record]:
    made = []
    for i in range(5):
        image = picture(i)
        height, width = decode(image, LIMITS).shape[:2]
        truth = made_truth((i % 3, (0, 0, 9, 9)))
        made.append(made_record(str(i), truth, (width, height), "val", image))
    return made


def test_a_split_is_predicted_in_order_as_its_records_are(
    localizer: Localizer, tmp_path: Path
) -> None:
    made = records()
    write_shards(tmp_path / "s", made, CLASSES, rows_per_group=2)
    found = list(predict(localizer, Shards.open(tmp_path / "s"), "val", top=1))
    whole = predict_records(localizer, made, LIMITS, 1)
    assert [p.image_id for p in found] == list("01234")
    for one, other, record in zip(found, whole, made, strict=True):
        assert (one.width, one.height, one.split) == (record.width, record.height, "val")
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.maps, other.maps)


@pytest.mark.parametrize("top", [0, 1, 3])
def test_maps_are_stored_for_true_classes_and_the_best(localizer: Localizer, top: int) -> None:
    for found in predict_records(localizer, records(), LIMITS, top):
        wanted = {*found.truth.labels, *np.argsort(-found.scores, kind="stable")[:top].tolist()}
        assert found.map_labels.tolist() == sorted(wanted)
        assert len(found.maps) == len(wanted)


def test_no_records_are_no_predictions(localizer: Localizer) -> None:
    assert predict_records(localizer, [], LIMITS, 3) == []


def test_what_cannot_be_decoded_is_no_prediction(localizer: Localizer, tmp_path: Path) -> None:
    broken = made_record("x", made_truth((0, (0, 0, 9, 9))), image=b"no image")
    with pytest.raises(InputRejected):
        predict_records(localizer, [*records(), broken], LIMITS, 1)
    shards = Shards.open(write_shards(tmp_path / "s", records(), CLASSES))
    with pytest.raises(NotFound, match="unknown split 'test'"):
        next(predict(localizer, shards, "test"))
