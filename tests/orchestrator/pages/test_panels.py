"""Pictures with boxes in percent, and what is said of them in words."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_shards import made_truth
from PIL import Image

from orchestrator.pages.panels import Box, box_of, plain_panel, truth_panel, webp_uri
from workloads.records import GroundTruth

CLASSES = ("cat", "dog", "owl")
IMAGE = np.zeros((50, 200, 3), np.uint8)
SIDES = st.integers(1, 5000)


def test_boxes_are_percent_of_the_picture() -> None:
    box = np.array([50, 10, 150, 25])
    assert box_of(box, 200, 50, "cat") == Box(25.0, 20.0, 50.0, 30.0, "cat", faint=False)
    assert box_of(np.array([0, 0, 1, 1]), 3, 3, faint=True) == Box(
        0.0, 0.0, 33.33, 33.33, faint=True
    )


@given(width=SIDES, height=SIDES, data=st.data())
def test_a_box_within_the_image_stays_within_the_picture(
    width: int, height: int, data: st.DataObject
) -> None:
    x0, x1 = sorted(data.draw(st.tuples(*[st.floats(0, width)] * 2)))
    y0, y1 = sorted(data.draw(st.tuples(*[st.floats(0, height)] * 2)))
    box = box_of(np.array([x0, y0, x1, y1]), width, height)
    assert min(box.left, box.top, box.width, box.height) >= 0
    assert box.left + box.width <= 100.011  # both are rounded to two decimals
    assert box.top + box.height <= 100.011


def test_found_boxes_have_their_texts() -> None:
    boxes = np.array([[0, 0, 100, 50], [100, 25, 200, 50]], np.float32)
    panel = plain_panel(IMAGE, boxes, ["cat 0.90", "dog 0.10"], "found: two")
    assert (panel.width, panel.height, panel.alt) == (200, 50, "found: two")
    assert panel.found == (
        Box(0, 0, 50, 100, "cat 0.90"),
        Box(50, 50, 50, 50, "dog 0.10"),
    )
    assert panel.truth == panel.notes == ()
    with pytest.raises(ValueError, match="zip"):
        plain_panel(IMAGE, boxes, ["cat"], "")


def test_true_boxes_are_counted_by_class_and_faint_if_not_required() -> None:
    whole = (0.0, 0.0, 200.0, 50.0)
    truth = made_truth(
        (1, whole), (0, whole), (1, whole), (2, whole),
        box_difficult=[False, True, False, False], box_crowd=[False, False, False, True],
    )  # fmt: skip
    panel = truth_panel(IMAGE, truth, CLASSES, "test image")
    assert [(box.text, box.faint) for box in panel.truth] == [
        ("dog", False), ("cat", True), ("dog", False), ("owl", True),
    ]  # fmt: skip
    assert panel.notes == ("dog × 2, cat, owl", "1 marked difficult", "1 crowd")
    assert panel.alt == "test image with the true boxes of dog × 2, cat, owl"
    assert panel.found == ()


@pytest.mark.parametrize(
    ("truth", "notes", "alt"),
    [
        (GroundTruth(), ("nothing annotated",), "image: nothing annotated"),
        (GroundTruth(labels=(0, 2)), ("cat, owl", "no box"), "image: cat, owl"),
        (GroundTruth(labels=(1,), blacklisted=True), ("dog", "no box"), "image: dog"),
    ],
)
def test_an_image_without_boxes_says_what_is_known(
    truth: GroundTruth, notes: tuple[str, ...], alt: str
) -> None:
    panel = truth_panel(IMAGE, truth, CLASSES, "image")
    assert panel.notes == notes
    assert panel.alt == alt
    assert panel.truth == ()


def test_boxes_speak_for_labels_that_have_none() -> None:
    truth = replace(made_truth((0, (0.0, 0.0, 9.0, 9.0))), labels=(0, 1))
    assert truth_panel(IMAGE, truth, CLASSES, "image").notes == ("cat",)


def test_the_picture_keeps_its_size_and_its_colours() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30], image[:, 30:] = (220, 30, 30), (30, 30, 220)
    head, _, data = webp_uri(image).partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == ("WEBP", (60, 40))
        left, right = (picture.convert("RGB").getpixel((x, 20)) for x in (10, 50))
    np.testing.assert_allclose(left, (220, 30, 30), atol=12)  # red stays red
    np.testing.assert_allclose(right, (30, 30, 220), atol=12)
