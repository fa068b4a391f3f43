"""Annotating a folder: complete, resumable, byte for byte the same, and safe."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from killed_annotation import EXPORTS, exports, kill_and_repeat
from pycocotools.coco import COCO
from samples import CLASSES, make_images, make_model, make_settings

from orchestrator.annotate.annotate import AnnotateResult, annotate, annotate_with, places
from orchestrator.annotate.annotator import Annotator, Target
from orchestrator.config.settings import Settings
from orchestrator.engine.leases import lease
from workloads import artifacts
from workloads.annotation.parts import part_path
from workloads.annotation.store import AnnotationStore
from workloads.errors import ConfigError, Conflict, IntegrityError, NotFound, WsolError
from workloads.images.decode import ImageLimits, decode
from workloads.models.localizer import Localizer
from workloads.models.model import Model

BAD = {"notes.txt", "empty.jpg", "cut\n.jpg", "link.jpg"}
SHARE = 0.2  # of them may be bad; 4 of 34 are


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    """A model version with random weights, whose thresholds let through several boxes."""
    return make_model(tmp_path_factory.mktemp("models") / "model", seed=0)


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Settings of an empty workspace with small units of work."""
    return make_settings(tmp_path / "workspace")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """30 images and four files that are none."""
    folder = make_images(tmp_path_factory.mktemp("data") / "images 'ü'", 30)
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut\n.jpg").write_bytes((folder / "part 0" / "image '0000'.jpg").read_bytes()[:300])
    (folder / "link.jpg").symlink_to("/etc/hostname")
    (folder / ".hidden.jpg").write_bytes(b"hidden")
    return folder


