"""The embedded data set: deterministic, honest splits, exact boxes, planted co-occurrence."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workloads.artifacts import sha256
from workloads.datasets import digit_scenes
from workloads.datasets.digit_options import MAX_OBJECTS, SPLITS, DigitsOptions, SingleDigitsOptions
from workloads.datasets.digit_scenes import draw, material
from workloads.datasets.digits import CLASSES, draw_all, made_with, make_digits
from workloads.datasets.registry import open_dataset
from workloads.errors import ConfigError
from workloads.images.decode import ImageLimits, decode
from workloads.images.drawing import contact_sheet
from workloads.records import Record

SMALL = DigitsOptions(train=6, val=3, test=2)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [draw(DigitsOptions(), "train", index) for index in range(600)]


def hashes(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): sha256(p) for p in root.rglob("*") if p.is_file()}


def test_equal_options_make_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_digits(tmp_path / name, SMALL)
    first = hashes(tmp_path / "one")
    assert first == hashes(tmp_path / "two")
    assert len(first) == 2 * 11 + 3 + 1  # images and annotations, lists, digits.json
    make_digits(tmp_path / "two", SMALL.model_copy(update={"seed": 1}))
    assert first != hashes(tmp_path / "two")


def test_a_longer_split_begins_with_a_shorter_one() -> None:
    longer = SMALL.model_copy(update={"train": 9, "val": 0})
    images = {record.image_id: record.image for record in draw_all(longer)}
    for record in draw_all(SMALL):
        assert record.split == "val" or images[record.image_id] == record.image


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    make_digits(tmp_path / "digits", SMALL, lambda done, total: calls.append((done, total)))
    assert calls == [(done, 11) for done in range(1, 12)]
    dataset = open_dataset("digits", tmp_path / "digits")
    assert dataset.splits() == ("test", "train", "val")
    items = {item.image_id: item for split in SPLITS for item in dataset.items(split)}
    for record in draw_all(SMALL):
        item = items[record.image_id]
        assert (dataset.root / item.image_path).read_bytes() == record.image
        truth = dataset.annotation(item, record.width, record.height)
        np.testing.assert_array_equal(truth.boxes_xyxy, record.truth.boxes_xyxy)
        assert truth.labels == record.truth.labels
        assert truth.difficult_labels == record.truth.difficult_labels


def test_made_with(tmp_path: Path) -> None:
    make_digits(tmp_path / "digits", SMALL)
    assert made_with(tmp_path / "digits") == ("digits", SMALL)
    assert made_with(tmp_path) is None


def test_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_digits(tmp_path / "digits", SMALL, stop)
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        DigitsOptions.parse({"trian": 5}, "digits")
    for pairs in ([(1, 7), (1, 8)], [(1, 10)]):
        with pytest.raises(ConfigError, match="each digit first in one at most"):
            DigitsOptions.parse({"pairs": pairs}, "digits")
    with pytest.raises(ConfigError, match="companion"):
        DigitsOptions.parse({"companion": 2}, "digits")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"groups": (0.5, 0.4)}, "groups: .*1 to 3 probabilities that add up to 1"),
        ({"groups": ()}, "groups: .*1 to 3 probabilities"),
        ({"groups": (0.25,) * 4}, "groups: .*1 to 3 probabilities"),
        ({"groups": (1.5, -0.5)}, "groups: .*1 to 3 probabilities"),
        ({"heights": (20, 10)}, "heights are 20 to 10; give at least 1"),
        ({"heights": (20, 60)}, "sizes have 64x64; objects of 60 px need at least 72x72"),
        ({"sizes": ((81, 64),)}, "sizes have 81x64; .*hold 80x213"),
        ({"sizes": ()}, "sizes: .*at least 1 item"),
    ],
)
def test_options_that_cannot_be_drawn_are_refused(given: dict, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        DigitsOptions.parse(given, "digits")


@pytest.mark.parametrize("size", [(80, 213), (44, 44)])
def test_the_largest_and_the_smallest_images_can_be_drawn(size: tuple[int, int]) -> None:
    options = DigitsOptions(sizes=(size,), small=0, heights=(36, 36))
    for split in SPLITS:
        for index in range(20):
            record = draw(options, split, index)
            assert (record.width, record.height) == size
            assert record.truth.labels


def test_single_digits(tmp_path: Path) -> None:
    options = SingleDigitsOptions(train=300, val=2, test=2)
    make_digits(tmp_path / "single", options)
    dataset = open_dataset("single-digits", tmp_path / "single")
    assert dataset.task == "singlelabel"
    for item in dataset.items("train"):
        truth = dataset.annotation(item, 32, 32)
        assert len(truth.labels) == len(truth.boxes_xyxy) == 1
        assert truth.difficult_labels == ()


def test_splits_share_no_digit() -> None:
    from sklearn.datasets import load_digits

    labels = load_digits().target
    for label in range(10):
        parts = [[g.tobytes() for g in material(split).glyphs[label]] for split in SPLITS]
        assert sum(map(len, parts)) == (labels == label).sum()
        train, val, test = map(set, parts)
        assert not train & val
        assert not train & test
        assert not val & test


def test_splits_share_no_photograph() -> None:
    widths = np.array([[p.shape[1] for p in material(split).photos] for split in SPLITS])
    assert widths.sum(axis=0).tolist() == [640, 640]


def test_only_material_of_its_split_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        digit_scenes, "material", lambda split: asked.append(split) or material(split)
    )
    for split in SPLITS:
        draw(SMALL, split, 0)
        assert set(asked) == {split}
        asked.clear()


def test_images_are_what_their_records_say(records: list[Record]) -> None:
    for record in records[:50]:
        image = decode(record.image, ImageLimits())
        assert image.shape == (record.height, record.width, 3)
        assert Image.open(io.BytesIO(record.image)).format == "JPEG"
    assert {(record.width, record.height) for record in records} == set(DigitsOptions().sizes)


def test_every_image_has_labels_and_boxes_inside(records: list[Record]) -> None:
    for record in records:
        truth = record.truth
        assert truth.labels
        assert 1 <= len(truth.box_labels) <= MAX_OBJECTS
        x0, y0, x1, y1 = truth.boxes_xyxy.T
        assert ((x0 >= 0) & (x0 < x1) & (x1 <= record.width)).all()
        assert ((y0 >= 0) & (y0 < y1) & (y1 <= record.height)).all()


def test_boxes_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without clutter, what differs from the backdrop is in the boxes, and touches their sides."""
    scenes = []
    scene_type = digit_scenes._Scene
    monkeypatch.setattr(
        digit_scenes, "_Scene", lambda backdrop: scenes.append(scene_type(backdrop)) or scenes[-1]
    )
    options = DigitsOptions(clutter=0, difficult=0)
    for index in range(40):
        truth = draw(options, "train", index).truth
        changed = (scenes[-1].pixels != scenes[-1].backdrop).any(axis=2)
        inside = np.zeros_like(changed)
        for box in truth.boxes_xyxy.astype(int):
            x0, y0, x1, y1 = box
            inside[y0:y1, x0:x1] = True
            assert changed[y0, x0:x1].any()
            assert changed[y1 - 1, x0:x1].any()
            assert changed[y0:y1, x0].any()
            assert changed[y0:y1, x1 - 1].any()
        # A digit that lies partly under its neighbour has a soft edge that may stand out.
        assert (changed & ~inside).sum() <= 0.01 * changed.sum()


