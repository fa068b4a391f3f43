"""Detections: boxes that no image can have are refused where they are made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.detections import Detections

WIDTH, HEIGHT = 40, 30


def detections(*boxes: tuple[float, ...], scores: int | None = None) -> Detections:
    count = len(boxes) if scores is None else scores
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(1, 0.5, count, dtype=np.float32),
        np.zeros(count, np.int32),
        WIDTH,
        HEIGHT,
    )


@st.composite
def boxes_inside(draw) -> tuple[int, int, int, int]:
    x0, y0 = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    return x0, y0, draw(st.integers(x0 + 1, WIDTH)), draw(st.integers(y0 + 1, HEIGHT))


@given(boxes=st.lists(boxes_inside(), max_size=5))
def test_boxes_inside_the_image_are_fine(boxes: list[tuple[int, int, int, int]]) -> None:
    assert len(detections(*boxes)) == len(boxes)


@given(
    boxes=st.lists(boxes_inside(), max_size=3),
    wrong=boxes_inside(),
    side=st.integers(0, 3),
    data=st.data(),
)
def test_one_wrong_side_of_one_box_is_enough(
    boxes: list, wrong: tuple[int, int, int, int], side: int, data: st.DataObject
) -> None:
    """Each side is moved over the image's edge, or onto the opposite side."""
    beyond = (-0.5, -0.5, WIDTH + 0.5, HEIGHT + 0.5)[side]
    opposite = wrong[(side + 2) % 4]
    moved = [*wrong]
    moved[side] = data.draw(st.sampled_from([beyond, opposite]))
    at = data.draw(st.integers(0, len(boxes)))
    with pytest.raises(ValueError, match="a box is empty or outside 40x30"):
        detections(*boxes[:at], tuple(moved), *boxes[at:])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", range(4))
def test_a_side_that_is_no_number_is_refused(side: int, value: float) -> None:
    box = [1.0, 1.0, 9.0, 9.0]
    box[side] = value
    with pytest.raises(ValueError, match="outside 40x30"):
        detections(tuple(box))


@pytest.mark.parametrize("scores", [0, 2])
def test_as_many_scores_as_boxes(scores: int) -> None:
    with pytest.raises(ValueError, match=r"boxes_xyxy \(1, 4\), scores \(\d,\)"):
        detections((0, 0, 5, 5), scores=scores)


def test_nothing_found_is_a_result_too() -> None:
    assert len(detections()) == 0
