"""Model versions: a card that describes its weights, and new cut-offs for the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from samples import CLASSES, make_model

from workloads.artifacts import MANIFEST, read_manifest, verify
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import build_method
from workloads.models.card import ModelCard
from workloads.models.version import (
    CARD_FILE,
    check_card,
    load_network,
    read_card,
    retune_model,
    save_model,
)
from workloads.tensors import WEIGHTS_FILE

CUTOFFS = Cutoffs(cutoff=0.7, box_rule="tight")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model", seed=3)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_version_is_three_files(model: Path) -> None:
    assert set(content(model)) == {WEIGHTS_FILE, CARD_FILE, MANIFEST}
    assert read_manifest(model, "model")["digest"] == verify(model, "model")["digest"]


def test_the_same_network_and_card_are_the_same_version(model: Path, tmp_path: Path) -> None:
    again = make_model(tmp_path / "again", seed=3)
    assert content(again) == content(model)
    other = make_model(tmp_path / "other", seed=4)
    assert content(other)[CARD_FILE] == content(model)[CARD_FILE]
    assert content(other)[MANIFEST] != content(model)[MANIFEST]


def test_saving_again_replaces_what_was_there(model: Path) -> None:
    card = read_card(model).model_copy(update={"provenance": {"run": "second"}})
    (model / "left-over.txt").write_text("of another program")
    save_model(model, load_network(model, card), card)
    assert set(content(model)) == {WEIGHTS_FILE, CARD_FILE, MANIFEST}
    assert read_card(model).provenance == {"run": "second"}


def test_new_cutoffs_are_a_new_version_of_the_same_weights(model: Path, tmp_path: Path) -> None:
    before = content(model)
    manifest = retune_model(model, tmp_path / "tuned", CUTOFFS, {"search": "s1"})
    after = content(tmp_path / "tuned")
    assert after[WEIGHTS_FILE] == before[WEIGHTS_FILE]
    assert read_card(tmp_path / "tuned").cutoffs == CUTOFFS
    assert manifest["digest"] != json.loads(before[MANIFEST])["digest"]
    assert content(model) == before, "the source is left alone"


def test_new_provenance_stands_beside_the_old(model: Path, tmp_path: Path) -> None:
    retune_model(model, tmp_path / "a", CUTOFFS, {"search": "first", "metric": "gt_known"})
    retune_model(tmp_path / "a", tmp_path / "b", CUTOFFS, {"search": "second"})
    assert read_card(tmp_path / "b").provenance == {"search": "second", "metric": "gt_known"}


def test_nothing_else_of_the_card_changes(model: Path, tmp_path: Path) -> None:
    retune_model(model, tmp_path / "tuned", CUTOFFS, {})
    old, new = (read_card(f).model_dump() for f in (model, tmp_path / "tuned"))
    assert {key for key in old if old[key] != new[key]} == {"cutoffs"}


def test_damaged_weights_are_not_tuned(model: Path, tmp_path: Path) -> None:
    weights = model / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError, match=WEIGHTS_FILE):
        retune_model(model, tmp_path / "tuned", CUTOFFS, {})
    assert not (tmp_path / "tuned").exists()


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=CARD_FILE):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", CARD_FILE), ("[]", CARD_FILE), ('{"method": "cam"}', "method_options")],
)
def test_what_is_no_card_is_refused_by_name(model: Path, text: str, said: str) -> None:
    (model / CARD_FILE).write_text(text)
    with pytest.raises((ConfigError, IntegrityError), match=said):
        read_card(model)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "spn"}, "method is spn, the network's is cam"),
        ({"backbone": "vgg16"}, "backbone is vgg16, the network's is tiny"),
        ({"task": "singlelabel"}, "task is singlelabel, the network's is multilabel"),
        ({"classes": CLASSES[:2]}, "number of classes is 2, the network's is 3"),
        ({"cutoffs": Cutoffs(class_cutoffs=(0.1,))}, "1 class_cutoffs for 3 classes"),
        ({"cooccurrence": ((1.0,),)}, "cooccurrence must be 3 x 3"),
        ({"cooccurrence": ((1.0, 0, 0), (0, 1.0, 0), (0, 1.0))}, "cooccurrence must be 3 x 3"),
        ({"cooccurrence": ()}, "cooccurrence must be 3 x 3"),
    ],
)
def test_a_card_that_tells_something_else_is_not_saved(
    model: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    card = read_card(model)
    network = load_network(model, card)
    own = {"method_options": {}} if "method" in changes else {}
    wrong = card.model_copy(update={**changes, **own})
    with pytest.raises(ConfigError, match=said):
        save_model(tmp_path / "wrong", network, wrong)
    assert not (tmp_path / "wrong").exists()


def test_options_that_are_left_out_are_the_defaults(model: Path) -> None:
    card = read_card(model).model_copy(update={"method_options": {}})
    check_card(card, build_method("cam", "tiny", len(CLASSES), "multilabel"))


def test_a_card_survives_json(model: Path) -> None:
    card = read_card(model)
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
    assert card.classes == CLASSES, "names beyond ASCII too"
