"""Boxes that the page finds in the browser are those that Python finds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from browser import IS_THERE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_boxes import NODE, Ask, as_answered, case_of, page_boxes

from workloads.localization.class_boxes import level_of, maps_to_cut
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.detect import boxes_of_maps, locate

pytestmark = pytest.mark.skipif(not (NODE or IS_THERE), reason="needs node or chromium")

NEAR = 1e-6
"""A value this near to the cut-off may fall on either side of it: libraries add up in other
orders, which moves a float32 of a map by some 1e-7. Heat is compared as closely, relatively."""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with page_boxes(tmp_path_factory.mktemp("boxes")) as ask:
        yield ask


def some_map(rng: np.random.Generator, height: int, width: int, kind: str) -> np.ndarray:
    """Noise, blobs, few values (so that many pixels are equal), or one value."""
    noise = rng.normal(size=(height, width))
    if kind == "blobs":
        y, x = np.mgrid[:height, :width]
        centres = rng.uniform(0, 1, (3, 2)) * (height, width)
        noise = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 8) for a, b in centres)
    if kind == "steps":
        noise = np.rint(noise)
    if kind == "constant":
        noise = np.full((height, width), rng.normal())
    return as_answered(noise.astype(np.float32))  # boxes are compared, not 16 bits a pixel


CUTOFFS = st.builds(
    Cutoffs,
    cutoff=st.floats(0, 0.95),
    class_cutoffs=st.sampled_from([(), (0.2, 0.5, 0.7)]),
    threshold=st.sampled_from(["fixed", "fixed", "mean"]),
    scales=st.sampled_from(["each", "main", "mean"]),
    upsample=st.sampled_from(["first", "last"]),
    relative_to=st.sampled_from(["range", "max", "nothing"]),
    align_corners=st.booleans(),
    connectivity=st.sampled_from([4, 8]),
    box_rule=st.sampled_from(["largest", "all", "tight"]),
    box_score=st.sampled_from(["peak", "mean", "raw_mean", "raw_component"]),
    heat_above=st.sampled_from([None, 0.0, 0.3]),
    nms_iou=st.sampled_from([None, 0.1, 0.5]),
    min_box_px=st.sampled_from([0.0, 4.0]),
    score_threshold=st.sampled_from([0.0, 0.5]),
)
SIDES = st.integers(2, 12)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    CUTOFFS,
    st.integers(0, 2**32 - 1),
    st.sampled_from(["noise", "blobs", "steps", "constant"]),
    st.tuples(SIDES, SIDES),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
def test_they_are_the_same(ask, cutoffs, seed, kind, shape, size):
    compare(ask, cutoffs, seed, kind, shape, size)


@pytest.mark.parametrize("align_corners", [False, True])
def test_they_are_the_same_in_a_photograph(ask, align_corners):
    for seed, rule in enumerate(("largest", "all", "tight")):
        cutoffs = Cutoffs(align_corners=align_corners, box_rule=rule, score_threshold=0)
        compare(ask, cutoffs, seed, "noise", (14, 14), (640, 427))


def compare(ask: Ask, cutoffs: Cutoffs, seed: int, kind: str, shape, size) -> None:
    rng = np.random.default_rng(seed)
    width, height = size
    maps = {
        k: (some_map(rng, *shape, kind), some_map(rng, shape[1], shape[0], kind)) for k in range(3)
    }
    scores = np.array([0.5, rng.uniform(), 0.9], np.float32)
    boxes = partial(boxes_of_maps, width=width, height=height, cutoffs=cutoffs)
    expected = locate(scores, lambda k: boxes(maps[k], label=k), width, height, cutoffs)
    found = ask(case_of([(k, float(scores[k]), maps[k]) for k in maps], width, height, cutoffs))
    try:
        assert [one["label"] for one in found] == expected.labels.tolist()
        assert [one["box"] for one in found] == expected.boxes_xyxy.tolist()
        found_scores = [one["score"] for one in found]
        np.testing.assert_allclose(found_scores, expected.scores, rtol=NEAR, atol=NEAR)
    except AssertionError:
        if not is_close_call(maps, width, height, cutoffs):
            raise


def is_close_call(maps, width: int, height: int, cutoffs: Cutoffs) -> bool:
    """Whether some pixel lies so near to the cut-off that rounding decides about it."""
    return any(
        _nearest(one.map01, level_of(one.map01, cutoffs, k)) < NEAR
        for k, raws in maps.items()
        for one in maps_to_cut(raws, width, height, cutoffs)
    )


def _nearest(map01: np.ndarray, level: np.float32) -> float:
    """The least distance to a level, but for 0: equal is equal for both."""
    away = np.abs(map01.astype(np.float64) - level)
    return away[away > 0].min(initial=np.inf)
