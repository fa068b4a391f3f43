"""`wsol annotate` on real images, in this process: quarantine, and what was started before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from samples import make_images, make_model
from typer.testing import CliRunner

from orchestrator.cli.main import app
from workloads.errors import ConfigError, Conflict, InputRejected, NotFound, WsolError

INLINE = ["--set", "cluster=inline", "--set", "resources.annotate.chunk_images=2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(make_model(tmp_path_factory.mktemp("models") / "m", seed=3))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_images(Path("images"), 3)


def annotate(model: str, *words: str) -> Any:
    given = ["annotate", "images", "--out", "boxes", "--model", model, *INLINE, *words]
    return CliRunner().invoke(app, given, catch_exceptions=False)


def test_good_images_end_with_0_and_stdout_holds_json_alone(model):
    done = annotate(model, "--format", "coco", "-o", "json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["listed"], found["read"], found["quarantined"]) == (3, 3, 0)
    assert found["out"] == str(Path("boxes").resolve())
    (exported,) = found["files"].values()
    assert len(json.loads(Path(exported).read_text())["images"]) == 3
    assert "annotate: 3/3 images" in done.stderr


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_quarantined_image_ends_with_3_and_says_where_why_is_written(model, form):
    Path("images/broken.jpg").write_bytes(b"no image")
    done = annotate(model, "-o", form)
    assert done.exit_code == 3
    listed = Path("boxes/quarantine.jsonl").resolve()
    assert done.stderr.splitlines()[-1] == (
        f"wsol: 1 input was quarantined, the rest is done; reasons: {listed}"
    )
    (entry,) = map(json.loads, listed.read_text().splitlines())
    assert "broken.jpg" in entry.values()


def test_a_finished_annotation_answers_again_with_the_same_code(model):
    Path("images/broken.jpg").write_bytes(b"no image")
    first, again = annotate(model, "-o", "json"), annotate(model, "-o", "json")
    assert again.exit_code == first.exit_code == 3
    assert again.stdout == first.stdout


def test_more_than_the_allowed_share_is_a_failure_and_what_was_annotated_stays(model):
    for name in ("a", "b"):
        Path(f"images/{name}.jpg").write_bytes(b"no image")
    for _ in range(2):  # again from the parts that are there
        with pytest.raises(InputRejected) as caught:
            annotate(model)
        listed = Path("boxes/quarantine.jsonl").resolve()
        said = str(caught.value)
        assert said.startswith("2 of 5 images were quarantined, more than 10%: 2 x ")
        assert "The first: a.jpg: " in said
        assert said.endswith(f"larger share with --max-quarantined; all reasons: {listed}")
        assert "\n" not in said
        assert len(listed.read_text().splitlines()) == 2
        assert not Path("boxes/manifest.json").exists()
    parts = {path: path.stat().st_mtime_ns for path in Path("boxes/parts").rglob("part-*")}
    assert len(parts) == 3
    done = annotate(model, "--max-quarantined", "0.4", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["read"]) == (3, 3)
    assert {path: path.stat().st_mtime_ns for path in Path("boxes/parts").rglob("part-*")} == parts
    with pytest.raises(InputRejected, match="more than 10%"):  # of a finished one too
        annotate(model)
    assert annotate(model, "--set", "annotate.max_quarantined=0.4").exit_code == 3


def test_one_bad_image_is_too_many_if_none_is_allowed(model):
    Path("images/broken.jpg").write_bytes(b"no image")
    with pytest.raises(InputRejected, match="1 of 4 images were quarantined, more than 0%"):
        annotate(model, "--max-quarantined", "0")


def test_nothing_read_is_a_failure_whatever_is_allowed(model):
    for path in Path("images").rglob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(InputRejected, match="none of 3 images could be read: 3 x "):
        annotate(model, "--max-quarantined", "1")


def test_what_needs_maps_is_refused_before_anything_is_done(model):
    with pytest.raises(ConfigError, match=r"--format masks needs maps.*add --set"):
        annotate(model, "--format", "coco", "--format", "masks")
    assert not Path("boxes").exists()
    done = annotate(model, "--format", "masks", "--set", "annotate.maps=true", "-o", "json")
    assert list(json.loads(done.stdout)["files"]) == ["masks"]


def export(*words: str) -> Any:
    given = ["export", "boxes", *words]
    return CliRunner().invoke(app, given, catch_exceptions=False)


def test_a_finished_annotation_is_exported_without_model_and_images(model):
    first = json.loads(annotate(model, "-o", "json").stdout)
    assert sorted(first["files"]) == ["coco", "parquet"]  # unless others are asked for
    for path in Path("images").rglob("*.jpg"):
        path.unlink()
    done = json.loads(export("--format", "coco", "--format", "yolo", "-o", "json").stdout)
    assert (done["images"], done["boxes"]) == (first["read"], first["boxes"])
    assert sum(done["classes"].values()) == first["boxes"]
    assert done["out"] == str(Path("boxes-export").resolve())
    copy, original = (Path(found["files"]["coco"]) for found in (done, first))
    assert copy.read_bytes() == original.read_bytes()
    assert len(list(Path(done["files"]["yolo"]).rglob("labels/**/*.txt"))) == first["read"]
    fewer = export("--class", max(done["classes"]), "--out", "mine", "--images", "x", "-o", "json")
    assert list(json.loads(fewer.stdout)["classes"]) == [max(done["classes"])]
    coco = json.loads(Path("mine/annotations.coco.json").read_text())
    assert coco["images"][0]["file_name"].startswith("x/")
    assert "boxes  " in export().stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cutoff", "0.11"], "was made without maps, which a cut-off other than the model's"),
        (["--format", "yol"], "unknown format 'yol'; did you mean 'yolo'?"),
        (["--review", "no.json"], "no.json: no such file"),
    ],
)
def test_what_an_annotation_cannot_give_is_one_line(model, words, said):
    annotate(model)
    with pytest.raises(WsolError) as caught:
        export(*words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("boxes-export").exists()


def test_people_see_the_facts(model):
    shown = dict(line.split("  ", 1) for line in annotate(model).stdout.splitlines() if line)
    assert shown["read"].strip() == "3"
    assert shown["quarantined"].strip() == "0"


def test_another_folder_of_images_is_refused_and_changes_nothing(model):
    annotate(model)
    before = {p: p.read_bytes() for p in Path("boxes").rglob("*") if p.is_file()}
    next(path for path in Path("images").rglob("*.jpg")).unlink()
    with pytest.raises(Conflict) as caught:
        annotate(model)
    assert "\n" not in str(caught.value)
    assert {p: p.read_bytes() for p in Path("boxes").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["--format", "coko"], ConfigError, "unknown format 'coko'; did you mean 'coco'?"),
        (["--model", "./nothing"], NotFound, "nothing"),
        (["--set", "annotate.chunks=1"], ConfigError, "settings.annotate: unknown key 'chunks'"),
    ],
)
def test_wrong_words_are_refused_before_a_folder_is_made(model, words, kind, said):
    with pytest.raises(kind) as caught:
        annotate(model, *words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("boxes").exists()
