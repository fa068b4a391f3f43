"""What may not change a metric: the scale of the images, and the units of the maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prediction_cases import evaluated, measure, random_predictions

from workloads.images.masks import decode_mask, encode_mask
from workloads.localization.maps import upsample
from workloads.metrics.registry import METRICS

CLASSES, SIDE, FACTOR = 3, 24, 3
CUTOFFS = {"cutoff": 0.45, "box_rule": "all"}
IMAGES = random_predictions(seed=21, images=40, classes=CLASSES, side=SIDE)


def upsampled(p):
    """Maps as large as the image, so that enlarging them is repeating pixels."""
    maps = np.array([upsample(m, SIDE, SIDE) for m in p.maps])
    proposal = None if p.proposal is None else upsample(p.proposal, SIDE, SIDE)
    return replace(p, scales=(maps,), proposal=proposal)


def enlarged(p):
    """The same image, FACTOR times as large."""
    ones = np.ones((FACTOR, FACTOR), np.float32)
    mask = p.truth.mask and encode_mask(np.kron(decode_mask(p.truth.mask), ones.astype(np.uint8)))
    truth = replace(p.truth, boxes_xyxy=FACTOR * p.truth.boxes_xyxy, mask=mask)
    return replace(
        p,
        width=FACTOR * p.width,
        height=FACTOR * p.height,
        truth=truth,
        scales=(np.array([np.kron(m, ones) for m in p.maps]),),
        proposal=None if p.proposal is None else np.kron(p.proposal, ones),
    )


def result_of(name, predictions, scale=1, **options):
    settings = {
        "thresholds": 50,
        "frame": scale * SIDE,
        "pointing_tolerance_px": scale * 2,
        "prediction_tolerance_px": scale * 2,
        "bootstrap": 10,
    }
    images = [evaluated(p, **CUTOFFS) for p in predictions]
    return measure(name, images, CLASSES, **{**settings, **options})


@pytest.mark.parametrize("name", METRICS)
def test_the_size_of_the_images_does_not_matter(name):
    small = [upsampled(p) for p in IMAGES]
    ours = result_of(name, small)
    theirs = result_of(name, [enlarged(p) for p in small], FACTOR)
    # Sums of floats are rounded, and float32 maps with them.
    exact = name != "object_energy"
    tolerance = {"rel": 0, "abs": 0} if exact else {"rel": 1e-6}
    for a, b in ((ours.value, theirs.value), (ours.per_class, theirs.per_class)):
        assert a == pytest.approx(b, **tolerance)
    assert ours.interval == pytest.approx(theirs.interval, **tolerance)
    assert (ours.counted, ours.skipped) == (theirs.counted, theirs.skipped)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_the_unit_of_the_maps_does_not_matter(name, factor):
    """Powers of two lose no bit."""
    scaled = [
        replace(
            p,
            scales=(np.float32(factor) * p.maps,),
            proposal=None if p.proposal is None else np.float32(factor) * p.proposal,
        )
        for p in IMAGES
    ]
    # The representation has all digits, and NaN is like NaN.
    assert repr(result_of(name, scaled)) == repr(result_of(name, IMAGES))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("constant", [-2.0, 16.0])
def test_the_zero_of_the_maps_does_not_matter(name, constant):
    """Maps in 64ths, resized by four: nothing is rounded. Bicubic weights have more digits."""
    coarse = [replace(p, scales=(np.round(64 * p.maps) / np.float32(64),)) for p in IMAGES]
    shifted = [replace(p, scales=(p.maps + np.float32(constant),)) for p in coarse]
    ours, theirs = result_of(name, coarse), result_of(name, shifted)
    if name == "pxap":
        assert ours.value == pytest.approx(theirs.value, abs=1e-4)
    else:
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["max_box_acc", "max_box_acc_v2"])
def test_the_same_for_the_toolkits_protocol(name):
    scaled = [replace(p, scales=(4 * p.maps,)) for p in IMAGES]
    ours, theirs = (result_of(name, x, protocol="wsolevaluation") for x in (IMAGES, scaled))
    assert ours == theirs
