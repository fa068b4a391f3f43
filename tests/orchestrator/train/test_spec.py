"""What a training starts from: never silently random weights, and each part accounted for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_shards import made_record, made_truth, write_shards

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import Workspace
from orchestrator.train.initial import parse_initial, pretraining
from orchestrator.train.spec import (
    TrainSpec,
    build,
    check_enough_images,
    make_spec,
    needs_proposals,
    save_spec,
    spec_of,
    unseen_classes,
)
from workloads.artifacts import seal, write_json
from workloads.backbones.registry import BACKBONES
from workloads.errors import ConfigError, NotFound
from workloads.proposals.proposals import Proposals
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe
from workloads.records import GroundTruth
from workloads.shards.shards import Shards

SPLITS = ("train", "val")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    records = [
        made_record(f"{split}-{i}", made_truth((i % 2, (0, 0, 8, 8))), split=split)
        for split in ("train", "val")
        for i in range(4)
    ]
    return Shards.open(
        write_shards(tmp_path_factory.mktemp("spec") / "shards", records, ("a", "b"))
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(7)
    torch.save(BACKBONES["tiny"]().state_dict(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


def recipe(**changes: object) -> Recipe:
    return load_recipe("digits-saliency-aware-tiny").model_copy(update=changes)


def test_every_part_needs_a_source(shards: Shards, weights: Path) -> None:
    """The recipe names one that is not shipped for both parts, so both must be given."""
    other = "digits-pretrain-tiny-fc"
    chosen = recipe(initial=other, parts={"perceptual": other})
    for initial in ({}, {"backbone": str(weights)}, {"perceptual": str(weights)}):
        with pytest.raises(ConfigError, match="--initial"):
            make_spec(Settings(), chosen, shards, SPLITS, initial=initial)


def test_an_unnamed_part_is_never_silently_random(shards: Shards) -> None:
    with pytest.raises(ConfigError, match=r"part 'perceptual' needs weights; give --initial perc"):
        make_spec(Settings(), recipe(initial=None, parts={}), shards, SPLITS)
    spec = make_spec(
        Settings(), recipe(initial=None, parts={}), shards, SPLITS, initial={"perceptual": "random"}
    )
    assert spec.initial == ()


def test_images_without_any_class_are_not_trained_on(tmp_path: Path) -> None:
    hard = replace(made_truth((0, (0, 0, 8, 8))), labels=(), difficult_labels=(0,))
    records = [made_record("t-1", GroundTruth(), split="train")]
    records += [made_record("t-2", hard, split="train")]
    records += [made_record("v-1", made_truth((0, (0, 0, 8, 8))), split="val")]
    shards = Shards.open(write_shards(tmp_path / "shards", records, ("a", "b")))
    given = load_recipe("digits-cam-tiny")
    with pytest.raises(ConfigError, match="none of the 2 images of split 'train' has a class"):
        make_spec(Settings(), given, shards, SPLITS, initial={"backbone": "random"})


def test_parts_are_loaded_from_their_files(shards: Shards, weights: Path) -> None:
    given = {"backbone": str(weights), "perceptual": str(weights)}
    spec = make_spec(Settings(), recipe(), shards, SPLITS, initial=given)
    assert {start.part for start in spec.initial} == {"backbone", "perceptual"}
    method = build(spec)
    wanted = torch.load(weights, weights_only=True)
    for network in method.pretrained_parts().values():
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, wanted[name], msg=name)


def test_the_identity_follows_content_and_not_place(
    shards: Shards, weights: Path, tmp_path: Path
) -> None:
    def identity(path: Path, **changes: object) -> str:
        given = {"backbone": str(path), "perceptual": "random"}
        return make_spec(Settings(), recipe(**changes), shards, SPLITS, initial=given).identity()

    copy = tmp_path / "copy.pth"
    copy.write_bytes(weights.read_bytes())
    assert identity(copy) == identity(weights)
    assert identity(weights, summary="other words") == identity(weights)
    assert identity(weights, preset="paper") != identity(weights)
    torch.manual_seed(8)
    torch.save(BACKBONES["tiny"]().state_dict(), copy)
    assert identity(copy) != identity(weights)


def test_published_weights_are_looked_for_and_the_file_is_named(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotFound, match=r"vgg16-\w{8}\.pth"):
        make_spec(Settings(), load_recipe("spn-t2-vgg16"), shards, SPLITS)


def test_a_missing_file_and_an_unknown_part_are_said(shards: Shards, tmp_path: Path) -> None:
    given = {"backbone": str(tmp_path / "none"), "perceptual": "random"}
    with pytest.raises(NotFound, match="no such weights file"):
        make_spec(Settings(), recipe(), shards, SPLITS, initial=given)
    with pytest.raises(ConfigError, match=r"unknown part 'perceptuel'.*perceptual"):
        make_spec(Settings(), recipe(), shards, SPLITS, initial={"perceptuel": "random"})


def test_initial_on_the_command_line() -> None:
    assert parse_initial([]) == {}
    assert parse_initial(["a/b.pth"]) == {"backbone": "a/b.pth"}
    assert parse_initial(["x", "perceptual=imagenet"]) == {
        "backbone": "x",
        "perceptual": "imagenet",
    }
    assert parse_initial(["./a=b"]) == {"backbone": "./a=b"}
    with pytest.raises(ConfigError, match="given twice"):
        parse_initial(["x", "y"])


def test_what_has_to_be_trained_before() -> None:
    assert pretraining(recipe()) == {
        "backbone": "digits-pretrain-tiny", "perceptual": "digits-pretrain-tiny",
    }  # fmt: skip
    assert pretraining(load_recipe("spn-t2-vgg16")) == {}


def test_proposals_of_another_kind_are_refused(
    shards: Shards, weights: Path, tmp_path: Path
) -> None:
    wants_mean = recipe(proposals={"peak": "mean"})
    initial = {"backbone": str(weights), "perceptual": str(weights)}

    def spec(peak: str) -> TrainSpec:
        made = seal(tmp_path / peak, kind="proposals", options={"mode": "fast", "peak": peak})
        assert made["options"]["peak"] == peak
        found = Proposals.open(tmp_path / peak)
        return make_spec(Settings(), wants_mean, shards, SPLITS, initial=initial, proposals=found)

    with pytest.raises(ConfigError) as caught:
        spec("one")
    assert str(caught.value) == (
        f"{tmp_path / 'one'}: made with peak one, recipe 'digits-saliency-aware-tiny' wants mean; "
        f"make them with: wsol proposals {shards.folder} --set proposals.peak=mean"
    )
    assert spec("mean").proposals == tmp_path / "mean"


def test_only_the_map_loss_needs_proposals() -> None:
    assert needs_proposals(recipe(), "multilabel")
    assert not needs_proposals(load_recipe("digits-saliency-aware-no-map-tiny"), "multilabel")
    assert not needs_proposals(load_recipe("digits-cam-tiny"), "multilabel")


def test_a_run_of_a_workspace_that_moved_finds_its_shards_and_weights(
    shards: Shards, weights: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(shards.folder, old / "shards" / "s")
    shutil.copy(weights, old / "tiny.pth")
    inside = Shards.open(old / "shards" / "s")
    given = {"backbone": str(old / "tiny.pth"), "perceptual": str(weights)}
    spec = make_spec(Settings(workspace=old), recipe(), inside, SPLITS, initial=given)
    run = Workspace(old).run("first")
    save_spec(run, spec)
    assert str(old) not in run.spec.read_text()
    write_json(run.model / "manifest.json", {})
    old.rename(tmp_path / "new")
    found = spec_of(Workspace(tmp_path / "new").run("first"))
    assert found.shards == tmp_path / "new" / "shards" / "s"
    paths = {start.part: start.path for start in found.initial}
    assert paths == {"backbone": tmp_path / "new" / "tiny.pth", "perceptual": weights}
    assert found.identity() == spec.identity()


def test_too_few_images_for_a_batch_are_said_before_anything_starts(
    shards: Shards, weights: Path
) -> None:
    given = {"backbone": str(weights), "perceptual": "random"}
    spec = make_spec(Settings(), recipe(), shards, SPLITS, initial=given)

    def with_batches_of(size: int) -> TrainSpec:
        train = spec.recipe.train.model_copy(update={"batch_size": size, "balance": False})
        return spec.model_copy(update={"workers": 2, "recipe": recipe(train=train)})

    with pytest.raises(ConfigError, match="has 4 images, fewer than one batch of 6"):
        check_enough_images(with_batches_of(6))
    check_enough_images(with_batches_of(4))


def test_classes_that_no_image_has_are_told(tmp_path: Path, weights: Path) -> None:
    records = [
        made_record(f"{split}-{i}", made_truth((2 * (i % 2), (0, 0, 8, 8))), split=split)
        for split in SPLITS
        for i in range(4)
    ]
    folder = write_shards(tmp_path / "shards", records, ("a", "b", "c", "d"))
    initial = {"backbone": str(weights)}
    spec = make_spec(Settings(), "digits-cam-tiny", Shards.open(folder), SPLITS, initial=initial)
    assert unseen_classes(spec) == ("b", "d")
