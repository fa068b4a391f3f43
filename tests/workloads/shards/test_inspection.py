"""Statistics of shards by hand, and that how they were cut makes no difference."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import made_record, made_truth, write_shards

from workloads.artifacts import QUARANTINE
from workloads.errors import IntegrityError, NotFound
from workloads.records import GroundTruth, Record
from workloads.shards.inspection import inspect_shards
from workloads.shards.quarantine import Quarantined, kind_of, reasons
from workloads.shards.read import read_shards
from workloads.shards.sampling import sample
from workloads.shards.statistics import AREA_EDGES, ASPECT_EDGES, Spread

CLASSES = ("cat", "dog", "owl")
CAT, DOG, OWL = range(3)
NOT_READ = b"no image"  # statistics never look


def records() -> list[Record]:
    """Five images with everything that is counted."""
    boxed = made_truth((CAT, (0, 0, 20, 15)))  # 300 px, a quarter of the image, 4:3
    hard = made_truth(
        (CAT, (0, 0, 30, 40)),  # 1200 px, all of the image, 3:4
        (DOG, (5, 5, 15, 10)),  # 50 px, 1/24 of the image, 2:1
        box_difficult=[False, True],
        box_truncated=[True, False],
    )
    crowded = made_truth(
        (DOG, (0, 0, 32, 32)),  # 1024 px: no longer small
        (CAT, (0, 0, 200, 200)),
        (DOG, (10, 10, 106, 106)),  # 9216 px: no longer medium
        box_crowd=[False, True, False],
    )
    only_label = GroundTruth(labels=(DOG,), mask=b"PNG", blacklisted=True)
    return [
        made_record("a", boxed, (40, 30), image=NOT_READ),
        made_record("b", hard, (30, 40), image=NOT_READ),
        made_record("c", only_label, (200, 100), image=NOT_READ),
        made_record("d", GroundTruth(), (100, 100), image=NOT_READ),
        made_record("e", crowded, (200, 200), image=NOT_READ),
        made_record("v", boxed, (40, 30), split="val", image=NOT_READ),
    ]


def bins(edges: tuple[float, ...], *values: float) -> tuple[int, ...]:
    return tuple(
        sum(low <= value < high for value in values)
        for low, high in zip(edges, (*edges[1:-1], np.inf), strict=False)
    )


def test_by_hand(tmp_path: Path) -> None:
    bad = Quarantined("x", "x.jpg", "train", "the file is empty; replace it")
    folder = write_shards(tmp_path / "s", records(), CLASSES, quarantined=[bad])
    found = inspect_shards(folder)
    assert (found.dataset, found.task, found.classes) == ("made", "multilabel", CLASSES)
    assert [split.split for split in found.splits] == ["train", "val"]
    train = found.splits[0]
    assert (train.listed, train.read, train.quarantined) == (6, 5, 1)
    images, boxes = train.images, train.boxes
    assert images.width == Spread(30, 100, 200)
    assert images.height == Spread(30, 100, 200)
    assert images.portrait == 1 / 5
    assert (images.without_labels, images.labelled_without_boxes) == (1, 1)
    assert (images.with_mask, images.blacklisted) == (1, 1)
    assert (boxes.count, boxes.per_image, boxes.most, boxes.crowds) == (5, 1.0, 2, 1)
    assert (boxes.difficult, boxes.truncated) == (1 / 5, 1 / 5)
    assert (boxes.small, boxes.medium, boxes.large) == (2, 2, 1)
    shares = (0.25, 1.0, 1 / 24, 1024 / 40000, 9216 / 40000)
    assert boxes.area.counts == bins(AREA_EDGES, *shares)
    assert boxes.aspect.counts == bins(ASPECT_EDGES, 4 / 3, 3 / 4, 2.0, 1.0, 1.0)
    by_class = [(c.name, c.images, c.difficult_images, c.boxes) for c in train.classes]
    assert by_class == [("cat", 3, 0, 2), ("dog", 2, 1, 3), ("owl", 0, 0, 0)]
    # Cats in a, b and e; dogs in c and e.
    assert train.cooccurrence == ((1, 1 / 2, 0), (1 / 3, 1, 0), (0, 0, 0))
    assert [(r.kind, r.count, r.examples) for r in train.reasons] == [
        ("the file is empty", 1, (bad,))
    ]
    assert found.splits[1].reasons == ()


def test_histograms_hold_everything_and_squares_lie_amid_a_bin() -> None:
    assert len(AREA_EDGES) == 20 + 1
    assert AREA_EDGES[-1] == 1.0
    assert ASPECT_EDGES[10] * ASPECT_EDGES[11] == pytest.approx(1.0)


def test_sizes_beyond_the_bins_are_in_the_outer_ones(tmp_path: Path) -> None:
    thin = made_truth((CAT, (0, 0, 1, 999)), (CAT, (0, 0, 1000, 1)), (CAT, (0, 0, 1, 1)))
    record = made_record("a", thin, (1000, 1000), image=NOT_READ)
    boxes = inspect_shards(write_shards(tmp_path / "s", [record], CLASSES)).splits[0].boxes
    assert (boxes.aspect.counts[0], boxes.aspect.counts[-1]) == (1, 1)
    assert boxes.area.counts[0] == 1
    assert sum(boxes.area.counts) == sum(boxes.aspect.counts) == 3


def test_nothing_read_is_no_mean(tmp_path: Path) -> None:
    bad = Quarantined("x", "x.jpg", "train", "no such file; add it")
    folder = write_shards(tmp_path / "s", [], CLASSES, quarantined=[bad])
    (train,) = inspect_shards(folder).splits
    assert train.images.width is train.images.portrait is train.boxes.per_image is None
    assert train.boxes.difficult is None
    assert sum(train.boxes.area.counts) == 0
    assert sample(folder, ["train"], 4) == []


def test_one_label_per_image_has_no_cooccurrence(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", records()[:1], CLASSES, task="singlelabel")
    assert inspect_shards(folder).splits[0].cooccurrence is None


def test_errors(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", records(), CLASSES)
    with pytest.raises(NotFound, match=r"unknown split 'vol'; did you mean 'val'\?.*train, val"):
        inspect_shards(folder, ["vol"])
    with pytest.raises(NotFound, match="no shards there"):
        inspect_shards(tmp_path)
    (folder / QUARANTINE).write_text('{"image_id": 1}\n')
    with pytest.raises(IntegrityError, match="missing or damaged"):
        inspect_shards(folder)
    unknown = write_shards(tmp_path / "t", records(), CLASSES[:1])
    with pytest.raises(IntegrityError, match="label 1, but there are 1 classes"):
        inspect_shards(unknown)


def test_progress_counts_every_image(tmp_path: Path) -> None:
    counted: list[int] = []
    folder = write_shards(tmp_path / "s", records(), CLASSES, rows_per_file=2)
    inspect_shards(folder, on_images=counted.append)
    assert sum(counted) == 6


@st.composite
def truths(draw: st.DrawFn) -> GroundTruth:
    count = draw(st.integers(0, 4))
    flags = [draw(st.lists(st.booleans(), min_size=count, max_size=count)) for _ in range(3)]
    corners = st.tuples(*[st.floats(0, 19, width=32)] * 2, *[st.floats(20, 30, width=32)] * 2)
    boxes = [(draw(st.integers(0, 2)), draw(corners)) for _ in range(count)]
    names = ("box_difficult", "box_truncated", "box_crowd")
    truth = made_truth(*boxes, **dict(zip(names, flags, strict=True)))
    mask = draw(st.none() | st.binary(max_size=3))
    return dataclasses.replace(truth, mask=mask, blacklisted=draw(st.booleans()))


SIZES = st.tuples(st.integers(30, 60), st.integers(30, 60))


@settings(max_examples=25, deadline=None)
@given(
    made=st.lists(st.tuples(truths(), SIZES), min_size=1, max_size=12),
    files=st.integers(1, 12),
    groups=st.integers(1, 12),
    data=st.data(),
)
def test_how_items_are_cut_makes_no_difference(
    made: list[tuple[GroundTruth, tuple[int, int]]], files: int, groups: int, data: st.DataObject
) -> None:
    whole = [made_record(f"id-{i}", *item, image=b"") for i, item in enumerate(made)]
    mixed = data.draw(st.permutations(whole))
    with tempfile.TemporaryDirectory() as name:
        one = write_shards(Path(name) / "one", whole, CLASSES)
        cut = write_shards(
            Path(name) / "cut", mixed, CLASSES, rows_per_file=files, rows_per_group=groups
        )
        found = inspect_shards(one)
        assert inspect_shards(cut) == found
        assert_as_records_say(found.splits[0], one)
        ids = [record.image_id for record in sample(one, ["train"], 5)]
        assert [record.image_id for record in sample(cut, ["train"], 5)] == ids


def assert_as_records_say(split, folder: Path) -> None:
    """The slow way, image by image."""
    read = list(read_shards(folder, "train"))
    single = [box for r in read for box in r.truth.boxes_xyxy[~r.truth.box_crowd]]
    assert split.boxes.count == len(single) == sum(split.boxes.area.counts)
    assert split.boxes.most == max(int((~r.truth.box_crowd).sum()) for r in read)
    assert split.images.width.median == np.median([r.width for r in read])
    assert split.images.height.median == np.median([r.height for r in read])
    area = [float(x1 - x0) * float(y1 - y0) for x0, y0, x1, y1 in single]
    assert split.boxes.small == sum(a < 32**2 for a in area)
    for label, entry in enumerate(split.classes):
        assert entry.images == sum(label in r.truth.labels for r in read)
        assert entry.boxes == sum(len(r.truth.boxes_of(label)) for r in read)
    unboxed = [r for r in read if r.truth.box_crowd.all() and len(r.truth.box_crowd)]
    assert split.images.labelled_without_boxes == len(unboxed)


def labelled(count: int, label: int, prefix: str) -> list[Record]:
    truth = GroundTruth(labels=(label,))
    return [made_record(f"{prefix}{i}", truth, image=b"") for i in range(count)]


def order(image_id: str) -> str:
    return hashlib.sha256(image_id.encode()).hexdigest()


def test_a_sample_is_balanced_and_of_the_smallest_hashes(tmp_path: Path) -> None:
    cats, dogs, nothing = labelled(40, CAT, "c"), labelled(30, DOG, "d"), [
        made_record(f"n{i}", GroundTruth(), image=b"") for i in range(20)
    ]  # fmt: skip
    owl = labelled(1, OWL, "o")
    folder = write_shards(
        tmp_path / "s", [*cats, *dogs, *nothing, *owl], CLASSES, rows_per_file=9, rows_per_group=4
    )
    ids = [record.image_id for record in sample(folder, ["train"], 10)]
    first = {kind: sorted((f"{kind}{i}" for i in range(n)), key=order)
             for kind, n in {"c": 40, "d": 30, "n": 20}.items()}  # fmt: skip
    # Unlabelled ones first, then by class; three turns of three, and the only owl in the first.
    assert sorted(ids) == sorted([*first["c"][:3], *first["d"][:3], *first["n"][:3], "o0"])
    assert [i[0] for i in ids] == [*"nnncccdddo"]
    assert len(sample(folder, ["train"], 1000)) == 91


def test_a_sample_of_several_splits(tmp_path: Path) -> None:
    both = [made_record(f"{i}", GroundTruth(labels=(i % 3,)), split=split, image=b"")
            for split in ("train", "val") for i in range(9)]  # fmt: skip
    folder = write_shards(tmp_path / "s", both, CLASSES, rows_per_file=2)
    chosen = sample(folder, ["val", "train"], 12)
    assert len({(record.split, record.image_id) for record in chosen}) == 12
    assert {record.split for record in chosen} == {"train", "val"}
    assert all(record.split == "val" for record in sample(folder, ["val"], 5))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("no such file; add it or unlist the image", "no such file"),
        ("9 bytes, at most 5 are allowed; compress it", "… bytes, at most … are allowed"),
        ("listed twice in split 'train'", "listed twice in split …"),
        (
            "Annotations/cat 7.xml: box xmin=1 ymin=-2.5 is outside of 640x480; correct it",
            "box xmin=… ymin=… is outside of …x…",
        ),
        ("unknown class 'x; y'; did you mean 'z'? (allowed: x, z)", "unknown class …"),
        ("it starts with b'\\x00' (allowed: JPEG); replace it", "it starts with …"),
        ("JPEGImages/cat 7.jpg is strange\nindeed", "… is strange indeed"),
        ("", "no reason given"),
    ],
)
def test_kinds_of_reasons(reason: str, kind: str) -> None:
    assert kind_of(Quarantined("cat 7", "JPEGImages/cat 7.jpg", "train", reason)) == kind


def test_reasons_are_counted_with_the_first_examples(tmp_path: Path) -> None:
    bad = [Quarantined(f"{i}", f"{i}.jpg", "train", f"{i} bytes; compress it") for i in range(5)]
    bad += [Quarantined("y", "y.jpg", "train", "the file is empty")]
    bad += [Quarantined("z", "z.jpg", "val", "the file is empty")]
    found = reasons(write_shards(tmp_path / "s", [], CLASSES, quarantined=bad), "train")
    assert [(r.kind, r.count) for r in found] == [("… bytes", 5), ("the file is empty", 1)]
    assert found[0].examples == tuple(bad[:3])
