"""How images become the network's input: padded squares and ten crops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workloads.images.decode import ten_crops
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import build_method
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer

SIZE = 64


def localizer(
    method: str = "spn", options: dict[str, Any] | None = None, **preprocessing: Any
) -> Localizer:
    torch.manual_seed(0)
    built = build_method(method, "tiny", 3, "multilabel", "tiny", options)
    card = ModelCard(
        method=method,
        method_options=built.options.model_dump(mode="json"),
        backbone="tiny",
        task="multilabel",
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(
            size=SIZE, mean=built.backbone.mean, std=built.backbone.std, **preprocessing
        ),
        cutoffs=Cutoffs(score_threshold=0.0),
        cooccurrence=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)),
        provenance={},
    )
    return Localizer(built, card, "unsaved")


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_maps_of_padded_images_cover_the_image_alone() -> None:
    padded = localizer(fit="pad")
    (wide,) = padded.predict([noise(100, 50)])
    assert wide.scales[0].shape == (3, 8, 16)
    assert wide.proposal is not None
    assert wide.proposal.shape == (8, 16)
    assert wide.proposal.sum() == pytest.approx(1, abs=1e-5)
    (tall,) = padded.predict([noise(30, 90)])
    assert tall.scales[0].shape == (3, 16, 6)
    (square,) = padded.predict([noise(64, 64)])
    (warped,) = localizer().predict([noise(64, 64)])
    np.testing.assert_array_equal(square.scales[0], warped.scales[0])


def test_the_part_over_the_image_is_cut_out_where_it_lies() -> None:
    """Half of the cells of a map over a padded square: the upper half, unchanged."""
    padded = localizer("cam", fit="pad")
    (response,) = padded.predict([noise(64, 32)])
    inputs = padded._inputs([padded.square(noise(64, 32))])
    with torch.inference_mode():
        (whole,) = padded._method.localize(inputs).maps_of([range(3)])[0]
    np.testing.assert_allclose(response.scales[0], whole[:, :8].numpy(), atol=1e-5)


def test_a_square_that_was_padded_before_gives_the_same_boxes() -> None:
    for preprocessing in ({"fit": "pad"}, {"ten_crop_margin": 8}):
        own = localizer(**preprocessing)
        image = noise(90, 40)
        (expected,) = own.detect([image])
        (found,) = own.detect([own.square(image)], [(90, 40)])
        np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_ten_crops_are_corners_centre_and_mirrors() -> None:
    square = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    crops = ten_crops(square, 3)
    assert len(crops) == 10
    corners = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    for crop, mirrored, (y, x) in zip(crops[:5], crops[5:], corners, strict=True):
        np.testing.assert_array_equal(crop, square[y : y + 3, x : x + 3])
        np.testing.assert_array_equal(mirrored, crop[:, ::-1])
    with pytest.raises(ValueError, match="no crops"):
        ten_crops(square, 6)


def test_scores_are_the_mean_over_ten_crops_and_maps_see_the_whole_image() -> None:
    own = localizer("cam", ten_crop_margin=8)
    plain = localizer("cam")
    image = noise(72, 72)  # its square is itself
    (response,) = own.predict([image])
    crops = [scores for scores, *_ in plain.predict(ten_crops(image, SIZE))]
    np.testing.assert_allclose(response.scores, np.mean(crops, axis=0), atol=1e-6)
    (whole,) = plain.predict([image])
    np.testing.assert_allclose(response.scales[0], whole.scales[0], atol=1e-5)


def test_only_wanted_classes_have_maps() -> None:
    images = [noise(64, 64), noise(70, 50)]
    own = localizer()
    every = own.predict(images)
    some = own.predict(images, lambda row, scores: [[2], []][row])
    assert [r.labels.tolist() for r in some] == [[2], []]
    np.testing.assert_array_equal(some[0].maps_of(2)[0], every[0].maps_of(2)[0])
    assert some[1].scales[0].shape == (0, 16, 16)
    np.testing.assert_array_equal(some[1].scores, every[1].scores)


SEARCHED = {"features": "recompute", "beam_width": 2, "levels": 3, "adaptation": 8}


@pytest.mark.parametrize("fit", ["warp", "pad"])
def test_a_search_sees_the_images_own_detail(fit: str) -> None:
    """Lines of one pixel are grey in the input, and black and white in a crop of the image."""
    lines = np.zeros((128, 256, 3), np.uint8)
    lines[:, ::2] = 255
    own = localizer("bency", SEARCHED, fit=fit)
    crop_of = own._crops_of([lines])
    (seen,) = crop_of(torch.tensor([0]), np.array([[0.5, 0.0, 0.75, 0.5]]))
    part = lines[:64, 128:192]  # of 256 x 128 pixels, or of the padded square of 256 x 256
    if fit == "pad":
        part = lines[:128:2, 128:192]  # two equal rows are one
    mean, std = (np.array(own.card.preprocessing.model_dump()[k]) for k in ("mean", "std"))
    expected = (part / 255 - mean) / std
    np.testing.assert_allclose(seen.permute(1, 2, 0).numpy(), expected, atol=1e-5)
    whole = own._inputs([own.square(lines)])[0, :, :32]  # without the padding, if there is any
    assert whole.std(dim=(1, 2)).max() < 0.1 * seen.std(dim=(1, 2)).min()


def test_every_verb_searches_the_same_crops() -> None:
    images = [noise(90, 40), noise(70, 130)]
    sizes = [(90, 40), (70, 130)]
    own = localizer("bency", SEARCHED)
    together, alone = own.predict(images), own.predict(images[1:])
    np.testing.assert_array_equal(together[1].scales[0], alone[0].scales[0])
    kept = [own.shrunk(image) for image in images]
    assert [image.shape for image in kept] == [(40, 90, 3), (130, 70, 3)]
    assert own.shrunk(noise(2048, 4)).shape == (2, 1024, 3)
    for found, served in zip(own.detect(images), own.detect(kept, sizes), strict=True):
        np.testing.assert_array_equal(found.boxes_xyxy, served.boxes_xyxy)
        np.testing.assert_array_equal(found.scores, served.scores)
    blurred = localizer("bency", {**SEARCHED, "crops": "input"})
    assert blurred.shrunk(images[0]).shape == (64, 64, 3)
    assert not np.array_equal(blurred.predict(images)[0].scales[0], together[0].scales[0])
