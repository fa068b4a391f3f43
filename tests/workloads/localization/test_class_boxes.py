"""From the maps of a class to its boxes: scales, thresholds, rules, scores, and all verbs alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_cases import box_map, evaluated, random_predictions
from scipy import ndimage

from workloads.errors import NotFound
from workloads.localization.boxes import HeatBoxes, boxes_at, tight_box
from workloads.localization.boxes_per_cutoff import boxes_per_cutoff
from workloads.localization.class_boxes import CutMap, boxes_of_class, maps_to_cut
from workloads.localization.component_tree import even_thresholds, sweep
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.detect import boxes_of_maps, detect
from workloads.localization.maps import normalize, upsample

W, H = 16, 12
LEFT, RIGHT = (0, 0, 4, 4), (10, 4, 16, 12)


def boxes(*raws, label=0, width=W, height=H, regions=None, **cutoffs) -> HeatBoxes:
    return boxes_of_maps(raws, width, height, Cutoffs(**cutoffs), label, regions)


def corners(*raws, **cutoffs):
    return boxes(*raws, **cutoffs).boxes_xyxy.tolist()


def scores(*raws, regions=None, **cutoffs):
    found = detect(
        np.array([0.5], np.float32), lambda _: raws, W, H, Cutoffs(**cutoffs), np.eye(1), regions
    )
    return found.scores.tolist()


# Scales


def test_each_scale_is_normalised_and_cut_on_its_own():
    first = box_map(W, H, (*LEFT, 1.0))
    second = box_map(W, H, (0, 0, W, H, -700.0), (*RIGHT, 900.0))
    assert corners(first, second, box_rule="all") == [[*LEFT], [*RIGHT]]
    half = box_map(W // 2, H // 2, (5, 2, 8, 6, 1.0))
    assert corners(first, half, box_rule="all", cutoff=0.7) == [[*LEFT], [*RIGHT]]


def test_scales_may_be_one_map_or_the_main_one_alone():
    wide = box_map(W, H, (*LEFT, 1.0), (*RIGHT, 0.4))
    right = box_map(W, H, (*RIGHT, 30.0))
    # Each in [0, 1] the mean is .5 on the left and .7 on the right, which becomes 5/7 and 1.
    assert corners(wide, right, box_rule="all", scales="mean", cutoff=0.7) == [[*LEFT], [*RIGHT]]
    assert corners(wide, right, box_rule="all", scales="mean", cutoff=0.72) == [[*RIGHT]]
    assert corners(wide, right, box_rule="all", scales="main", cutoff=0.5) == [[*LEFT]]
    assert corners(wide, box_rule="all", scales="mean", cutoff=0.5) == [[*LEFT]]


def test_scales_have_boxes_in_their_order():
    # Within a scale raster order decides, between scales their order.
    low, high = box_map(W, H, (0, 8, 2, 10, 1.0)), box_map(W, H, (4, 0, 6, 2, 1.0))
    assert corners(low, high, box_rule="all") == [[0, 8, 2, 10], [4, 0, 6, 2]]


def test_the_largest_component_is_that_of_all_scales():
    first, second = box_map(W, H, (*LEFT, 1.0)), box_map(W, H, (*RIGHT, 1.0))
    assert scores(first, second) == [0.5]
    assert boxes(first, second).largest().boxes_xyxy.tolist() == [[*RIGHT]]
    equal = box_map(W, H, (6, 6, 10, 10, 1.0))
    assert boxes(first, equal).largest().boxes_xyxy.tolist() == [[*LEFT]]


# Non-maximum suppression and small boxes


def test_near_duplicates_of_scales_are_suppressed():
    first, second = box_map(W, H, (0, 0, 8, 8, 1.0)), box_map(W, H, (0, 0, 8, 9, 1.0))
    assert corners(first, second, box_rule="all") == [[0, 0, 8, 8], [0, 0, 8, 9]]
    # As hot as the first, so the larger one stays.
    assert corners(first, second, box_rule="all", nms_iou=0.7) == [[0, 0, 8, 9]]
    assert len(corners(first, second, box_rule="all", nms_iou=0.9)) == 2


def test_small_boxes_are_left_out_even_if_none_is_left():
    raw = box_map(W, H, (*LEFT, 1.0), (10, 4, 16, 7, 1.0))
    assert corners(raw, min_box_px=3.0) == [[*LEFT], [10, 4, 16, 7]]
    assert corners(raw, min_box_px=4.0) == [[*LEFT]]
    assert corners(raw, min_box_px=4.1) == []


def test_boxes_are_suppressed_before_small_ones_are_left_out():
    # The hot strip suppresses the box below it, and is then too small itself (SPN's code).
    wide, thin = box_map(W, H, (0, 0, 8, 8, 1.0)), box_map(W, H, (0, 0, 8, 7, 1.0))
    cool = wide + box_map(W, H, (15, 11, 16, 12, 2.0))
    assert corners(cool, thin, box_rule="all", min_box_px=8, nms_iou=0.5) == []
    assert corners(cool, thin, box_rule="all", min_box_px=8) == [[0, 0, 8, 8]]


# Thresholds


def test_pixels_at_the_mean_are_foreground():
    # 0, 1, 2 in equal shares: the mean is 1.
    thirds = np.repeat(np.array([[0, 1, 2]], np.float32), 3, axis=0)
    assert corners(thirds, width=3, height=3, threshold="mean") == [[1, 0, 3, 3]]
    assert corners(thirds, width=3, height=3, cutoff=0.5) == [[2, 0, 3, 3]]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_mean_is_that_of_the_raw_map(seed):
    rng = np.random.default_rng(seed)
    raw = rng.integers(-20, 20, (H, W)).astype(np.float32)
    exact = raw - raw.mean(dtype=np.float64)
    if np.abs(exact).min() < 1e-3:  # at the mean itself, normalising may round either way
        return
    inside = (exact > 0).astype(np.float32)
    assert corners(raw, threshold="mean", box_rule="tight") == corners(inside, box_rule="tight")


@pytest.mark.parametrize("rule", ["largest", "all", "tight", "regions"])
@pytest.mark.parametrize("threshold", ["fixed", "mean"])
@pytest.mark.parametrize("upsampled", ["first", "last"])
def test_a_constant_map_has_no_box(rule, threshold, upsampled):
    flat, whole = np.full((3, 4), 7.0, np.float32), np.array([[0, 0, W, H]], np.float32)
    choice = {"box_rule": rule, "threshold": threshold, "upsample": upsampled, "cutoff": 0.0}
    assert corners(flat, flat, regions=whole, box_score="mean", nms_iou=0.5, **choice) == []


def test_the_map_can_be_cut_at_its_own_size():
    # Cut first, the box is a cell of the 4 x 3 map; resized first, the slope reaches farther.
    raw = box_map(4, 3, (1, 1, 2, 2, 1.0))
    assert corners(raw, upsample="last") == [[4, 4, 8, 8]]
    assert corners(raw, upsample="first", cutoff=0.2) == [[3, 3, 9, 9]]
    assert boxes(raw, upsample="last").areas.tolist() == [1]
    # The far edge is the image's, whatever the sizes are.
    edge = box_map(7, 3, (6, 2, 7, 3, 1.0))
    assert corners(edge, upsample="last", width=101, height=67)[0][2:] == [101, 67]


def test_every_class_can_have_a_cutoff():
    raw = box_map(W, H, (0, 0, 8, 8, 0.5), (*LEFT, 1.0))
    given = {"class_cutoffs": (0.2, 0.6), "cutoff": 0.9999}
    assert corners(raw, label=0, **given) == [[0, 0, 8, 8]]
    assert corners(raw, label=1, **given) == [[*LEFT]]
    assert corners(raw, label=1, cutoff=0.2) == [[0, 0, 8, 8]]


# Rules and scores

TWO = box_map(W, H, (*LEFT, 0.5), (*RIGHT, 1.0))


def test_one_tight_box_around_all_foreground():
    found = boxes(TWO, box_rule="tight")
    assert found.boxes_xyxy.tolist() == [[0, 0, 16, 12]]
    assert (found.heat.tolist(), found.areas.tolist()) == ([1.0], [16 + 48])
    assert len(tight_box(TWO, 1.0).heat) == 0


def test_the_best_region_is_the_box():
    regions = np.array([[0, 0, W, H], [9, 3, 16, 12], [0, 0, 5, 5]], np.float32)
    found = boxes(TWO, box_rule="regions", regions=regions)
    assert found.boxes_xyxy.tolist() == [[9, 3, 16, 12]]
    assert (found.heat.tolist(), found.areas.tolist()) == ([1.0], [48])
    assert scores(TWO, box_rule="regions", regions=regions) == [0.5]
    # One for each scale; the regions are judged in the image, whatever the size of the maps.
    small = box_map(W // 2, H // 2, (0, 0, 2, 2, 1.0))
    choice = {"box_rule": "regions", "regions": regions, "upsample": "last"}
    assert corners(TWO, small, **choice) == [[9, 3, 16, 12], [0, 0, 5, 5]]


def test_regions_that_are_not_there_are_an_error():
    with pytest.raises(NotFound, match="none are stored"):
        boxes(TWO, box_rule="regions")


@pytest.mark.parametrize(
    ("rule", "peak", "mean"),
    [
        ("all", [0.5, 0.25], [0.5, 0.25]),
        ("largest", [0.5], [0.5]),
        ("tight", [0.5], [0.5 * (16 * 0.5 + 48) / (16 * 12)]),
    ],
)
def test_the_score_of_a_box(rule, peak, mean):
    assert scores(TWO, box_rule=rule) == pytest.approx(peak)
    assert scores(TWO, box_rule=rule, box_score="mean") == pytest.approx(mean)


def test_the_mean_heat_is_that_of_the_box_not_of_the_component():
    cross = box_map(W, H, (4, 2, 6, 8, 1.0), (2, 4, 8, 6, 1.0))
    assert boxes(cross, box_score="mean").heat.tolist() == [np.float32(20 / 36)]
    # The score decides which of two boxes stays, too.
    inner = box_map(W, H, (2, 2, 8, 7, 1.0))
    choice = {"box_rule": "all", "nms_iou": 0.5}
    assert corners(cross, inner, **choice) == [[2, 2, 8, 7]]  # as hot, but larger
    full = boxes(cross, inner, box_score="mean", **choice)
    assert full.boxes_xyxy.tolist() == [[2, 2, 8, 7]]
    assert full.heat.tolist() == [1.0]


def test_raw_heat_is_the_score_itself():
    raw = 40 * TWO
    # The whole 12 x 16 map holds 16 pixels of 20 and 48 of 40.
    whole = {"box_rule": "tight", "box_score": "raw_mean"}
    assert scores(raw, **whole) == pytest.approx([(16 * 20 + 48 * 40) / 192])
    assert scores(raw, box_rule="all", box_score="raw_mean") == [40, 20]
    # A cross of 20 pixels in a box of 36: the box has background in it, the component has not.
    cross = 3 * box_map(W, H, (4, 2, 6, 8, 1.0), (2, 4, 8, 6, 1.0))
    assert scores(cross, box_score="raw_mean") == pytest.approx([3 * 20 / 36])
    assert scores(cross, box_score="raw_component") == [3]
    assert scores(cross - 1, box_score="raw_component") == [2]
    regions = np.array([[2, 2, 8, 8]], np.float32)
    choice = {"box_rule": "regions", "regions": regions, "box_score": "raw_component"}
    assert scores(cross, **choice) == [3]


def test_cool_boxes_are_left_out_after_suppression():
    warm, cold = box_map(W, H, (*LEFT, 1.0)), box_map(W, H, (0, 0, 4, 5, 1.0)) - 2
    choice = {"box_rule": "all", "box_score": "raw_component"}
    assert scores(warm, cold, **choice) == [1, -1]
    assert scores(warm, cold, **choice, heat_above=0.0) == [1]
    assert scores(cold, **choice, heat_above=-1.0) == []
    # What is too cool has lost against the hotter one already, and does not come back.
    assert corners(warm, cold, **choice, nms_iou=0.7, heat_above=0.5) == [[*LEFT]]
    assert corners(cold, warm, **choice, nms_iou=0.7, heat_above=1.0) == []


def test_components_may_need_an_edge_in_common():
    stairs = box_map(W, H, (0, 0, 4, 4, 1.0), (4, 4, 8, 8, 1.0))
    assert corners(stairs, box_rule="all") == [[0, 0, 8, 8]]
    assert corners(stairs, box_rule="all", connectivity=4) == [[0, 0, 4, 4], [4, 4, 8, 8]]
    # Of equal ones the first in raster order, whose first pixel lies further up.
    late = box_map(W, H, (0, 2, 2, 4, 1.0), (9, 1, 11, 3, 1.0))
    assert corners(late, box_rule="all", connectivity=4) == [[9, 1, 11, 3], [0, 2, 2, 4]]


def test_a_cutoff_may_be_a_share_of_the_maximum():
    # -1, 0.15, 0.25, 1: a fifth of the maximum is 0.2; a fifth of the range is at -0.6.
    raw = np.repeat(np.array([[-1, 0.15, 0.25, 1]], np.float32), 3, axis=0)
    choice = {"width": 4, "height": 3, "cutoff": 0.2}
    assert corners(raw, **choice, relative_to="max") == [[2, 0, 4, 3]]
    assert corners(raw, **choice, relative_to="range") == [[1, 0, 4, 3]]
    assert corners(raw - 2, **choice, relative_to="max") == []  # nothing is positive


def test_a_cutoff_may_be_in_the_unit_of_the_map():
    raw = np.repeat(np.array([[0.1, 0.3, 0.6, 0.7]], np.float32), 3, axis=0)
    choice = {"width": 4, "height": 3, "relative_to": "nothing"}
    assert corners(raw, **choice, cutoff=0.5) == [[2, 0, 4, 3]]
    assert corners(raw / 2, **choice, cutoff=0.5) == []
    assert corners(raw * 5, **choice, cutoff=0.4) == [[0, 0, 4, 3]]


def test_the_mean_of_a_map_is_its_own_unit():
    thirds = np.repeat(np.array([[-9, 0, 9]], np.float32), 3, axis=0)
    choice = {"width": 3, "height": 3, "threshold": "mean"}
    for unit in ("range", "max", "nothing"):
        assert corners(thirds, **choice, relative_to=unit) == [[1, 0, 3, 3]]


def test_corners_may_be_aligned():
    # Three cells on nine pixels: centres at 1, 4 and 7, or at 0, 4 and 8.
    raw = np.array([[0, 0, 1]], np.float32)
    half, aligned = (upsample(raw, 9, 1, align_corners=how)[0].tolist() for how in (False, True))
    assert half == pytest.approx([0, 0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1])
    assert aligned == pytest.approx([0, 0, 0, 0, 0, 1 / 4, 2 / 4, 3 / 4, 1])
    assert corners(raw, width=9, height=1, cutoff=0.3) == [[5, 0, 9, 1]]
    assert corners(raw, width=9, height=1, cutoff=0.3, align_corners=True) == [[6, 0, 9, 1]]
    assert upsample(np.array([[2.0], [4.0]], np.float32), 3, 1, align_corners=True).tolist() == [
        [2, 2, 2]
    ]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), to=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_aligned_corners_are_torchs(seed, to):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=rng.integers(1, 9, 2)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(raw)[None, None], to, mode="bilinear", align_corners=True
    )[0, 0].numpy()
    ours = upsample(raw, to[1], to[0], align_corners=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def spns_boxes(raws, width, height):
    """SPN's boxes of a class, plainly: corners are inclusive, and so are widths in the IoU."""
    found = []
    for raw in raws:
        heat = torch.nn.functional.interpolate(
            torch.from_numpy(raw)[None, None], (height, width), mode="bilinear", align_corners=True
        )[0, 0].numpy()
        labels, count = ndimage.label(heat >= heat.mean(dtype=np.float64))
        for index in range(1, count + 1):
            y, x = np.nonzero(labels == index)
            mean = heat[labels == index].mean(dtype=np.float64)
            found.append((mean, x.min(), y.min(), x.max(), y.max()))
    kept = []
    for box in sorted(found, key=lambda b: -b[0]):
        if all(inclusive_iou(box[1:], other[1:]) < 0.7 for other in kept):
            kept.append(box)
    return [b for b in kept if b[0] > 0 and min(b[3] - b[1], b[4] - b[2]) >= 3]


