"""Heat of scored regions, and where its peak is."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workloads.localization.maps import normalize, upsample
from workloads.localization.points import peak
from workloads.methods.bency.region_heat import EQUAL, RISE, region_heat, with_central_peak


def test_heat_by_hand() -> None:
    boxes = np.array([[0.0, 0, 2, 1], [1, 0, 2, 2]])
    heat = region_heat(boxes, np.array([0.5, 0.25]), height=2, width=2, cells=1)
    assert heat.tolist() == [[0.5, 0.75], [0, 0.25]]
    finer = region_heat(boxes, np.array([0.5, 0.25]), height=2, width=2, cells=3)
    assert (finer == np.kron(heat, np.ones((3, 3)))).all()


def test_a_cell_on_the_edge_has_the_mean_over_its_area() -> None:
    heat = region_heat(np.array([[0.25, 0, 1.5, 0.5]]), np.array([1.0]), 1, 2, 1)
    assert heat.tolist() == [[0.75 * 0.5, 0.5 * 0.5]]


@given(
    corners=st.lists(st.floats(0, 4), min_size=4, max_size=4),
    score=st.floats(0, 1),
    cells=st.integers(1, 5),
)
def test_heat_sums_to_score_times_area(corners: list[float], score: float, cells: int) -> None:
    (x0, x1), (y0, y1) = sorted(corners[:2]), sorted(corners[2:])
    heat = region_heat(np.array([[x0, y0, x1, y1]]), np.array([score]), 4, 4, cells)
    expected = score * (x1 - x0) * (y1 - y0) * cells**2
    np.testing.assert_allclose(heat.sum(), expected, atol=1e-9)
    assert heat.max() <= score + 1e-9


def plateau(y0: int, x0: int, y1: int, x1: int, size: int = 16) -> np.ndarray:
    """Heat 2 on a rectangle, 1.9 on its left half of the frame, else 1."""
    heat = np.ones((size, size))
    heat[:, : size // 2] = 1.9
    heat[y0:y1, x0:x1] = 2
    return heat


@settings(deadline=None)
@example(y0=0, x0=0, height=1, width=2)
@example(y0=7, x0=14, height=4, width=2)
@given(
    y0=st.integers(0, 15), x0=st.integers(0, 15), height=st.integers(1, 9), width=st.integers(1, 9)
)
def test_the_peak_is_the_centre_of_the_hottest_region(
    y0: int, x0: int, height: int, width: int
) -> None:
    """Within half a cell; downstream too, after magnification and normalisation.

    There a region of one or two cells mixes with what is beside it; positions have more.
    """
    y1, x1 = min(y0 + height, 16), min(x0 + width, 16)
    heat = plateau(y0, x0, y1, x1)
    raised = with_central_peak(heat)
    x, y = peak(raised.astype(np.float32))
    assert abs(x - (x0 + x1) / 2) <= 0.5
    assert abs(y - (y0 + y1) / 2) <= 0.5
    if min(y1 - y0, x1 - x0) < 3:
        return
    scale = 125 / 16
    x, y = peak(normalize(upsample(raised.astype(np.float32), 125, 125)))
    assert abs(x - scale * (x0 + x1) / 2) <= 0.5 * scale + 0.5
    assert abs(y - scale * (y0 + y1) / 2) <= 0.5 * scale + 0.5


def test_nothing_but_the_hottest_region_changes() -> None:
    heat = plateau(2, 3, 9, 12)
    raised = with_central_peak(heat)
    changed = raised != heat
    assert changed[2:9, 3:12].all()
    assert not changed[heat < 2].any()
    assert 2 < raised.max() <= 2 * (1 + RISE)


def test_of_several_hottest_regions_the_first_is_raised() -> None:
    heat = np.zeros((6, 6))
    heat[0, 4:] = heat[3:6, 0:3] = 1
    assert np.unravel_index(with_central_peak(heat).argmax(), heat.shape) == (0, 5)


def test_heat_that_differs_by_rounding_is_equal() -> None:
    heat = plateau(2, 3, 9, 12)
    heat[2, 3] *= 1 + EQUAL / 10
    assert np.unravel_index(with_central_peak(heat).argmax(), heat.shape) == (5, 7)


def test_a_constant_map_has_its_peak_in_the_centre_and_no_heat_none() -> None:
    constant = with_central_peak(np.ones((5, 9)))
    assert np.unravel_index(constant.argmax(), constant.shape) == (2, 4)
    assert not with_central_peak(np.zeros((5, 9))).any()
