"""Pictures with boxes, by hand."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_cases import truth_of

from orchestrator.pages.panels import SIDE, box_of, data_uri, plain_panel, truth_panel
from workloads.records import GroundTruth

CLASSES = ("cat", "dog", "hen")
BLACK = np.zeros((50, 200, 3), np.uint8)


def pixels(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )


def test_a_box_in_percent_of_the_picture() -> None:
    box = box_of(np.array([50.0, 10.0, 150.0, 50.0]), 200, 50, "cat", faint=True)
    assert (box.left, box.top, box.width, box.height) == (25, 20, 50, 80)
    assert (box.text, box.faint) == ("cat", True)


@given(
    x=st.tuples(st.integers(0, 999), st.integers(0, 999)).filter(lambda p: p[0] != p[1]),
    y=st.tuples(st.integers(0, 99), st.integers(0, 99)).filter(lambda p: p[0] != p[1]),
)
def test_a_box_of_the_image_stays_in_the_picture(x: tuple, y: tuple) -> None:
    box = box_of(np.array([min(x), min(y), max(x), max(y)], np.float32), 999, 99)
    assert box.left >= 0
    assert box.top >= 0
    assert box.left + box.width <= 100.01
    assert box.top + box.height <= 100.01
    assert min(box.width, box.height) > 0


@pytest.mark.parametrize(
    ("size", "shown"), [((64, 512), (32, 256)), ((512, 64), (256, 32)), ((1000, 1000), (256, 256))]
)
def test_a_large_image_is_shrunk_to_its_longer_side(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    assert pixels(data_uri(np.zeros((*size, 3), np.uint8))).shape[:2] == shown
    assert max(shown) == SIDE


def test_colours_stay_red_green_and_blue() -> None:
    for channel in range(3):
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        image[..., channel] = 255
        middle = pixels(data_uri(image))[SIDE // 2, SIDE // 2].astype(int)
        assert middle.argmax() == channel
        assert middle[channel] > 200


def test_found_boxes_have_their_texts() -> None:
    panel = plain_panel(BLACK, np.array([[0, 0, 100, 25]]), ["cat 0.90"], "found: cat")
    assert (panel.width, panel.height, panel.alt) == (200, 50, "found: cat")
    assert [(b.left, b.width, b.text) for b in panel.found] == [(0, 50, "cat 0.90")]
    assert panel.truth == ()


def test_as_many_texts_as_boxes() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        plain_panel(BLACK, np.zeros((2, 4)), ["one"], "")


@pytest.mark.parametrize(
    ("truth", "notes", "alt"),
    [
        (truth_of(), ("nothing annotated",), "test image: nothing annotated"),
        (truth_of(labels=(0, 2)), ("cat, hen", "no box"), "test image: cat, hen"),
        (
            truth_of((0, 0, 9, 9, 1), (1, 1, 5, 5, 0), (2, 2, 8, 8, 1)),
            ("dog × 2, cat",),
            "test image with the true boxes of dog × 2, cat",
        ),
        (
            truth_of((0, 0, 9, 9, 1, True), (1, 1, 5, 5, 0, False, True)),
            ("dog, cat", "1 marked difficult", "1 crowd"),
            "test image with the true boxes of dog, cat",
        ),
    ],
)
def test_what_is_said_of_the_truth(truth: GroundTruth, notes: tuple[str, ...], alt: str) -> None:
    panel = truth_panel(BLACK, truth, CLASSES, "test image")
    assert panel.notes == notes
    assert panel.alt == alt
    assert len(panel.truth) == len(truth.boxes_xyxy)


def test_boxes_that_need_not_be_found_are_faint() -> None:
    truth = truth_of((0, 0, 9, 9, 0), (0, 0, 9, 9, 1, True), (0, 0, 9, 9, 2, False, True))
    panel = truth_panel(BLACK, truth, CLASSES, "x")
    assert [(b.text, b.faint) for b in panel.truth] == [
        ("cat", False), ("dog", True), ("hen", True)
    ]  # fmt: skip