def inclusive_iou(a, b):
    sides = [max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1) for i in (0, 1)]
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


@pytest.mark.parametrize("seed", range(12))
def test_the_boxes_of_spns_code(seed):
    rng = np.random.default_rng(seed)
    raws = [rng.normal(0.2 - 0.05 * seed, 1, (n, n + 1)).astype(np.float32) for n in (4, 6, 3)]
    expected = spns_boxes(raws, 40, 30)
    found = boxes(
        *raws,
        width=40,
        height=30,
        threshold="mean",
        box_rule="all",
        box_score="raw_component",
        connectivity=4,
        align_corners=True,
        nms_iou=0.7,
        heat_above=0.0,
        min_box_px=4,  # their sides are a pixel shorter
    )
    order = np.argsort(-found.heat, kind="stable")
    assert found.boxes_xyxy[order].tolist() == [[x, y, u + 1, v + 1] for _, x, y, u, v in expected]
    np.testing.assert_allclose(found.heat[order], [b[0] for b in expected], atol=1e-5)


# The same for all


@st.composite
def any_cutoffs(draw):
    return Cutoffs(
        cutoff=draw(st.sampled_from([0.0, 0.25, 0.5, 0.9])),
        threshold=draw(st.sampled_from(["fixed", "mean"])),
        upsample=draw(st.sampled_from(["first", "last"])),
        box_rule=draw(st.sampled_from(["largest", "all", "tight", "regions"])),
        box_score=draw(st.sampled_from(["peak", "mean", "raw_mean", "raw_component"])),
        relative_to=draw(st.sampled_from(["range", "max", "nothing"])),
        align_corners=draw(st.booleans()),
        connectivity=draw(st.sampled_from([4, 8])),
        heat_above=draw(st.sampled_from([None, 0.0, 0.6])),
        scales=draw(st.sampled_from(["each", "main", "mean"])),
        nms_iou=draw(st.sampled_from([None, 0.3, 0.7])),
        min_box_px=draw(st.sampled_from([0.0, 5.0])),
        class_cutoffs=draw(st.sampled_from([(), (0.1, 0.4, 0.6)])),
        score_threshold=0.2,
    )