@pytest.fixture(scope="module")
def whole(images, model_folder, tmp_path_factory) -> AnnotateResult:
    """A finished annotation of `images`; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    return annotate(
        make_settings(folder / "workspace"),
        images,
        str(model_folder),
        folder / "out",
        max_quarantined=SHARE,
    )


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """A copy of the finished annotation folder."""
    shutil.copytree(whole.out, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def work(settings, images, model_folder, tmp_path):
    """Annotate `images`; arguments that a test does not name are the usual ones."""

    def run(**arguments):
        usual = {"images": images, "model": str(model_folder), "out": tmp_path / "out"}
        usual["max_quarantined"] = SHARE
        return annotate(**{"machine": settings, **usual, **arguments})

    return run


def settings_with(settings: Settings, **pool) -> Settings:
    resources = settings.resources
    changed = resources.annotate.model_copy(update=pool)
    resources = resources.model_copy(update={"annotate": changed})
    return settings.model_copy(update={"resources": resources})


def unfinish(out: Path) -> None:
    """As if the job had been killed behind its last part."""
    for name in ("manifest.json", *EXPORTS):
        (out / name).unlink()


def test_every_file_is_read_or_quarantined(whole):
    assert (whole.listed, whole.read, whole.quarantined) == (34, 30, 4)
    assert whole.boxes > 30
    assert whole.images_per_s > 0
    assert sorted(whole.files) == ["coco", "parquet"]
    assert artifacts.verify(whole.out, "annotation")["model"]["digest"] == whole.model


def test_the_boxes_are_those_of_the_localizer(whole, images, model_folder):
    coco = COCO(str(whole.files["coco"]))
    assert len(coco.imgs) == 30
    assert len(coco.anns) == whole.boxes
    localizer = Localizer.load(model_folder)
    for image in coco.imgs.values():
        data = (images / image["file_name"]).read_bytes()
        found = localizer.detect([decode(data, ImageLimits())])[0]
        assert (image["width"], image["height"]) == (found.width, found.height)
        ours = coco.imgToAnns[image["id"]]
        assert [a["score"] for a in ours] == found.scores.tolist()
        assert [a["category_id"] - 1 for a in ours] == found.labels.tolist()
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in ours)]
        assert boxes == found.boxes_xyxy.tolist()


def test_the_exports_agree(whole):
    rows = pq.read_table(whole.files["parquet"]).to_pylist()
    assert sum(row["score"] is not None for row in rows) == whole.boxes
    assert len({row["image_id"] for row in rows}) == whole.read
    assert {row["class"] for row in rows if row["class"]} <= set(CLASSES)
    document = artifacts.read_json(whole.files["coco"])
    assert {(i["id"], i["file_name"]) for i in document["images"]} == {
        (row["image_id"], row["file_name"]) for row in rows
    }


def test_the_quarantine_says_why(whole):
    lines = [json.loads(line) for line in whole.quarantine.read_text("utf-8").splitlines()]
    assert {line["path"] for line in lines} == BAD
    assert all(line["reason"] for line in lines)
    read = {image["id"] for image in artifacts.read_json(whole.files["coco"])["images"]}
    assert read | {line["image_id"] for line in lines} == set(range(1, 35))


def test_a_finished_annotation_is_a_no_op_with_the_same_result(whole, work):
    times = {p: p.stat().st_mtime_ns for p in whole.out.rglob("*")}
    assert work(out=whole.out) == whole
    assert {p: p.stat().st_mtime_ns for p in whole.out.rglob("*")} == times


def test_a_missing_format_is_added(whole, copy, work):
    unfinish(copy)
    assert sorted(work(formats=["coco"]).files) == ["coco"]
    result = work(formats=["parquet"])
    assert sorted(result.files) == ["coco", "parquet"]
    assert exports(copy) == exports(whole.out)
    artifacts.verify(copy, "annotation")


def test_missing_parts_are_made_again_and_no_others(whole, copy, work, capfd):
    unfinish(copy)
    part_path(copy / "parts", 2).unlink()
    (copy / "parts" / "0000" / ".part-000002.parquet.0123.tmp").write_bytes(b"torn")
    kept = part_path(copy / "parts", 1).stat().st_mtime_ns
    result = work()
    assert exports(copy) == exports(whole.out)
    assert part_path(copy / "parts", 1).stat().st_mtime_ns == kept
    assert result.read + result.quarantined == result.listed == 34
    artifacts.verify(copy, "annotation")
    assert not list(copy.rglob("*.tmp"))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "annotate: 34/34 images" in captured.err


def test_chunks_do_not_change_the_exports(whole, work, settings):
    result = work(machine=settings_with(settings, chunk_images=34))
    assert len(list((result.out / "parts").rglob("part-*"))) == 1
    assert exports(result.out) == exports(whole.out)


def test_a_started_job_keeps_its_chunks(whole, copy, work, settings):
    unfinish(copy)
    work(machine=settings_with(settings, chunk_images=3))
    assert exports(copy) == exports(whole.out)


def test_another_model_is_a_conflict(copy, work, tmp_path):
    other = make_model(tmp_path / "other", seed=1)
    with pytest.raises(Conflict, match="model: other content"):
        work(model=str(other))


def test_other_limits_are_a_conflict(copy, work, settings):
    limits = settings.images.model_copy(update={"max_pixels": 5})
    with pytest.raises(Conflict, match=r"images\.max_pixels: \d+ -> 5"):
        work(machine=settings.model_copy(update={"images": limits}))


def test_new_touched_and_renamed_images_of_a_finished_annotation(images, copy, work, tmp_path):
    """Only what is new is annotated; ids of the others stay, names are those of now."""
    folder = tmp_path / "images"
    shutil.copytree(images, folder, symlinks=True)
    assert work(images=folder).read == 30  # moved, not changed
    before = {r["image_id"]: r for r in pq.read_table(copy / "annotations.parquet").to_pylist()}
    times = {p: p.stat().st_mtime_ns for p in (copy / "parts").rglob("part-*")}
    for path in folder.rglob("*.jpg"):
        if not path.is_symlink():
            path.touch()
    (folder / "part 0").rename(folder / "renamed")
    shutil.copy(folder / "renamed" / "image '0000'.jpg", folder / "a new one.jpg")
    assert exports(copy)
    assert work().listed == 34, "only --update looks at what became of the folder"

    result = work(images=folder, update=True)
    assert (result.listed, result.read, result.quarantined) == (35, 31, 4)
    assert {p: p.stat().st_mtime_ns for p in times} == times
    assert len(list((copy / "parts").rglob("part-*"))) == len(times) + 1
    after = {r["image_id"]: r for r in pq.read_table(copy / "annotations.parquet").to_pylist()}
    for number, row in before.items():
        name = row["file_name"].replace("part 0/", "renamed/")
        assert after[number] == {**row, "file_name": name}
    assert after[35]["file_name"] == "a new one.jpg"
    artifacts.verify(copy, "annotation")
    files = {p: p.stat().st_mtime_ns for p in copy.rglob("*")}
    assert work(images=folder, update=True) == result, "and then there is nothing to do"
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*")} == files
    assert str(tmp_path) not in (copy / "listing.json").read_text()


def test_a_folder_of_other_images_is_a_conflict_and_may_be_followed(images, copy, work, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(images, folder, symlinks=True)
    (last,) = folder.glob("part 2/image '0029'.jpg")
    kept, stat = last.read_bytes(), last.stat()
    last.write_bytes(bytes(len(kept)))
    with pytest.raises(Conflict, match=r"'0029'\.jpg of its files is gone .* or changed since"):
        work(images=folder)
    last.unlink()
    with pytest.raises(Conflict, match="with --update, or restore"):
        work(images=folder)
    without = work(images=folder, update=True)
    assert (without.listed, without.read, without.gone) == (33, 29, 1)
    names = {image["file_name"] for image in artifacts.read_json(without.files["coco"])["images"]}
    assert len(names) == 29
    assert "part 2/image '0029'.jpg" not in names
    last.write_bytes(kept)
    os.utime(last, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = work(images=folder, update=True)
    assert (again.listed, again.read, again.gone) == (34, 30, 0)
    assert exports(copy) == exports(work(images=folder).out)


def test_a_changed_export_is_said(copy, work):
    (copy / "annotations.coco.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"annotations\.coco\.json"):
        work()


def test_two_at_the_same_time(copy, work):
    with (
        lease(copy, "annotate"),
        pytest.raises(Conflict, match="'wsol annotate' works there"),
    ):
        work()
    work()


def test_wrong_arguments(work, images, tmp_path):
    with pytest.raises(NotFound, match="no such folder"):
        work(images=tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no files there"):
        work(images=tmp_path / "empty")
    with pytest.raises(ConfigError, match="did you mean 'coco'"):
        work(formats=["cocoo"])
    with pytest.raises(ConfigError, match="is among the images"):
        work(out=images / "out")
    with pytest.raises(WsolError):
        work(model=str(tmp_path / "no-model"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    advice = r"holds something else than an annotation; .*choose another --out"
    with pytest.raises(Conflict, match=advice):
        work(out=tmp_path / "mine")
    assert not (tmp_path / "out").exists()


def test_a_workers_error_of_the_file_system_is_raised_as_itself(copy, work):
    """A full disk, say: here, a file stands where the parts should go."""
    unfinish(copy)
    shutil.rmtree(copy / "parts")
    (copy / "parts").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="Not a directory") as raised:
        work()
    assert raised.value.errno == errno.ENOTDIR
    assert not (copy / "manifest.json").exists()


def test_a_model_that_changed_after_the_check(copy, work, model_folder, tmp_path, monkeypatch):
    unfinish(copy)
    shutil.rmtree(copy / "parts")
    changed = tmp_path / "model"
    shutil.copytree(model_folder, changed)
    found = Model.open(changed)
    (changed / "weights.safetensors").write_bytes(b"other")
    monkeypatch.setattr("orchestrator.annotate.annotate.fetch_model", lambda *_: found)
    with pytest.raises(IntegrityError, match=r"weights\.safetensors"):
        work()


def test_killed_and_started_again(settings, work, model_folder, tmp_path):
    """SIGKILL in the middle, then again: exports are those of a run that was left in peace."""
    folder = make_images(tmp_path / "images", 160)
    out = tmp_path / "out"
    done = kill_and_repeat(folder, model_folder, out, settings)
    assert 5 <= done < 80, "killed too late for this test"
    manifest = artifacts.read_manifest(out, "annotation")
    assert manifest["read"] == manifest["listed"] == 160
    assert exports(out) == exports(work(images=folder, out=tmp_path / "peace").out)


def test_several_models_in_one_pass_are_each_alone(
    whole: AnnotateResult, images: Path, model_folder: Path, settings: Settings, tmp_path: Path
) -> None:
    """One of them had begun before, and ended in between: each part is written where it lacks."""
    other = make_model(tmp_path / "other", seed=1)
    outs = places(tmp_path / "both", [str(model_folder), str(other)])
    assert len(outs) == 2
    first, second = outs
    results = annotate_with(settings, images, outs, max_quarantined=SHARE)
    assert [one.out for one in results] == [first, second]
    assert exports(first) == exports(whole.out)
    assert exports(first) != exports(second)
    alone = annotate(settings, images, str(other), tmp_path / "alone", max_quarantined=SHARE)
    assert exports(second) == exports(alone.out)
    unfinish(second)
    part_path(second / "parts", 1).unlink()
    kept = part_path(first / "parts", 1).stat().st_mtime_ns
    annotate_with(settings, images, outs, max_quarantined=SHARE)
    assert exports(second) == exports(alone.out)
    assert part_path(first / "parts", 1).stat().st_mtime_ns == kept


def test_places_of_several_models() -> None:
    out = Path("to")
    assert places(out, ["a@b"]) == {out: "a@b"}
    assert places(out, ["a@b", "m/2", "./x/y"]) == {
        out / "a-b": "a@b", out / "m-2": "m/2", out / "x-y": "./x/y",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="two of them are one"):
        places(out, ["m/2", "m@2"])


def test_a_unit_that_is_given_again_is_not_done_again(copy, whole, model_folder, settings):
    """Of units that were handed over together, a killed actor had written some already."""
    before = {p: p.stat().st_mtime_ns for p in (copy / "parts").rglob("part-*")}
    store = AnnotationStore.open(copy)
    target = Target(model=model_folder, digest=whole.model, out=copy)
    actor = Annotator(
        [target.model_dump(mode="json")], str(whole.images), store.request["limits"],
        store.request["kept"], "cpu", 1,
    )  # fmt: skip
    part_path(copy / "parts", 1).unlink()
    rows = [actor({"index": index, "wanted": [0]}) for index in store.listing.chunks]
    assert sum(row["images"] for row in rows) == whole.listed
    after = {p: p.stat().st_mtime_ns for p in (copy / "parts").rglob("part-*")}
    assert [p for p in after if after[p] != before[p]] == [part_path(copy / "parts", 1)]
    assert [bool(row["seconds"]["forward"]) for row in rows] == [i == 1 for i in range(len(rows))]
