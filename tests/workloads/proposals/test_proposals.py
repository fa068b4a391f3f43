"""Object proposals: the search, the maps they average to, the store, and how training gets them."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_shards import made_record, made_truth, write_shards
from PIL import Image

from workloads.artifacts import seal
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.images.decode import Fit, ImageLimits
from workloads.methods.registry import build_method
from workloads.proposals.make import (
    plan_parts,
    propose,
    saliency_of,
    seal_proposals,
    store_proposals,
)
from workloads.proposals.options import ProposalOptions
from workloads.proposals.proposals import Proposals
from workloads.proposals.store import ProposalStore, read_proposals
from workloads.records import Record
from workloads.shards.shards import Shards
from workloads.training.augmentation import Augmentation
from workloads.training.on_shards import TrainingData, training_on
from workloads.training.options import TrainOptions
from workloads.training.run import TrainingRun
from workloads.training.shard_loader import ShardLoader
from workloads.training.shard_source import Pace, ShardSource
from workloads.training.showing import Showing

LIMITS = ImageLimits()
QUICK = ProposalOptions(search_side=64, map_side=16)
SQUARE = (24, 12, 48, 36)


def scene(width: int = 80, height: int = 60, seed: int = 0) -> np.ndarray:
    """A bright square on dark noise."""
    image = np.random.default_rng(seed).integers(0, 40, (height, width, 3), dtype=np.uint8)
    x0, y0, x1, y1 = SQUARE
    image[y0:y1, x0:x1] = (220, 180, 40)
    return image


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def iou(one: np.ndarray, other: np.ndarray) -> float:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one, other
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    both = max(0, width) * max(0, height)
    return both / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both)


@pytest.mark.parametrize("mode", ["fast", "quality"])
@pytest.mark.parametrize("side", [40, 128])
def test_an_object_is_among_the_regions(mode: str, side: int) -> None:
    """Whether the image is shrunk or enlarged, boxes are pixels of the image."""
    options = ProposalOptions(mode=mode, search_side=side, min_side=4)
    found = propose(scene(), options)
    assert found.dtype == np.float32
    assert max(iou(box, SQUARE) for box in found) > 0.8
    assert (found[:, :2] >= 0).all()
    assert (found[:, :2] < found[:, 2:]).all()
    assert (found[:, 2:] <= (80, 60)).all()
    assert len(np.unique(found, axis=0)) == len(found)


def test_equal_images_have_equal_regions_in_threads_too() -> None:
    images = [scene(seed=seed % 2) for seed in range(8)]
    expected = [propose(image, QUICK) for image in images[:2]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: propose(image, QUICK), images))
    assert not np.array_equal(*expected)
    for index, boxes in enumerate(found):
        assert np.array_equal(boxes, expected[index % 2])


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (2, 500), (30, 40)])
def test_a_plain_or_thin_image_is_its_only_region(shape: tuple[int, int]) -> None:
    height, width = shape
    image = np.full((height, width, 3), 90, np.uint8)
    assert propose(image, QUICK).tolist() == [[0, 0, width, height]]


def test_options_limit_the_regions() -> None:
    every = propose(scene(), ProposalOptions(search_side=80, min_side=1))
    few = propose(scene(), ProposalOptions(search_side=80, min_side=1, max_regions=3))
    assert np.array_equal(few, every[:3])
    large = propose(scene(), ProposalOptions(search_side=80, min_side=30))
    assert len(large) < len(every)
    assert (large[:, 2:] - large[:, :2] >= 30 - 1e-3).all()
    whole = propose(scene(), ProposalOptions(search_side=80, min_side=81))
    assert whole.tolist() == [[0, 0, 80, 60]]


def test_saliency_by_hand() -> None:
    boxes = np.array([[0, 0, 8, 4], [2, 1, 6, 3]], np.float32)
    found = saliency_of(boxes, 8, 4, side=4)
    # Cells are 2 x 1 pixels; the second box covers columns 1 and 2 of rows 1 and 2.
    assert found.tolist() == [
        [0.5, 0.5, 0.5, 0.5],
        [0.5, 1.0, 1.0, 0.5],
        [0.5, 1.0, 1.0, 0.5],
        [0.5, 0.5, 0.5, 0.5],
    ]
    part = saliency_of(np.array([[1, 0, 8, 1]], np.float32), 8, 4, side=2)
    assert part.tolist() == [[0.375, 0.5], [0.0, 0.0]]
    quarters = boxes[1:]
    assert saliency_of(quarters, 8, 4, 2).tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert saliency_of(quarters, 8, 4, 2, "one").tolist() == [[1, 1], [1, 1]]


@given(
    corners=st.lists(
        st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2), min_size=1, max_size=5
    ),
    width=st.integers(24, 40),
)
def test_saliency_is_the_mean_of_masks(corners: list[tuple], width: int) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners], np.float32)
    masks = np.zeros((len(boxes), width, width), np.float32)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        mask[y0:y1, x0:x1] = 1
    mean = masks.mean(axis=0)
    found = saliency_of(boxes, width, width, width)
    np.testing.assert_allclose(found, mean, atol=1e-6)
    peaked = saliency_of(boxes, width, width, width, "one")
    np.testing.assert_allclose(peaked, mean / mean.max(), atol=1e-6)
    shuffled = boxes[np.random.default_rng(0).permutation(len(boxes))]
    assert np.array_equal(saliency_of(shuffled, width, width, width), found)  # to the bit


def records(split: str = "train", count: int = 5) -> list[Record]:
    return [
        made_record(f"{split}/é{i}", made_truth((0, SQUARE)), (80, 60), split, png(scene(seed=i)))
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "shards"
    made = [*records(), *records("val", 2)]
    return write_shards(folder, made, ["square"], rows_per_file=3, rows_per_group=2)


@pytest.fixture(scope="module")
def stored(shards: Path) -> Path:
    return store_proposals(shards, ["train"], shards.parent / "stored", QUICK, LIMITS)


def test_what_is_stored_is_found_by_image_id(stored: Path) -> None:
    store = read_proposals(stored, "train")
    assert len(store) == 5
    for index in (4, 0, 2, 1, 3):
        boxes = propose(scene(seed=index), QUICK)
        assert np.array_equal(store.boxes(f"train/é{index}"), boxes)
        saliency = saliency_of(boxes, 80, 60, 16, "one")
        found = store.saliency(f"train/é{index}")
        assert (found.shape, found.dtype) == ((16, 16), np.float32)
        np.testing.assert_allclose(found, saliency, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("image_id", ["", "train/é", "train/é5", "train/é00", "zzz", "val/é0"])
def test_other_images_are_not_found(stored: Path, image_id: str) -> None:
    with pytest.raises(NotFound, match=r"no proposals of image '.*'; run 'wsol proposals'"):
        read_proposals(stored, "train").saliency(image_id)


def test_a_store_without_images_finds_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no proposals of image 'a'"):
        ProposalStore(tmp_path, []).saliency("a")


def test_what_cannot_be_read_is_said(shards: Path, stored: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no proposals there"):
        read_proposals(tmp_path, "train")
    with pytest.raises(NotFound, match=r"unknown split 'val' .*train.*--split val"):
        read_proposals(stored, "val")
    with pytest.raises(ConfigError, match="these are shards, proposals were asked for"):
        read_proposals(shards, "train")
    seal(tmp_path, kind="proposals", schema_version=0)
    with pytest.raises(IntegrityError, match="this program reads proposals of schema 1"):
        read_proposals(tmp_path, "train")


def test_a_finished_folder_is_kept_and_a_part_must_not_be_missing(
    shards: Path, stored: Path, tmp_path: Path
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in stored.iterdir()}
    assert store_proposals(shards, ["train"], stored, QUICK, LIMITS) == stored
    assert {path.name: path.stat().st_mtime_ns for path in stored.iterdir()} == before
    with pytest.raises(IntegrityError, match=r"train-00000\.parquet: not written"):
        seal_proposals(tmp_path, plan_parts(shards, ["train"]), shards, QUICK)


class Brightness:
    """A store whose saliency map of an image is its red channel."""

    def __init__(self, images: dict[str, np.ndarray]) -> None:
        self.images = images

    def saliency(self, image_id: str) -> np.ndarray:
        return self.images[image_id][:, :, 0].astype(np.float32) / 255


@pytest.mark.parametrize(("fit", "margin"), [("warp", 8), ("pad", 0)])
def test_maps_follow_the_crop_and_the_mirror(tmp_path: Path, fit: Fit, margin: int) -> None:
    y, x = np.mgrid[:60, :80]
    images = {str(i): np.repeat((2 * x + y + i)[:, :, None].astype(np.uint8), 3, 2)
              for i in range(8)}  # fmt: skip
    made = [made_record(n, made_truth((0, SQUARE)), (80, 60), image=png(i)) for n, i in
            images.items()]  # fmt: skip
    folder = write_shards(tmp_path / "shards", made, ["square"])
    views = Augmentation(48, margin=margin, flip=True, fit=fit)
    showing = Showing(views, LIMITS, frozenset({"saliency"}), Brightness(images))
    (batch,) = ShardLoader(ShardSource(folder, "train", 1, showing), Pace(8)).batches(0)
    assert batch.saliency is not None
    assert batch.saliency.dtype == torch.float32
    seen = batch.images[:, :, :, 0].float() / 255
    assert (batch.saliency - seen).abs().max() < 0.03
    slopes = (seen[:, 10, 20] - seen[:, 10, 10]).sign()
    assert set(slopes.tolist()) == {-1.0, 1.0}  # some are mirrored, some are not
    targets = batch.targets(torch.device("cpu"))
    assert targets.saliency is batch.saliency


def training(shards: Path, proposals: Path | None, **options: object) -> TrainingRun:
    method = build_method("saliency-aware", "tiny", 1, "multilabel", "tiny", options)
    train = TrainOptions(epochs=1, batch_size=2, crop_margin=4, validation_images=2)
    stored = Proposals.open(proposals) if proposals else None
    data = TrainingData(Shards.open(shards), 32, proposals=stored)
    return training_on(data, method, train, torch.device("cpu"))


def test_a_method_that_needs_maps_trains_on_them(shards: Path, stored: Path) -> None:
    (metrics,) = training(shards, stored).epochs()
    assert {"classification", "map", "triplet", "loss"} <= metrics.keys()
    assert 0 < metrics["map"] < 1


def test_without_proposals_it_is_said_what_to_run(shards: Path, stored: Path) -> None:
    with pytest.raises(ConfigError, match=r"run 'wsol proposals .* --split train' .*--proposals"):
        training(shards, None)
    (metrics,) = training(shards, None, map_weight=0).epochs()
    assert "map" not in metrics
    assert training(shards, stored, map_weight=0).loader.source.showing.proposals is None  # unread