def scaled(image, seed: int, scales: int):
    """The image with more scales, whose maps have sizes of their own, and with regions."""
    rng = np.random.default_rng(seed)
    more = [rng.random((len(image.map_labels), n + 3, n + 4)) for n in range(scales - 1)]
    low = rng.integers(0, image.width // 2, (8, 2))
    high = low + rng.integers(1, image.width // 2 + 1, (8, 2))
    return replace(
        image,
        scales=(image.scales[0], *(maps.astype(np.float32) for maps in more)),
        regions_xyxy=np.concatenate([low, high], axis=1).astype(np.float32),
    )


@settings(max_examples=60, deadline=None)
@given(cutoffs=any_cutoffs(), seed=st.integers(0, 1000), scales=st.integers(1, 3))
def test_evaluation_finds_what_annotation_writes(cutoffs, seed, scales):
    (image,) = random_predictions(seed, 1, classes=3)
    image = scaled(image, seed, scales)
    stored = image.map_labels.tolist()
    known = np.where(np.isin(np.arange(3), stored), image.scores, 0).astype(np.float32)
    measured = evaluated(image, **cutoffs.model_dump()).detections(cutoffs.score_threshold)
    written = detect(
        known, image.maps_of, image.width, image.height, cutoffs, np.eye(3), image.regions_xyxy
    )
    np.testing.assert_array_equal(measured.boxes_xyxy, written.boxes_xyxy)
    np.testing.assert_array_equal(measured.scores, written.scores)
    np.testing.assert_array_equal(measured.labels, written.labels)


LEVELS = even_thresholds(20)


@settings(max_examples=60, deadline=None)
@given(cutoffs=any_cutoffs(), seed=st.integers(0, 1000), scales=st.integers(1, 3))
def test_the_boxes_of_every_cutoff_are_those_of_each(cutoffs, seed, scales):
    cutoffs = cutoffs.model_copy(update={"class_cutoffs": ()})
    (image,) = random_predictions(seed, 1, classes=3)
    image = scaled(image, seed, scales)
    label, size = int(image.map_labels[0]), (image.width, image.height)
    maps = maps_to_cut(image.maps_of(label), *size, cutoffs)
    found = boxes_per_cutoff(maps, *size, LEVELS, cutoffs, label, image.regions_xyxy)
    for k, box in enumerate(found.one_each()):
        at = cutoffs.model_copy(update={"cutoff": k / 20})
        expected = boxes_of_class(maps, *size, at, label, image.regions_xyxy)
        largest = expected.largest()
        assert box.tolist() == (largest.boxes_xyxy.tolist() or [[0, 0, 0, 0]])[0]
        ours = found.take(found.levels == k).found
        if cutoffs.box_rule == "largest":
            np.testing.assert_array_equal(ours.boxes_xyxy, largest.boxes_xyxy)
        else:
            for a, b in zip(ours, expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_smaller_box_takes_the_place_of_one_with_too_short_a_side():
    wide = (0, 0, 16, 2)  # more pixels, but one side is too short
    raw = np.maximum(box_map(W, H, (*wide, 1.0)), box_map(W, H, (4, 6, 9, 11, 0.5)))
    found = boxes_per_cutoff([CutMap(raw, raw)], W, H, LEVELS, Cutoffs(min_box_px=5), 0).one_each()
    assert found.tolist() == [[4, 6, 9, 11]] * 10 + [[0, 0, 0, 0]] * 10


def test_a_sweep_that_is_known_is_not_made_again():
    raw, other = box_map(W, H, (*LEFT, 1.0)), box_map(W, H, (*RIGHT, 1.0))
    known = sweep(other, LEVELS)
    found = boxes_per_cutoff([CutMap(raw, raw)], W, H, LEVELS, Cutoffs(), 0, None, known)
    assert found.one_each().tolist() == [[*RIGHT]] * 20


def test_by_default_nothing_but_the_components_of_the_main_map():
    raw = np.random.default_rng(3).random((6, 7)).astype(np.float32)
    plain = boxes_at(normalize(upsample(raw, W, H)), Cutoffs().cutoff)
    for ours, expected in zip(boxes(raw), plain, strict=True):
        np.testing.assert_array_equal(ours, expected)
