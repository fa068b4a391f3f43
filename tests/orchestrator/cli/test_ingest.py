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
    make_digits(root, DigitsOptions(train=9, val=2, test=1))
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
    assert (found["listed"], found["read"], found["quarantined"]) == (12, 12, 0)
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


def spoil(count: int, old: str = "<difficult>", new: str = "<difficult>Unspecified ") -> list[Path]:
    """The first XML files with something else in them."""
    paths = sorted(Path("data/Annotations").glob("*.xml"))[:count]
    for path in paths:
        path.write_text(path.read_text().replace(old, new))
    return paths


def test_lenient_reading_is_said_once_and_refused_if_strict():
    spoil(2)
    for _ in range(2):
        done = ingest()
        assert done.exit_code == 0
        said = [line for line in done.stderr.splitlines() if "read leniently: flags" in line]
        assert len(said) == 1
    with pytest.raises(InputRejected, match="made without --strict"):
        ingest("--strict")
    shutil.rmtree("shards")
    with pytest.raises(InputRejected, match=r"<difficult> is 'Unspecified .*; mend it"):
        ingest("--strict")


def test_nothing_read_is_a_failure_that_can_be_mended():
    paths = spoil(12, "<name>", "<name>my ")
    for _ in range(2):
        reason = r"none of 12 images could be read: 12 x .*unknown class .* Mend them"
        with pytest.raises(InputRejected, match=reason) as caught:
            ingest()
        assert "\n" not in str(caught.value)
    assert len(Path("shards/quarantine.jsonl").read_text().splitlines()) == 12
    for path in paths[1:]:
        path.write_text(path.read_text().replace("<name>my ", "<name>"))
    done = ingest("-o", "json")  # one in 12 is below a tenth
    assert (done.exit_code, json.loads(done.stdout)["read"]) == (3, 11)


def test_other_options_mend_an_ingest_that_read_nothing():
    spoil(12, "<name>", "<name>my ")
    with pytest.raises(InputRejected, match="class_names=files"):
        ingest()
    assert answer("--set", "ingest.options.class_names=files")["read"] == 12


@pytest.mark.parametrize(
    "how", [("--max-quarantined", "0.2"), ("--set", "ingest.max_quarantined=0.2")]
)
def test_a_larger_share_is_allowed_by_an_option(how):
    spoil(2, "<name>", "<name>my ")
    with pytest.raises(InputRejected, match="2 of 12 images were quarantined, more than 10%"):
        ingest()
    assert not Path("shards/manifest.json").exists()
    assert ingest(*how).exit_code == 3
    with pytest.raises(InputRejected, match="more than 10%"):  # of finished shards too
        ingest()


def test_changed_truth_is_refused_by_finished_shards():
    answer()
    (path,) = spoil(1, "<difficult>0", "<difficult>1")
    with pytest.raises(Conflict, match="listing: other content"):
        ingest()
    path.write_text(path.read_text().replace("<difficult>1", "<difficult>0"))
    assert answer()["read"] == 12


def test_data_and_shards_that_moved_together_are_still_the_same(tmp_path, monkeypatch):
    before = answer()
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("data", "shards"):
        Path(name).rename(moved / name)
    monkeypatch.chdir(moved)
    written = {p: p.stat().st_mtime_ns for p in Path("shards").rglob("*")}
    after = answer()
    assert after["digest"] == before["digest"]
    assert {p: p.stat().st_mtime_ns for p in Path("shards").rglob("*")} == written


def test_other_data_under_the_same_root_are_still_refused():
    answer()
    image = next(Path("data/JPEGImages").iterdir())
    image.write_bytes(image.read_bytes() + b" ")
    with pytest.raises(Conflict, match="listing: other content"):
        ingest()


def test_a_file_of_boxes_stands_for_its_content_wherever_it_is(tmp_path, monkeypatch):
    Path("own/train/cat").mkdir(parents=True)
    for number, path in enumerate(sorted(Path("data/JPEGImages").iterdir())[:2]):
        shutil.copy(path, f"own/train/cat/{number}{path.suffix}")
    name = next(Path("own").rglob("0.*")).name
    document = {
        "images": [{"id": 1, "file_name": f"train/cat/{name}", "width": 64, "height": 64}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 20, 30]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    Path("boxes.json").write_text(json.dumps(document))
    words = ["ingest", "--root", "own", "--dataset", "folder", "--boxes", "boxes.json"]
    words += ["--out", "shards", "--set", "cluster=inline", "-o", "json"]

    def digest() -> str:
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        return json.loads(done.stdout)["digest"]

    before, moved = digest(), tmp_path / "moved"
    moved.mkdir()
    for entry in ("own", "shards", "boxes.json"):
        Path(entry).rename(moved / entry)
    monkeypatch.chdir(moved)
    assert digest() == before
    document["annotations"][0]["bbox"][0] = 3
    Path("boxes.json").write_text(json.dumps(document))
    with pytest.raises(Conflict, match=r"listing: other content; options\.boxes: other content"):
        digest()


def test_a_data_set_that_is_not_there():
    shutil.rmtree("data")
    with pytest.raises(NotFound) as caught:
        ingest()
    assert "data" in str(caught.value)
    assert not Path("shards").exists()
