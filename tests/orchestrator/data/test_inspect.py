"""`wsol data inspect`: the answer, the page, the contact sheet; errors make nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Page, loads_nothing
from made_shards import made_record, made_truth, plain_image, write_shards
from PIL import Image
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.config.settings import Settings
from orchestrator.data.inspect import CONTACT_SHEET, PAGE, inspect
from workloads.artifacts import write_json
from workloads.errors import ConfigError, Conflict, InputRejected, IntegrityError, NotFound
from workloads.records import GroundTruth, Record
from workloads.shards.quarantine import Quarantined
from workloads.shards.shards import Shards

HOSTILE = '<img src=x onerror="alert(1)">&\'$x$'
CLASSES = ("cat", HOSTILE, "owl")
BAD = Quarantined("x<b>", "x<b>.jpg", "val", "the file is <empty> 7; replace it")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)


def records() -> list[Record]:
    two = made_truth(
        (0, (2, 3, 20, 25)), (1, (0, 0, 40, 30)), (0, (5, 5, 9, 9)),
        box_difficult=[False, True, False], box_crowd=[False, False, True],
    )  # fmt: skip
    return [
        made_record("a", two),
        made_record("b", GroundTruth(labels=(1, 2)), (30, 50)),
        made_record("c", GroundTruth(), (300, 200)),
        made_record("d", two, split="val"),
    ]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "in" / "pets", records(), CLASSES, quarantined=[BAD])


def invoke(*words: object) -> Any:
    words = ("data", "inspect", *map(str, words), "-o", "json")
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_answer_and_the_files(shards: Path, tmp_path: Path) -> None:
    found = invoke(shards)
    name = Shards.open(shards).digest[:16]
    folder = tmp_path / "wsol-workspace" / "inspect" / name
    assert found["page"] == str(folder / PAGE)
    assert found["contact_sheet"] == str(folder / CONTACT_SHEET)
    assert sorted(path.name for path in folder.iterdir()) == [CONTACT_SHEET, PAGE]
    assert [path.name for path in folder.parent.iterdir()] == [name]
    data = found["data"]
    assert (data["dataset"], data["task"], data["classes"]) == ("made", "multilabel", [*CLASSES])
    train, val = data["splits"]
    assert (train["split"], train["listed"], train["read"]) == ("train", 3, 3)
    assert (val["listed"], val["read"], val["quarantined"]) == (2, 1, 1)
    assert train["boxes"]["count"] == 2
    assert train["images"]["width"] == {"smallest": 30, "median": 40.0, "largest": 300}
    assert val["reasons"][0]["examples"][0]["image_id"] == BAD.image_id


def test_one_split_and_another_place(shards: Path, tmp_path: Path) -> None:
    found = invoke(shards, "--split", "val", "--out", tmp_path / "to", "--images", 1)
    assert [split["split"] for split in found["data"]["splits"]] == ["val"]
    assert found["page"] == str(tmp_path / "to" / PAGE)
    html = (tmp_path / "to" / PAGE).read_text(encoding="utf-8")
    assert "1 images" not in html
    assert "train" not in " ".join(Page(html).text)
    invoke(shards, "--out", tmp_path / "to")  # an earlier inspection is replaced
    assert "train" in (tmp_path / "to" / PAGE).read_text(encoding="utf-8")


def test_the_page_loads_nothing_and_shows_everything_as_text(shards: Path) -> None:
    html = Path(invoke(shards)["page"]).read_text(encoding="utf-8")
    assert loads_nothing(html) > 5
    page = Page(html)
    assert not [entry for entry in page.attributes if entry[1].startswith("on")]
    assert len(page.values("img", "src")) == 4
    assert all(page.values("img", "alt"))
    assert all(page.values("svg", "aria-label"))
    text = "".join(page.text)
    for expected in (
        HOSTILE, "4 images of 3 classes in 2 splits, with 4 boxes", "1 of 5", "the file is <empty>",
        "several labels per image", "Together in the train images", "Crowds", "no box",
        "nothing annotated", "1 crowd", "1 marked difficult",
    ):  # fmt: skip
        assert expected in text, expected
    assert "Blacklisted" not in text  # nothing is


def test_the_page_of_many_classes_shows_both_ends(tmp_path: Path) -> None:
    classes = [f"class {k}" for k in range(100)]
    many = [
        made_record(f"{k}-{i}", GroundTruth(labels=(k,)), (8, 8))
        for k in range(60)
        for i in range(1 + 40 * (k == 7))
    ]
    folder = write_shards(tmp_path / "s", many, classes, task="singlelabel")
    html = Path(invoke(folder)["page"]).read_text(encoding="utf-8")
    loads_nothing(html)
    text = " ".join(Page(html).text)
    for expected in (
        "The 10 classes with most images", "The 10 with fewest", "40 classes have none",
        "None: only the classes of the images are known.", "one label per image",
    ):  # fmt: skip
        assert expected in text, expected
    assert "Together" not in text
    # A turn for each class: 48 classes, not 41 images of one.
    assert len(set(Page(html).values("img", "alt"))) == 48


def test_the_contact_sheet(shards: Path) -> None:
    with Image.open(invoke(shards)["contact_sheet"]) as sheet:
        pixels = np.array(sheet.convert("RGB"))
    assert pixels.shape[1] > 4 * 200
    green, orange = (pixels == colour for colour in ((0, 230, 90), (255, 150, 0)))
    assert green.all(axis=2).sum() > 200
    assert orange.all(axis=2).sum() > 200


def test_equal_shards_give_equal_files(shards: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        invoke(shards, "--out", tmp_path / out)
    for name in (PAGE, CONTACT_SHEET):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_people_see_tables_and_where_to_look(shards: Path) -> None:
    done = CliRunner().invoke(app, ["data", "inspect", str(shards)], catch_exceptions=False)
    assert done.exit_code == 0
    for expected in ("train", "val", "Boxes per image", "owl", "train images", PAGE, "the file is"):
        assert expected in done.stdout, expected


def test_shards_without_any_image_have_a_page_and_no_sheet(tmp_path: Path) -> None:
    found = invoke(write_shards(tmp_path / "s", [], CLASSES, quarantined=[BAD]))
    assert found["contact_sheet"] is None
    assert "no image was read" in Path(found["page"]).read_text(encoding="utf-8")


def refused(error: type[Exception], match: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(error, match=match) as caught:
        folder, *rest = arguments
        inspect(Settings(), Shards.open(folder), *rest, **options)
    assert "\n" not in str(caught.value)


def test_errors_are_one_line_and_nothing_is_made(shards: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "wsol-workspace"
    refused(NotFound, r"no shards there .*wsol ingest", tmp_path / "no")
    refused(NotFound, r"unknown split 'vla'; did you mean 'val'\? \(allowed: train, val\)",
            shards, "vla")  # fmt: skip
    model = tmp_path / "model"
    model.mkdir()
    write_json(model / "manifest.json", {"kind": "model", "schema_version": 2, "files": {}})
    refused(ConfigError, "this is a model, shards were asked for", model)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").touch()
    refused(Conflict, "full: holds something else; choose another --out", shards, out=full)
    refused(Conflict, "holds something else", shards, out=full / "mine.txt")
    refused(Conflict, "holds something else", shards, out=shards)
    assert not workspace.exists()
    assert [path.name for path in full.iterdir()] == ["mine.txt"]


def test_what_fails_halfway_leaves_the_earlier_inspection(tmp_path: Path) -> None:
    broken = made_record("z", GroundTruth(), image=plain_image((40, 30))[:40])
    good = write_shards(tmp_path / "good", records(), CLASSES)
    out = Path(invoke(good, "--out", tmp_path / "to")["page"]).parent
    before = (out / PAGE).read_bytes()
    bad = write_shards(tmp_path / "bad", [broken], CLASSES)
    refused(InputRejected, "image", bad, out=out)
    assert (out / PAGE).read_bytes() == before
    assert not list(tmp_path.glob(".to.*"))


def test_shards_of_another_version_are_refused(shards: Path) -> None:
    manifest = json.loads((shards / "manifest.json").read_text())
    write_json(shards / "manifest.json", {**manifest, "schema_version": 1})
    refused(IntegrityError, "ingest the data set again", shards)
