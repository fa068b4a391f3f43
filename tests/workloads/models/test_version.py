"""Model versions on disk: the same weights with other cut-offs, and cards that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from samples import CLASSES, make_model

from workloads.artifacts import read_json, verify, write_json
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.localization.cutoffs import Cutoffs
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.model import Model
from workloads.models.version import CARD_FILE, read_card, retune_model, save_model
from workloads.tensors import WEIGHTS_FILE


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.open(make_model(tmp_path / "model", seed=1))


def test_a_card_comes_back_as_it_was_written(model: Model) -> None:
    assert ModelCard.parse(model.card.model_dump(mode="json"), "card") == model.card
    assert read_json(model.folder / CARD_FILE) == model.card.model_dump(mode="json")
    assert model.card.classes == CLASSES


def test_retuning_changes_the_given_cutoffs_and_no_weight(model: Model, tmp_path: Path) -> None:
    tuned = model.retuned(tmp_path / "tuned", {"cutoff": 0.7})
    assert tuned.card.cutoffs == model.card.cutoffs.model_copy(update={"cutoff": 0.7})
    assert tuned.card.model_copy(update={"cutoffs": model.card.cutoffs}) == model.card
    assert tuned.digest != model.digest
    one, other = ((m.folder / WEIGHTS_FILE).read_bytes() for m in (model, tuned))
    assert one == other
    tuned.verify()
    again = tuned.retuned(tmp_path / "back", {"cutoff": model.card.cutoffs.cutoff})
    assert again.digest == model.digest  # the content is what it was


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cutof": 0.5}, "cut-offs: unknown key 'cutof'; did you mean 'cutoff'?"),
        ({"cutoff": 1.0}, "cut-offs: cutoff: Input should be less than 1; given 1.0"),
    ],
)
def test_bad_cutoffs_write_nothing(
    parameters: dict[str, float], message: str, model: Model, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        model.retuned(tmp_path / "tuned", parameters)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "tuned").exists()


def test_facts_are_added_to_those_of_the_card(model: Model, tmp_path: Path) -> None:
    for name, facts in (("a", {"x": 1, "y": 1}), ("b", {"x": 2})):
        source = model.folder if name == "a" else tmp_path / "a"
        retune_model(source, tmp_path / name, Cutoffs(), facts)
    assert read_card(tmp_path / "b").provenance == {"x": 2, "y": 1}


def test_a_damaged_model_is_not_retuned(model: Model, tmp_path: Path) -> None:
    path = model.folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="changed since the model was written"):
        retune_model(model.folder, tmp_path / "tuned", Cutoffs(), {})
    assert not (tmp_path / "tuned").exists()


def test_a_model_can_be_retuned_in_its_own_place(model: Model) -> None:
    retune_model(model.folder, model.folder, Cutoffs(cutoff=0.9), {})
    verify(model.folder, "model")
    assert read_card(model.folder).cutoffs.cutoff == 0.9
    with pytest.raises(IntegrityError, match="replaced since it was opened; open it again"):
        model.verify()


def test_saving_replaces_the_whole_folder(model: Model) -> None:
    (model.folder / "notes.txt").write_text("old")
    save_model(model.folder, model.network(), model.card)
    assert not (model.folder / "notes.txt").exists()
    assert Model.open_verified(model.folder).digest == model.digest


def test_two_networks_of_one_version_share_values_and_no_memory(model: Model) -> None:
    one, other = model.network(), model.network()
    with torch.no_grad():
        next(one.parameters()).zero_()
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    assert torch.equal(next(other.parameters()), next(model.network().parameters()))


def test_a_card_that_is_missing_or_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"model\.json: no such file"):
        read_card(tmp_path)
    write_json(tmp_path / CARD_FILE, {"schema_version": 3})
    with pytest.raises(ConfigError, match=r"model\.json: method: Field required"):
        read_card(tmp_path)


@pytest.mark.parametrize("changes", [{"size": 0}, {"ten_crop_margin": 0}, {"fit": "crop"}])
def test_preprocessing_has_sizes_above_zero_and_a_known_fit(changes: dict[str, object]) -> None:
    facts = {"size": 32, "mean": (0, 0, 0), "std": (1, 1, 1)}
    with pytest.raises(ConfigError, match=f"card: {next(iter(changes))}: Input should be"):
        Preprocessing.parse({**facts, **changes}, "card")
