"""Orders of images, by formulas worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_annotation import Box, candidates, made_annotation, made_photo

from workloads.annotation.found import FoundImage
from workloads.annotation.order import (
    ORDERS,
    Look,
    OtherStore,
    disagreement,
    first_images,
    uncertainty,
)
from workloads.detections import Detections

SCORES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5)


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def boxes(*found: Box) -> Detections:
    return candidates({}, found).detections


@pytest.mark.parametrize(
    ("found", "threshold", "expected"),
    [
        ((), 0.5, 0.0),
        ((0.5, 0.5), 0.5, 1.0),  # at the threshold, and no best one
        ((1.0,), 0.5, 0.0),
        ((0.5,), 0.5, 0.75),  # (1 + 1 - 0.5) / 2
        ((0.75, 0.25), 0.5, 0.5),  # near 1 - 0.25 / 0.5, close 1 - 0.5
        ((1.0, 1.0), 0.5, 0.5),  # two classes, both sure
        ((0.5, 0.25), 0.75, 0.708333),  # near 1 - 0.25 / 0.75, close 0.75
        ((0.75, 0.5), 0.0, 0.375),  # no threshold: (0 + 0.75) / 2
        ((3.0, 1.0), 0.5, 0.0),  # rescored beyond 1
    ],
)
def test_uncertainty_is_that_of_its_formula(found, threshold, expected):
    assert uncertainty(scores(*found), threshold) == pytest.approx(expected, abs=1e-6)


@given(SCORES, st.floats(0, 1))
def test_uncertainty_is_a_share_and_knows_no_order(values, threshold):
    value = uncertainty(scores(*values), threshold)
    assert 0 <= value <= 1
    assert uncertainty(scores(*values[::-1]), threshold) == value


CAT, DOG = (0, 0.9, (0, 0, 10, 10)), (1, 0.8, (0, 0, 10, 10))
HALF = (0, 0.7, (0, 0, 10, 5))  # IoU 0.5 with CAT


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((), (), 0.0),
        ((CAT,), (CAT,), 0.0),
        ((CAT,), (DOG,), 1.0),
        ((CAT,), (), 1.0),
        ((CAT,), (HALF,), 0.5),
        ((CAT, DOG), (CAT,), 0.5),
        ((CAT, HALF), (CAT,), 1 - (1 + 0.5 + 1) / 3),  # ours 1 and 0.5, theirs 1
        ((CAT, DOG), (HALF,), 1 - (0.5 + 0) / 2),
    ],
)
def test_disagreement_is_that_of_its_formula(ours, theirs, expected):
    assert disagreement(boxes(*ours), boxes(*theirs)) == pytest.approx(expected)
    assert disagreement(boxes(*theirs), boxes(*ours)) == pytest.approx(expected)


def looks() -> list[Look]:
    """Image k is the k-th of these, at a threshold of 0.5."""
    found = [
        (candidates({0: 0.9, 1: 0.2}, [CAT]), boxes(CAT)),
        (candidates({0: 0.55}, [HALF]), boxes(CAT)),
        (candidates({1: 0.8}, [DOG]), boxes(CAT)),
        (candidates({}), None),
        (candidates({0: 0.2, 1: 0.99}, [DOG]), boxes(DOG)),
    ]
    return [
        Look(FoundImage(k, f"{k}.jpg", 1, ours), 0.5, theirs)
        for k, (ours, theirs) in enumerate(found, start=1)
    ]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # 1: near .4, close .3; 2: near .9, close .45; 3: .4, .2; 4: 0; 5: .4, .21
        ("uncertain", [2, 1, 5, 3, 4]),
        ("class", [1, 2, 5, 3, 4]),
        ("score", [5, 1, 3, 2, 4]),
        ("disagreement", [3, 2, 1, 5, 4]),  # equal ones as in the store, unknown ones last
    ],
)
def test_orders(order, expected):
    assert first_images(looks(), order) == expected
    assert first_images(iter(looks()), order, 2) == expected[:2]


def test_every_order_is_tried_above():
    assert set(ORDERS) == {"uncertain", "class", "score", "disagreement"}


def test_another_store_is_asked_by_name_and_content(tmp_path):
    images = tmp_path / "images"
    for k in range(5):
        made_photo(images / f"{k}.png", k)
    names = [f"{k}.png" for k in range(5)]
    found = {name: candidates({0: 0.6, 1: 0.9}, [CAT, DOG]) for name in names[:4]}
    store = made_annotation(tmp_path / "other", images, found, ("dog", "owl"), threshold=0.8)
    other = OtherStore(store, ("cat", "dog"))
    contents = {k: store.content_of(k) for k in range(1, 6)}
    assert other.classes == ["cat", "dog", "owl"]
    seen = other.boxes_of("2.png", contents[3])
    assert seen is not None
    assert seen.labels.tolist() == [2]  # owl; what it calls 0 is the dog, and below its threshold
    assert other.boxes_of("2.png", contents[1]) is None  # another image of that name
    assert other.boxes_of("4.png", contents[5]) is None  # could not be read
    assert other.boxes_of("new.png", None) is None
