"""Recipes of users: files of their own, changed keys, and the file to start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from workloads.errors import ConfigError, NotFound
from workloads.recipes.load import _bases, _written, load_recipe, load_recipes, recipe_names


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_takes_over_a_recipe_and_its_own_keys_win(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", "base: digits-spn-tiny\ntrain: {epochs: 3}\n")
    mine, other = load_recipe(file), load_recipe("digits-spn-tiny")
    assert mine.name == "mine"
    assert mine.train == other.train.model_copy(update={"epochs": 3})
    same = {"name", "summary", "train"}
    assert mine.model_dump(exclude=same) == other.model_dump(exclude=same)


def test_a_base_of_the_bases_and_one_of_a_paper(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "base: digits-tiny\nmethod: cam\nsummary: Weeds\n")
    assert (load_recipe(file).method, load_recipe(file).summary) == ("cam", "Weeds")
    row = load_recipe("spn-t2-vgg16")
    assert row.published
    own = load_recipe(write(tmp_path / "b.yaml", "base: spn-t2-vgg16\n"))
    assert (own.row, own.published) == (None, ())  # no number of the paper is this one's
    assert own.train == row.train


def test_names_of_recipes_and_bases_are_different() -> None:
    assert not _written().keys() & _bases().keys()


def test_single_keys_are_changed(tmp_path: Path) -> None:
    changed = load_recipe("spn-t2-vgg16", ["train.epochs=5", "initial=null", "train.flip=false"])
    assert (changed.train.epochs, changed.initial, changed.train.flip) == (5, None, False)
    assert (changed.name, changed.published) == ("spn-t2-vgg16", ())
    plain = load_recipe("spn-t2-vgg16")
    assert load_recipe("spn-t2-vgg16", [f"train.epochs={plain.train.epochs}"]) == plain


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("base: digits-cam-tiny\ntrain: {epoch: 3}", (), "x.train: unknown key 'epoch'; did you m"),
        ("base: digits-cam-tiny\nbackbones: tiny", (), "recipe x: unknown key 'backbones'; did yo"),
        (
            "base: digits-cam-tny",
            (),
            "unknown base 'digits-cam-tny'; did you mean 'digits-cam-tiny'",
        ),
        ("base: [1]", (), "unknown base"),
        ("base: digits-cam-tiny", ("train.epoch=3",), "unknown key 'epoch'; did you mean 'epochs'"),
        ("base: digits-cam-tiny", ("train.epochs",), "write it as key.path=value"),
        ("base: digits-cam-tiny", ("metric.epochs=1",), "'metric' holds a value, not keys"),
        ("base: digits-cam-tiny", ("train.epochs=[",), "not a YAML value"),
        (
            "base: digits-cam-tiny",
            ("train.epochs=many",),
            "train.epochs: Input should be a valid in",
        ),
        ("name: y\nbase: digits-cam-tiny", (), "called as its file"),
        ("- 1", (), "must hold keys and values"),
        ("", (), "must hold keys and values"),
        ("a: [", (), "not valid YAML"),
        ("base: spn-t4-wang", (), "method"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, changes, words) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(write(tmp_path / "x.yaml", text), changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_and_names_that_are_taken(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--show"):
        load_recipe(str(tmp_path / "gone.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(NotFound, match="no such recipe"):
        load_recipe(str(tmp_path / "folder.yaml"))
    taken = write(tmp_path / f"{recipe_names()[0]}.yaml", "base: digits-cam-tiny")
    with pytest.raises(ConfigError, match="name of another recipe"):
        load_recipe(taken)
    two = [write(tmp_path / f / "x.yaml", "base: digits-cam-tiny") for f in "ab"]
    with pytest.raises(ConfigError, match="two recipes are called 'x'"):
        load_recipes(two)
