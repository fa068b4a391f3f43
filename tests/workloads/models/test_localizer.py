"""A model version: whole, unchanged, strictly loaded; and the same bits in any batch."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from workloads import artifacts
from workloads.errors import ConfigError, IntegrityError, NotFound, ResourceError
from workloads.images.decode import resize_square
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.base import Method
from workloads.methods.registry import build_method
from workloads.models.card import SCHEMA_VERSION, ModelCard, Preprocessing
from workloads.models.localizer import Localizer, Response
from workloads.models.version import CARD_FILE, read_card, retune_model, save_model
from workloads.tensors import WEIGHTS_FILE

Image = NDArray[np.uint8]


def make_method(backbone: str = "tiny", method: str = "spn") -> Method:
    torch.manual_seed(0)
    return build_method(method, backbone, 4, "multilabel", "tiny", {"channels": 64})


def make_card(method: Method, /, **changes: Any) -> ModelCard:
    values = {
        "method": method.name,
        "method_options": method.options.model_dump(mode="json"),
        "backbone": method.backbone.name,
        "task": method.task,
        "classes": ("cat", "dog", "hen", "owl"),
        "preprocessing": Preprocessing(size=64, mean=method.backbone.mean, std=method.backbone.std),
        "cutoffs": Cutoffs(score_threshold=0.0, alpha=0.2),
        "cooccurrence": tuple(tuple(row) for row in np.eye(4).tolist()),
        "provenance": {"run": "test"},
    }
    return ModelCard.model_validate({**values, **changes})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    method = make_method()
    save_model(tmp_path / "model", method, make_card(method))
    return tmp_path / "model"


def some_images(count: int, seed: int = 0) -> list[Image]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(16, 120, (count, 2))
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in sizes]


def same_bits(one: Response, other: Response) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a is b is None or np.array_equal(a, b) for a, b in pairs)


def rewrite(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **card: Any) -> None:
    """Change a model version and seal it again, as somebody with other code would."""
    if tensors is not None:
        save_file(tensors, folder / WEIGHTS_FILE)
    values = json.loads((folder / CARD_FILE).read_text()) | card
    (folder / CARD_FILE).write_text(json.dumps(values))
    artifacts.seal(folder, kind="model", schema_version=SCHEMA_VERSION)


def test_the_digest_names_the_content(tmp_path: Path) -> None:
    method = make_method()
    first = save_model(tmp_path / "a", method, make_card(method))
    again = save_model(
        tmp_path / "b", method.to(memory_format=torch.channels_last), make_card(method)
    )
    other = save_model(tmp_path / "c", method, make_card(method, cutoffs=Cutoffs(cutoff=0.4)))
    assert first["digest"] == again["digest"] != other["digest"]
    assert set(first["files"]) == {WEIGHTS_FILE, CARD_FILE}
    assert artifacts.verify(tmp_path / "a", "model") == first
    assert Localizer.load(tmp_path / "a").digest == first["digest"]


def test_a_loaded_model_says_what_the_saved_one_said(model: Path) -> None:
    method = make_method()
    direct = Localizer(method, make_card(method), "unsaved")
    loaded = Localizer.load(model)
    assert loaded.card == make_card(method) == read_card(model)
    for one, other in zip(
        direct.predict(some_images(2)), loaded.predict(some_images(2)), strict=True
    ):
        assert same_bits(one, other)


@pytest.mark.parametrize("file", [WEIGHTS_FILE, CARD_FILE, artifacts.MANIFEST])
def test_one_changed_byte_is_found(model: Path, file: str) -> None:
    data = bytearray((model / file).read_bytes())
    data[len(data) // 2] ^= 1
    (model / file).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=file.replace(".", r"\.")):
        Localizer.load(model)


def test_a_missing_model_or_file_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no model there"):
        Localizer.load(tmp_path / "nothing")
    (model / WEIGHTS_FILE).unlink()
    with pytest.raises(IntegrityError, match=r"weights\.safetensors: missing"):
        Localizer.load(model)


def test_weights_that_do_not_fit_are_listed(model: Path) -> None:
    tensors = load_file(model / WEIGHTS_FILE)
    tensors["head.weight"] = tensors.pop("classifier.weight")
    tensors["classifier.bias"] = torch.zeros(7)
    rewrite(model, tensors)
    with pytest.raises(ConfigError) as caught:
        Localizer.load(model)
    message = str(caught.value)
    assert "missing: classifier.weight" in message
    assert "unexpected: head.weight" in message
    assert "wrong shape: classifier.bias (given (7,), expected (4,))" in message


def test_a_newer_schema_is_refused_with_the_known_one(model: Path) -> None:
    rewrite(model, schema_version=SCHEMA_VERSION + 1, invented_later=1)
    with pytest.raises(
        ConfigError, match=rf"schema {SCHEMA_VERSION + 1} .* known {SCHEMA_VERSION}"
    ):
        Localizer.load(model)


def test_an_unknown_key_of_a_card_is_refused(model: Path) -> None:
    rewrite(model, classe=["a"])
    with pytest.raises(ConfigError, match="unknown key 'classe'; did you mean 'classes'"):
        Localizer.load(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "cam", "method_options": {}}, "method is cam, the network's is spn"),
        ({"backbone": "vgg16"}, "backbone is vgg16, the network's is tiny"),
        ({"task": "singlelabel"}, "task is singlelabel"),
        ({"method_options": {"epsilon": 2.0}}, "method options is"),
        ({"classes": ("a",)}, "number of classes is 1, the network's is 4"),
        ({"cooccurrence": ((1.0,),)}, "cooccurrence must be 4 x 4"),
    ],
)
def test_a_card_of_another_network_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    method = make_method()
    with pytest.raises(ConfigError, match=message):
        save_model(tmp_path / "model", method, make_card(method, **changes))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("backbone", ["tiny", "vgg16"])
@pytest.mark.parametrize("method", ["cam", "spn"])
def test_an_image_gets_the_same_bits_in_any_batch(backbone: str, method: str) -> None:
    built = make_method(backbone, method)
    localizer = Localizer(built, make_card(built), "unsaved")
    first, *others = some_images(5)
    (alone,) = localizer.predict([first])
    assert np.isfinite(alone.scales[0]).all()
    for batch in ([first, *others], [*others, first], [first, first], [others[0], first]):
        for image, response in zip(batch, localizer.predict(batch), strict=True):
            if image is first:
                assert same_bits(response, alone)


def test_threads_change_neither_bits_nor_order(model: Path) -> None:
    images = some_images(6)
    one, three = Localizer.load(model), Localizer.load(model, threads=3)
    torch.set_num_threads(2)  # what the process was set to does not matter
    expected = one.predict(images)
    torch.set_num_threads(2)
    for a, b in zip(expected, three.predict(images), strict=True):
        assert same_bits(a, b)
    with ThreadPoolExecutor(2) as pool:  # callers in threads of their own, as in a server
        for found in pool.map(one.predict, [images] * 4):
            assert all(same_bits(a, b) for a, b in zip(expected, found, strict=True))


def test_threads_none_leaves_the_process_alone(model: Path) -> None:
    torch.set_num_threads(2)
    Localizer.load(model, threads=None).warm_up()
    assert torch.get_num_threads() == 2


def test_responses_and_detections_have_the_promised_form(model: Path) -> None:
    localizer = Localizer.load(model)
    localizer.warm_up()
    assert localizer.predict([]) == []
    assert localizer.detect([]) == []
    image = some_images(1)[0]
    (response,) = localizer.predict([image])
    assert response.scores.shape == (4,)
    assert response.scales[0].shape == (4, 16, 16)
    assert response.proposal is not None
    assert response.proposal.shape == (16, 16)
    floats = (response.scores, response.proposal, *response.scales)
    assert all(a.dtype == np.float32 for a in floats)
    assert response.scales[0][0].flags["C_CONTIGUOUS"]
    (own,) = localizer.detect([image])
    assert (own.height, own.width) == image.shape[:2]
    (given,) = localizer.detect([image], [(640, 480)])
    assert (given.width, given.height) == (640, 480)
    assert len(own) == 4  # the threshold of the card is 0
    with pytest.raises(ValueError, match="1 images and 0 sizes"):
        localizer.detect([image], [])
    with pytest.raises(ValueError, match="uint8"):
        localizer.predict([image.astype(np.float32)])


def test_an_image_that_was_warped_before_gives_the_same_boxes(model: Path) -> None:
    localizer = Localizer.load(model)
    for image in some_images(3):
        height, width = image.shape[:2]
        (expected,) = localizer.detect([image])
        (found,) = localizer.detect([resize_square(image, 64)], [(width, height)])
        assert np.array_equal(found.boxes_xyxy, expected.boxes_xyxy)
        assert np.array_equal(found.scores, expected.scores)


def regions_card(method: Method, **preprocessing: Any) -> ModelCard:
    mean, std = method.backbone.mean, method.backbone.std
    return make_card(
        method,
        preprocessing=Preprocessing(size=64, mean=mean, std=std, **preprocessing),
        cutoffs=Cutoffs(score_threshold=0.0, cutoff=0.2, box_rule="regions"),
    )


def blocks(height: int, width: int) -> Image:
    """A picture of 3 x 3 plain rectangles of that size."""
    colours = np.random.default_rng(1).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return np.repeat(np.repeat(colours, height, axis=0), width, axis=1)


@pytest.mark.parametrize("preprocessing", [{}, {"fit": "pad"}, {"ten_crop_margin": 8}])
def test_regions_are_the_same_for_every_verb(preprocessing: dict[str, Any]) -> None:
    method = make_method()
    localizer = Localizer(method, regions_card(method, **preprocessing), "unsaved", threads=2)
    images = [blocks(20, 50)]
    sizes = [(i.shape[1], i.shape[0]) for i in images]
    squares = [localizer.square(i) for i in images]
    annotated, served = localizer.detect(images), localizer.detect(squares, sizes)
    for found, same, response in zip(annotated, served, localizer.predict(images), strict=True):
        regions = response.regions_xyxy
        assert regions is not None
        assert regions.dtype == np.float32
        assert (regions == np.rint(regions)).all()
        assert regions[:, 2].max() > found.width / 2  # in pixels of the image, not of the square
        assert np.array_equal(found.boxes_xyxy, same.boxes_xyxy)
        assert np.array_equal(found.scores, same.scores)
        assert len(found)
        assert {tuple(box) for box in found.boxes_xyxy} <= {tuple(box) for box in regions}


def test_regions_are_made_only_where_they_are_looked_at() -> None:
    method = make_method()
    asked = Localizer(method, regions_card(method), "unsaved")
    (image,) = some_images(1)
    assert asked.predict([image], lambda *_: [])[0].regions_xyxy is None
    assert Localizer(method, make_card(method), "x").predict([image])[0].regions_xyxy is None


def test_regions_do_not_reach_into_padding() -> None:
    method = make_method()
    localizer = Localizer(method, regions_card(method, fit="pad"), "unsaved")
    wide = np.zeros((20, 80, 3), np.uint8)
    wide[:, 40:] = 255
    (response,) = localizer.predict([wide])
    assert response.regions_xyxy is not None
    edges = response.regions_xyxy.tolist()
    assert [0, 0, 80, 20] in edges
    assert any(abs(x0 - 40) <= 3 and (y0, x1, y1) == (0, 80, 20) for x0, y0, x1, y1 in edges)


def test_cutoffs_of_other_classes_are_refused(tmp_path: Path) -> None:
    method = make_method()
    card = make_card(method, cutoffs=Cutoffs(class_cutoffs=(0.1, 0.2)))
    with pytest.raises(ConfigError, match="2 class_cutoffs for 4 classes"):
        save_model(tmp_path / "model", method, card)


@pytest.mark.parametrize("version", [1, 2])
def test_cards_from_before_are_read_and_tuned(model: Path, tmp_path: Path, version: int) -> None:
    old = {"cutoff": 0.4, "alpha": 0.2, "score_threshold": 0.1, "box_rule": "all"}
    rewrite(model, schema_version=version, cutoffs=old)
    assert Localizer.load(model).card.cutoffs == Cutoffs.model_validate(old)
    retune_model(model, tmp_path / "tuned", Cutoffs(nms_iou=0.7), {})
    tuned = read_card(tmp_path / "tuned")
    assert (tuned.schema_version, tuned.cutoffs.nms_iou) == (SCHEMA_VERSION, 0.7)


def test_a_device_that_is_not_there_is_a_resource_error(model: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ResourceError, match="no CUDA device"):
        Localizer.load(model, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_image_gets_the_same_bits_in_any_batch_on_a_gpu(model: Path) -> None:
    localizer = Localizer.load(model, device="cuda")
    images = some_images(40)
    expected = [localizer.predict([image])[0] for image in images]
    for found in (localizer.predict(images), localizer.predict(images[::-1])[::-1]):
        assert all(same_bits(a, b) for a, b in zip(expected, found, strict=True))
