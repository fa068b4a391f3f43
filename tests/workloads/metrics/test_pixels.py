"""PxAP and object energy, by hand and against the toolkit's formula."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from prediction_cases import PLAIN, SIDE, image_of, measure, truth_of

from workloads.metrics.object_energy import energy_inside, pixels_inside
from workloads.metrics.pxap import pixel_ap, score_bins

# PxAP


def masked(mask, heat, label=0, image_id="a", **truth):
    truth = truth_of(labels=(label,), mask=mask.astype(np.uint8), **truth)
    return image_of(truth, {label: heat.astype(np.float32)}, image_id=image_id)


def halves(*values):
    """A 2 x 2 picture of quarters, as large as the frame."""
    return np.kron(np.array(values).reshape(2, 2), np.ones((SIDE // 2, SIDE // 2)))


def test_pxap():
    # In units of a quarter, from the hottest: true, false, true, false at 1, .75, .5 and 0.
    mask, heat = halves(1, 0, 1, 0), halves(1.0, 0.75, 0.5, 0.0)
    found = measure("pxap", [masked(mask, heat)], frame=SIDE)
    assert found.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.per_class == pytest.approx({0: 5 / 6})
    assert (found.counted, found.skipped) == (1, 0)
    assert found.details == {"background_pixels": 200, "foreground_pixels": 200}
    # Equal heat enters together: 1/2 at full recall.
    flat = measure("pxap", [masked(mask, halves(1.0, 1.0, 1.0, 1.0))], frame=SIDE)
    assert flat.value == pytest.approx(1 / 2)


def test_a_constant_map_stays_constant():
    # Everything enters together, so AP is the share of foreground; 0.3 has no short binary form.
    mask = halves(1, 0, 0, 0)
    found = measure("pxap", [masked(mask, np.full((3, 3), 0.3))], frame=SIDE)
    assert found.value == 1 / 4


def test_ignored_pixels_do_not_count():
    mask, heat = halves(1, 255, 1, 0), halves(1.0, 0.75, 0.5, 0.0)
    found = measure("pxap", [masked(mask, heat)], frame=SIDE)
    assert found.value == 1.0
    assert found.details == {"background_pixels": 100, "foreground_pixels": 200}


def test_pixels_are_pooled_over_images():
    images = [
        masked(halves(1, 0, 0, 0), halves(1.0, 0.5, 0.0, 0.0), 0, "a"),
        masked(halves(0, 1, 0, 0), halves(1.0, 0.5, 0.0, 0.0), 1, "b"),
    ]
    # At 1 one of two is true, at .5 two of four.
    found = measure("pxap", images, frame=SIDE)
    assert found.value == pytest.approx(1 / 2)
    # Each alone: 1, and 0 at the hottest quarter then 1 of 2.
    assert found.per_class == pytest.approx({0: 1.0, 1: 1 / 2})


def test_the_centre_baseline_of_pxap():
    inner = np.zeros((SIDE, SIDE))
    inner[5:15, 5:15] = 1
    found = measure("pxap", [masked(inner, halves(1.0, 0, 0, 0))], frame=SIDE)
    assert found.centre == pytest.approx(1.0)
    assert found.value < 0.5


def test_images_that_pxap_skips():
    mask = halves(1, 0, 0, 0)
    images = [
        image_of(truth_of((0, 0, 5, 5, 0)), {0: PLAIN}),  # no mask
        image_of(truth_of(labels=(0, 1), mask=mask.astype(np.uint8)), {0: PLAIN, 1: PLAIN}),
        image_of(truth_of(mask=mask.astype(np.uint8)), {0: PLAIN}),  # no class
    ]
    found = measure("pxap", images)
    assert (found.counted, found.skipped) == (0, 3)
    assert math.isnan(found.value)


def toolkit_pxap(scores, masks, count):
    """wsolevaluation's formula, written down again."""
    edges = np.append(np.arange(0, 1, 1 / count), [1.0, 2.0, 3.0])
    hists = [np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)]
    for heat, mask in zip(scores, masks, strict=True):
        for kind in (0, 1):
            hists[kind] += np.histogram(heat[mask == kind], bins=edges)[0]
    fp, tp = (hist[::-1].cumsum() for hist in hists)
    precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp != 0)
    used = (tp + fp != 0)[1:]
    return (precision[1:] * np.diff(tp / hists[1].sum()))[used].sum()


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_against_the_toolkits_formula(count):
    rng = np.random.default_rng(count)
    raws = [rng.random((SIDE, SIDE)).astype(np.float32) for _ in range(5)]
    masks = [np.where(r > 0.9, 255, rng.random(r.shape) < r).astype(np.uint8) for r in raws]
    images = [masked(m, r, i % 3, str(i)) for i, (m, r) in enumerate(zip(masks, raws, strict=True))]
    found = measure("pxap", images, frame=SIDE, thresholds=count)
    scores = [(r - r.min()) / (r.max() - r.min()) for r in raws]
    assert found.value == pytest.approx(toolkit_pxap(scores, masks, count), abs=1e-12)


