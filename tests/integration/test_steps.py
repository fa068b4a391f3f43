"""The verbs as separate commands: what each leaves is what the next one takes."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

import commands
import pytest

SETTINGS = """
cluster: inline
data:
  dataset: single-digits
  single_digits: {train: 64, val: 32, test: 16}
tune: {alphas: 2}
"""
RUN = "digits-pretrain-tiny"


def wsol(folder: Path, *words: str, code: int = 0) -> Any:
    """The answer of a command that is given in a folder, or its said."""
    with chdir(folder):
        done = commands.wsol(*words, "-o", "json")
    return done.answer(code) if done.out else done.said(code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, of which one image is broken, and its shards."""
    folder = tmp_path_factory.mktemp("with space")
    (folder / "ray_config.yaml").write_text(SETTINGS)
    made = wsol(folder, "data", "make", "--out", "raw")
    assert made["images"] == {"train": 64, "val": 32, "test": 16}
    broken = (folder / "raw" / "ImageSets" / "Main" / "train.txt").read_text().split()[0]
    (folder / "raw" / "JPEGImages" / f"{broken}.jpg").write_bytes(b"no image")
    shards = wsol(folder, "ingest", "--root", "raw", "--out", "shards", code=3)
    assert (shards["listed"], shards["read"], shards["quarantined"]) == (112, 111, 1)
    assert broken in (folder / "shards" / "quarantine.jsonl").read_text()
    return folder


@pytest.fixture(scope="module")
def registered(folder: Path) -> dict[str, Any]:
    """The version that a trained and tuned run became."""
    train = ("train", RUN, "--shards", "shards", "--epochs", "1")
    trained = wsol(folder, *train)
    assert Path(trained["model"]).is_dir()
    assert "is finished" in wsol(folder, *train, code=5)
    assert f"first: wsol tune {RUN}" in wsol(folder, "register", RUN, code=4)
    tuned = wsol(folder, "tune", RUN)
    assert [trial["alpha"] for trial in tuned["trials"]] == [0.0], "one class in each image"
    version: dict[str, Any] = wsol(folder, "register", RUN, "--alias", "champion")
    assert version["run_id"] == trained["tracking_run"]
    return version


def test_a_registered_run_is_the_same_version_again(folder, registered):
    assert wsol(folder, "register", RUN) == registered


def test_a_run_that_is_champion_stays_it(folder, registered):
    found = wsol(folder, "promote", RUN, "--shards", "shards")
    assert (found["decision"], found["moved"]) == ("same", False)
    assert found["candidate"] == f"{registered['name']}/{registered['version']}"


def test_the_champion_is_measured(folder, registered):
    found = wsol(folder, "evaluate", "wsol-digits@champion", "--shards", "shards")
    assert found["model"] == registered["digest"]
    assert found["images"] == 16
    assert 0 <= found["metrics"]["pointing"]["value"] <= 1


def test_unknown_models_are_not_found(folder, registered):
    said = wsol(folder, "evaluate", "wsol-digits@champ", "--shards", "shards", code=4)
    assert "did you mean 'champion'" in said