def test_sizes_and_difficult_objects(records: list[Record]) -> None:
    boxes = np.concatenate([record.truth.boxes_xyxy for record in records])
    difficult = np.concatenate([record.truth.box_difficult for record in records])
    heights = (boxes[:, 3] - boxes[:, 1])[~difficult]
    assert 0.2 < (heights <= 17).mean() < 0.5
    assert (heights > 25).mean() > 0.2
    assert 0.03 < difficult.mean() < 0.15


def test_objects_hardly_overlap(records: list[Record]) -> None:
    for record in records:
        boxes = record.truth.boxes_xyxy
        for i, a in enumerate(boxes):
            for b in boxes[i + 1 :]:
                sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
                areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
                shared = np.prod(sides.clip(0))
                assert shared / (sum(areas) - shared) < 0.15


def test_planted_cooccurrence(records: list[Record]) -> None:
    present = np.zeros((len(records), 10))
    for row, record in zip(present, records, strict=True):
        row[list({*record.truth.labels, *record.truth.difficult_labels})] = 1
    given = (present.T @ present) / present.sum(axis=0)
    for first, second in DigitsOptions().pairs:
        others = np.delete(given[second], np.ravel(DigitsOptions().pairs))
        assert given[second, first] > 0.7
        assert others.max() < 0.35


