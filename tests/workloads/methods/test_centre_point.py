"""The centre baseline: one peak in the middle of the image, centred boxes at any cut-off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_methods import tiny

from workloads.images.decode import Fit
from workloads.localization.boxes import boxes_at
from workloads.localization.cutoffs import Cutoffs
from workloads.localization.maps import normalize, upsample
from workloads.localization.points import peak
from workloads.methods.centre_point import cone
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer


@given(st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_a_cone_has_one_peak_in_its_middle_and_falls_to_the_corners(h: int, w: int) -> None:
    values = cone(h, w)
    rows, columns = values.shape
    assert (rows % 2, columns % 2) == (1, 1)
    assert 0 <= rows - h <= 1
    assert 0 <= columns - w <= 1
    assert values[rows // 2, columns // 2] == values.max() == 1
    assert (values == 1).sum() == 1
    torch.testing.assert_close(values, values.flip(0, 1))
    assert values[0, 0].item() == pytest.approx(values.min().item(), abs=1e-6)


def centre_model(fit: Fit) -> Localizer:
    method = tiny("centre-point")
    card = ModelCard(
        method="centre-point",
        method_options=method.options.model_dump(mode="json"),
        backbone="tiny",
        task="multilabel",
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(
            size=64, fit=fit, mean=method.backbone.mean, std=method.backbone.std
        ),
        cutoffs=Cutoffs(score_threshold=0.0),
        cooccurrence=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)),
        provenance={},
    )
    return Localizer(method, card, "unsaved")


@pytest.mark.parametrize("fit", ["warp", "pad"])
@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (100, 41), (37, 120), (200, 110), (90, 89), (300, 20)]
)
def test_the_peak_is_the_centre_of_the_image_and_boxes_are_centred(
    width: int, height: int, fit: Fit
) -> None:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    (response,) = centre_model(fit).predict([image], lambda *_: (0, 2))
    assert np.array_equal(*response.scales[0])
    heat = normalize(upsample(response.maps_of(2)[0], width, height))
    x, y = peak(heat)
    assert abs(x - width / 2) <= 0.5
    assert abs(y - height / 2) <= 0.5
    for cutoff in (0.0, 0.25, 0.5, 0.7):
        ((x0, y0, x1, y1),) = boxes_at(heat, cutoff).boxes_xyxy.tolist()
        assert abs(x0 + x1 - width) <= 1
        assert abs(y0 + y1 - height) <= 1
        if fit == "warp":  # padding leaves thin images too few rows of the map for a cone
            share = min(1, 2**0.5 * (1 - cutoff))  # of each side; the corners are sqrt(2) away
            assert (x1 - x0) / width == pytest.approx(share, abs=0.06 + 1 / width)
            assert (y1 - y0) / height == pytest.approx(share, abs=0.06 + 1 / height)
