"""`wsol ingest` on made digits, in this process: once, again, and with an image that is broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app
from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import make_digits
from workloads.errors import Conflict, InputRejected, NotFound


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "digits"
    make_digits(root, DigitsOptions(train=5, val=2, test=1))
    return root


@pytest.fixture(autouse=True)
def elsewhere(made, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, "data")


def ingest(*words: str) -> Any:
    given = ["ingest", "--root", "data", "--out", "shards", "--set", "cluster=inline", *words]
    return CliRunner().invoke(app, given, catch_exceptions=False)


def answer(*words: str) -> dict[str, Any]:
    done = ingest(*words, "-o", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def break_one() -> Path:
    """One of the images of the split val."""
    name = Path("data/ImageSets/Main/val.txt").read_text().split()[0]
    (image,) = Path("data/JPEGImages").glob(f"{name}.*")
    image.write_bytes(b"no image")
    return image


def test_all_images_are_read_and_a_second_time_is_a_no_op():
    found = answer()
    assert (found["listed"], found["read"], found["quarantined"]) == (8, 8, 0)
    assert found["folder"] == str(Path("shards").resolve())
    before = {p: p.stat().st_mtime_ns for p in Path("shards").rglob("*")}
    assert answer() == found
    assert {p: p.stat().st_mtime_ns for p in Path("shards").rglob("*")} == before


def test_only_the_splits_that_were_asked_for():
    assert answer("--split", "val", "--split", "test")["listed"] == 3
    with pytest.raises(Conflict):  # the folder holds other splits
        ingest()


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_broken_image_is_code_3_however_often_it_is_asked(form):
    image = break_one()
    for _ in range(2):
        done = ingest("-o", form)
        assert done.exit_code == 3
        listed = Path("shards/quarantine.jsonl").resolve()
        said = f"wsol: 1 input was quarantined, the rest is done; reasons: {listed}"
        assert done.stderr.splitlines()[-1] == said
    (entry,) = map(json.loads, listed.read_text().splitlines())
    assert entry["split"] == "val"
    assert entry["path"].endswith(image.name)


def test_strict_fails_at_a_broken_image_and_leaves_no_finished_shards():
    image = break_one()
    with pytest.raises(InputRejected, match=image.stem) as caught:
        ingest("--strict")
    assert "\n" not in str(caught.value)
    assert not Path("shards/manifest.json").exists()


def test_a_data_set_that_is_not_there():
    shutil.rmtree("data")
    with pytest.raises(NotFound) as caught:
        ingest()
    assert "data" in str(caught.value)
    assert not Path("shards").exists()