@pytest.mark.parametrize("count", [7, 10, 1000])
def test_bins_are_numpys(count):
    heat = np.linspace(0, 1, 5 * count + 1, dtype=np.float32).reshape(1, -1)
    edges = np.append(np.arange(0, 1, 1 / count)[:count], [1.0, 2.0, 3.0])
    expected = np.histogram(heat, bins=edges)[0]
    found = np.bincount(score_bins(heat, count).ravel(), minlength=count + 2)
    np.testing.assert_array_equal(found, expected)


def test_without_foreground_there_is_no_pixel_ap():
    histograms = np.array([[[3, 1], [0, 0]], [[0, 0], [2, 1]]])
    assert np.isnan(pixel_ap(histograms)[0])
    # All the pixels there are are true; the toolkit drops the first bin, which is its empty one.
    assert pixel_ap(histograms)[1] == pytest.approx(2 / 3)


# Object energy


def energetic(proposal, *boxes, image_id="a"):
    maps = dict.fromkeys(range(3), PLAIN)
    return image_of(truth_of(*boxes), maps, image_id=image_id, proposal=proposal)


def test_object_energy():
    left = np.array([[3.0, 1.0]], np.float32)  # upsampled: 3 on the left, a slope, 1 on the right
    # Over 20 columns: 3 in five, then 2.9, 2.7 .. 1.1, then 1 in five; together 40.
    images = [
        energetic(left, (0, 0, 5, 20, 0), image_id="a"),  # 5 * 3 of 40
        energetic(left, (0, 0, 10, 20, 0), image_id="b"),  # 15 + 2.9 + .. + 2.1 = 27.5
        energetic(left, (0, 0, 5, 20, 1), (0, 0, 4, 10, 2), (3, 0, 5, 20, 1), image_id="c"),
    ]
    found = measure("object_energy", images)
    expected = [15 / 40, 27.5 / 40, 15 / 40]
    assert found.value == pytest.approx(np.mean(expected), rel=1e-6)
    assert found.per_class == pytest.approx(
        {0: np.mean(expected[:2]), 1: expected[2], 2: expected[2]}, rel=1e-6
    )
    assert (found.counted, found.skipped) == (3, 0)


def test_object_energy_counts_difficult_boxes_but_no_crowds():
    level = np.ones((2, 2), np.float32)
    image = energetic(level, (0, 0, 10, 10, 0, True), (10, 10, 20, 20, 1, False, True))
    found = measure("object_energy", [image])
    assert found.value == pytest.approx(1 / 4)
    assert found.per_class == pytest.approx({0: 1 / 4})


def test_the_energy_of_boxes_is_how_many_cover_a_pixel():
    boxes = np.array([[0, 0, 10, 20], [5, 0, 20, 20], [0, 0, 20, 20]], np.float32)

    def with_boxes(proposal=None, regions=boxes):
        image = energetic(proposal, (0, 0, 10, 20, 0))
        return replace(image, prediction=replace(image.prediction, regions_xyxy=regions))

    # Of 900 in all, 200 + 100 + 200 lie on the left half.
    found = measure("object_energy", [with_boxes()])
    assert (found.value, found.counted) == (pytest.approx(500 / 900), 1)
    # A proposal map is judged before boxes are; without any box nothing is found.
    assert measure("object_energy", [with_boxes(np.ones((2, 2), np.float32))]).value == 1 / 2
    assert measure("object_energy", [with_boxes(regions=boxes[:0])]).value == 0.0


def test_images_that_object_energy_skips():
    level = np.ones((2, 2), np.float32)
    images = [
        energetic(None, (0, 0, 10, 10, 0)),
        energetic(level),
        energetic(level, (0, 0, 10, 10, 0, False, True)),
    ]
    found = measure("object_energy", images)
    assert (found.counted, found.skipped) == (0, 3)
    assert math.isnan(found.value)
    assert math.isnan(found.centre)


def test_the_centre_baseline_of_object_energy():
    # The pyramid's rings have 1, 3, 5 .. 19 twentieths; inside are the five highest rings.
    rings = [(2 * k + 1, 4 * (SIDE - 2 * k - 1)) for k in range(10)]
    inner = sum(height * pixels for height, pixels in rings[5:])
    image = energetic(np.ones((2, 2), np.float32), (5, 5, 15, 15, 0))
    expected = inner / sum(height * pixels for height, pixels in rings)
    assert measure("object_energy", [image]).centre == pytest.approx(expected, rel=1e-6)


def test_energy_is_clipped_at_zero():
    inside = np.array([[True, True, False, False]])
    assert energy_inside(np.array([[1.0, -5.0, 3.0, -2.0]]), inside) == 1 / 4
    assert energy_inside(np.array([[-1.0, -5.0, 0.0, -2.0]]), inside) == 0.0
    assert energy_inside(np.array([[0.1, 0.2, 0.0, 0.0]]), inside) == 1.0


def test_pixels_are_inside_by_their_centre():
    inside = pixels_inside(np.array([[0.6, 0.0, 2.5, 1.0], [3, 1, 4, 2]]), 4, 2)
    np.testing.assert_array_equal(
        inside, [[False, True, False, False], [False, False, False, True]]
    )