def test_other_pairs_can_be_planted() -> None:
    options = DigitsOptions(pairs=((2, 5),), companion=1.0, groups=(1.0,), difficult=0.0)
    labels = [draw(options, "val", index).truth.labels for index in range(60)]
    assert {(2, 5), (5,), (1,), (7,)} <= set(labels)
    assert not {(2,), (1, 7)} & set(labels)


def test_a_digit_can_be_the_mark_of_a_larger_object() -> None:
    """The box is the body's: twice the digit's height, which turning changes a little."""
    options = {"sizes": ((64, 64),), "heights": (20, 20), "clutter": 0}
    heights = {}
    for bodies in (None, (2.0, 2.0)):
        drawn = SingleDigitsOptions(**options, bodies=bodies)
        boxes = [draw(drawn, "val", index).truth.boxes_xyxy[0] for index in range(20)]
        heights[bodies] = [float(y1 - y0) for _, y0, _, y1 in boxes]
    assert 16 <= min(heights[None]) <= max(heights[None]) <= 27
    assert 36 <= min(heights[2.0, 2.0]) <= max(heights[2.0, 2.0]) <= 54
    with pytest.raises(ConfigError, match="objects of 52 px need at least 63x63"):
        SingleDigitsOptions.parse({"bodies": [1.5, 2.0]}, "single-digits")
    with pytest.raises(ConfigError, match="the lower one first"):
        DigitsOptions.parse({"bodies": [2.0, 1.5]}, "digits")


def test_companions_stand_right_beside(records: list[Record]) -> None:
    gaps = []
    for record in records:
        for first, second in DigitsOptions().pairs:
            for box in record.truth.boxes_of(first, difficult=False):
                others = record.truth.boxes_of(second, difficult=False)
                if len(others):
                    apart = np.maximum(others[:, :2] - box[2:], box[:2] - others[:, 2:]).max(axis=1)
                    gaps.append(apart.min())
    assert len(gaps) > 50
    assert (np.array(gaps) <= 3).mean() > 0.9


def test_pointing_at_the_centre_is_no_use(records: list[Record]) -> None:
    hits = []
    for record in records:
        centre = np.array([record.width, record.height]) / 2
        for label in record.truth.labels:
            boxes = record.truth.boxes_of(label)
            inside = (boxes[:, :2] <= centre).all(axis=1) & (centre < boxes[:, 2:]).all(axis=1)
            hits.append(inside.any())
    assert np.mean(hits) < 0.25


def test_contact_sheet(records: list[Record]) -> None:
    sheet = contact_sheet(records[:5], CLASSES, columns=3, side=160)
    assert sheet.mode == "RGB"
    assert sheet.width <= 3 * (2 * 80 + 4)
    captioned = contact_sheet(records[:5], CLASSES, columns=3, side=160, captions=True)
    assert captioned.height > sheet.height
    assert captioned.width == sheet.width
