"""Detections refuse boxes that no image can have."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from workloads.detections import Detections


def of(*boxes: tuple[float, float, float, float], width: int = 10, height: int = 6) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(len(boxes), np.float32),
        np.zeros(len(boxes), np.int32),
        width,
        height,
    )


def test_a_box_may_fill_the_image_and_there_may_be_none() -> None:
    assert len(of((0, 0, 10, 6), (9.5, 5.5, 10, 6))) == 2
    assert len(of()) == 0


@pytest.mark.parametrize(
    "box",
    [
        (-0.5, 0, 5, 5),
        (0, -1, 5, 5),
        (0, 0, 10.5, 5),
        (0, 0, 6, 6.5),
        (5, 0, 5, 5),
        (0, 4, 5, 4),
        (5, 0, 2, 5),
        (0, 5, 5, 2),
        (float("nan"), 0, 5, 5),
        (0, 0, 5, float("nan")),
    ],
)
def test_an_empty_inverted_or_outer_box_is_refused(
    box: tuple[float, float, float, float],
) -> None:
    with pytest.raises(ValueError, match=r"^Detections: a box is empty or outside 10x6$"):
        of((0, 0, 1, 1), box)


@pytest.mark.parametrize(
    ("boxes", "scores", "labels"),
    [((1, 4), 2, 1), ((1, 4), 1, 2), ((2, 4), 1, 1), ((1, 5), 1, 1), ((4,), 1, 1)],
)
def test_arrays_of_other_lengths_are_refused(
    boxes: tuple[int, ...], scores: int, labels: int
) -> None:
    given = f"boxes_xyxy {boxes}, scores ({scores},) and labels ({labels},)"
    with pytest.raises(ValueError, match="must be") as caught:
        Detections(
            np.ones(boxes, np.float32),
            np.ones(scores, np.float32),
            np.ones(labels, np.int32),
            10,
            6,
        )
    assert str(caught.value) == f"Detections: {given} must be (N, 4), (N,) and (N,)"


def test_detections_cannot_be_pointed_elsewhere() -> None:
    with pytest.raises(FrozenInstanceError):
        of().width = 3  # type: ignore[misc]
