"""Exports of a finished annotation: other scores, classes, cut-offs; what was not kept is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_candidates import made_map
from pycocotools.coco import COCO

from workloads.annotation.annotation import Annotation
from workloads.annotation.export import Exported, export_annotation
from workloads.annotation.found import FoundImage
from workloads.annotation.listing import ListedFile
from workloads.annotation.parts import ChunkResult, QuarantinedFile
from workloads.annotation.store import AnnotationStore
from workloads.artifacts import contents, seal, verify
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.files import read_bytes
from workloads.formats.registry import FORMATS
from workloads.localization.candidates import Candidates, find_candidates
from workloads.localization.cutoffs import Cutoffs

CLASSES = ["cat", "dog", "owl"]
CUTOFFS = Cutoffs(score_threshold=0.5)
MODEL = "any-net-000000000000"


def candidates(scores: list[float], *, maps: bool) -> Candidates:
    """A class k has a map of 1 in (4, 4) to (10 + k, 12), 0.5 around it to (2, 2) and (20, 20)."""
    raw = [
        made_map(np.array([2, 2, 20, 20]), 0.5, 40, 30)
        + made_map(np.array([4, 4, 10 + k, 12]), 0.5, 40, 30)
        for k in range(3)
    ]
    labels = [k for k in range(3) if scores[k] >= 0.1]
    together = np.eye(3)
    return find_candidates(
        np.array(scores, np.float32), labels, lambda k: (raw[k],), 40, 30,
        CUTOFFS, together, keep_maps=maps,
    )  # fmt: skip


def annotation(folder: Path, *, maps: bool = True) -> Path:
    """Three images (one turned by EXIF) and a file that is none, sealed."""
    request = {
        "chunk_images": 3,
        "classes": CLASSES,
        "model": {"method": "any", "backbone": "net", "digest": "0" * 64},
        "cutoffs": CUTOFFS.model_dump(mode="json"),
        "kept": {"min_score": 0.1, "classes_per_image": 5, "maps": maps},
    }
    names = ("a.jpg", "b/a.jpg", "c.jpg", "d.txt")
    store = AnnotationStore.begin(folder, request, (ListedFile(name, 10, 0) for name in names))
    scores = [[0.9, 0.3, 0.0], [0.2, 0.6, 0.7], [0.15, 0.0, 0.0]]
    images = [
        FoundImage(i + 1, name, 6 if i == 1 else 1, candidates(scores[i], maps=maps))
        for i, name in enumerate(["a.jpg", "b/a.jpg", "c.jpg"])
    ]
    store.write(0, ChunkResult(tuple(images), ()))
    store.write(1, ChunkResult((), (QuarantinedFile(4, "d.txt", "not an image"),)))
    seal(folder, kind=Annotation.kind, model=request["model"])
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return annotation(tmp_path_factory.mktemp("annotated") / "boxes")


def shown(done: Exported) -> list[tuple[int, str, list[float]]]:
    coco = COCO(str(done.files["coco"]))
    return [(a["image_id"], CLASSES[a["category_id"] - 1], a["bbox"]) for a in coco.anns.values()]


def test_the_boxes_are_those_of_the_models_threshold_and_are_counted(finished, tmp_path):
    done = export_annotation(finished, tmp_path / "out")
    assert sorted(done.files) == ["coco", "parquet"]
    assert (done.images, done.boxes, done.classes) == (3, 3, {"cat": 1, "dog": 1, "owl": 1})
    assert shown(done) == [
        (1, "cat", [2, 2, 18, 18]), (2, "owl", [2, 2, 18, 18]), (2, "dog", [2, 2, 18, 18]),
    ]  # fmt: skip
    assert done.out == tmp_path / "out"
    verify(finished, "annotation")  # it is as it was


def test_other_scores_and_classes(finished, tmp_path):
    lower = export_annotation(finished, tmp_path, ["coco"], min_score=0.15)
    assert lower.classes == {"cat": 3, "dog": 2, "owl": 1}
    cats = export_annotation(finished, tmp_path, ["coco"], min_score=0.15, names=["cat"])
    assert (cats.images, cats.classes) == (3, {"cat": 3})
    assert [number for number, *_ in shown(cats)] == [1, 2, 3]
    categories = COCO(str(cats.files["coco"])).dataset["categories"]
    assert [one["name"] for one in categories] == CLASSES  # ids do not depend on the choice
    none = export_annotation(finished, tmp_path, ["coco"], min_score=0.95)
    assert (none.images, none.boxes, none.classes) == (3, 0, {})


def test_another_cutoff_is_applied_to_the_maps_that_were_kept(finished, tmp_path):
    done = export_annotation(finished, tmp_path, ["coco", "masks"], cutoff=0.8)
    assert shown(done) == [
        (1, "cat", [4, 4, 6, 8]), (2, "owl", [4, 4, 8, 8]), (2, "dog", [4, 4, 7, 8]),
    ]  # fmt: skip
    areas = [a["area"] for a in COCO(str(done.files["masks"])).anns.values()]
    assert areas == [6 * 8, 8 * 8, 7 * 8]  # at the same cut-off


def test_without_maps_all_else_is_there_and_what_needs_them_is_refused_at_once(tmp_path):
    folder = annotation(tmp_path / "boxes", maps=False)
    mapped = sorted(name for name in FORMATS if FORMATS[name].needs_maps)
    assert mapped == ["heatmaps", "masks", "masks-png"]
    others = [name for name in FORMATS if name not in mapped]
    assert list(export_annotation(folder, None, others, cutoff=0.3).files) == others
    assert (tmp_path / "boxes-export").is_dir()
    for words, formats in (({"cutoff": 0.4}, ["coco"]), ({}, ["coco", "masks"])):
        with pytest.raises(NotFound) as caught:
            export_annotation(folder, tmp_path / "no", formats, **words)
        what = "a cut-off other than the model's" if words else "format masks"
        assert str(caught.value) == (
            f"{folder}: was made without maps, which {what} needs; annotate again with "
            "--set annotate.maps=true to another --out"
        )
    assert not (tmp_path / "no").exists()


def test_what_was_not_kept_or_is_not_there_is_said(finished, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"--min-score 0\.05 is below 0\.1, from which"):
        export_annotation(finished, out, min_score=0.05)
    with pytest.raises(ConfigError, match="--min-score nan is below"):
        export_annotation(finished, out, min_score=float("nan"))
    with pytest.raises(ConfigError, match="unknown class 'cow'"):
        export_annotation(finished, out, names=["cat", "cow"])
    with pytest.raises(ConfigError, match="unknown format 'cocoo'; did you mean 'coco'"):
        export_annotation(finished, out, ["cocoo"])
    with pytest.raises(ConfigError, match=r"is in the annotation .*choose an --out beside it"):
        export_annotation(finished, finished / "more")
    with pytest.raises(ConfigError, match=r"--reviewed-only without a review; add --review"):
        export_annotation(finished, out, reviewed_only=True)
    with pytest.raises(NotFound, match="made by: wsol annotate"):
        export_annotation(tmp_path / "nothing", out)
    assert not out.exists()


def test_a_damaged_part_leaves_what_was_there(tmp_path):
    folder, out = annotation(tmp_path / "boxes"), tmp_path / "out"
    before = export_annotation(folder, out, ["coco"]).files["coco"].read_bytes()
    part = folder / "parts/0000/part-000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    for name in ("coco", "voc"):
        with pytest.raises(IntegrityError, match=r"part-000001\.parquet: not a readable part"):
            export_annotation(folder, out, [name])
    assert [p.name for p in out.iterdir()] == ["annotations.coco.json"]
    assert (out / "annotations.coco.json").read_bytes() == before


def test_files_and_folders_go_to_a_bucket_too(finished, bucket, tmp_path):
    formats = ["coco", "voc", "yolo"]
    here, there = (export_annotation(finished, p, formats) for p in (tmp_path / "x", bucket / "x"))
    assert sorted(there.files) == formats
    names = [
        [str(path.relative_to(one.out)) for path in contents(one.out)] for one in (here, there)
    ]
    assert names[0] == names[1]
    assert "voc/Annotations/b/a.xml" in names[0]
    for name in names[0]:
        assert read_bytes(there.out / name) == (here.out / name).read_bytes()


def review(folder: Path, **images: list[dict]) -> Path:
    path = folder / "review.json"
    of = {name.removeprefix("image_"): decisions for name, decisions in images.items()}
    path.write_text(json.dumps({"schema": 1, "model": MODEL, "min_score": 0.15, "images": of}))
    return path


def said(label: str, verdict: str, **more) -> dict:
    return {"label": label, "box": [2, 2, 20, 20], "verdict": verdict, **more}


def test_verdicts_come_before_scores(finished, tmp_path):
    decisions = review(
        tmp_path,
        image_1=[said("cat", "relabel", to="owl")],
        image_2=[said("cat", "accept"), said("owl", "reject")],
    )
    done = export_annotation(finished, tmp_path, ["coco"], review=decisions, min_score=0.5)
    box = [2, 2, 18, 18]  # dog of image 2 reaches 0.5 and nobody judged it
    assert shown(done) == [(1, "owl", box), (2, "dog", box), (2, "cat", box)]
    done = export_annotation(finished, tmp_path, ["coco"], review=decisions)  # from 0.15 on
    labels = [(number, label) for number, label, _ in shown(done)]
    assert labels == [(1, "owl"), (1, "dog"), (2, "dog"), (2, "cat"), (3, "cat")]
    done = export_annotation(
        finished, tmp_path, ["coco"], review=decisions, reviewed_only=True, names=["owl"]
    )
    assert shown(done) == [(1, "owl", box)]
    assert done.images == 2  # nobody looked at the third, so it is no image without owls


def test_an_image_of_which_somebody_saw_that_it_has_no_box_was_reviewed(finished, tmp_path):
    decisions = review(tmp_path, image_3=[])
    done = export_annotation(
        finished, tmp_path, ["coco"], review=decisions, reviewed_only=True, min_score=0.5
    )
    assert list(COCO(str(done.files["coco"])).imgs) == [3]
    assert (done.images, done.boxes) == (1, 0)
    assert export_annotation(finished, tmp_path, ["coco"], review=decisions).images == 3


def test_a_relabelled_box_keeps_its_mask_and_heat(finished, tmp_path):
    decisions = review(tmp_path, image_1=[said("dog", "relabel", to="owl"), said("cat", "reject")])
    done = export_annotation(
        finished, tmp_path, ["masks", "heatmaps"], review=decisions, min_score=0.8
    )
    (mask,) = COCO(str(done.files["masks"])).anns.values()
    assert (mask["category_id"], mask["area"]) == (3, 18 * 18)
    lines = (done.files["heatmaps"] / "index.jsonl").read_text().splitlines()
    assert [json.loads(line)["class"] for line in lines] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            {"image_1": [said("cow", "accept")], "image_2": [said("cat", "relabel", to="bee")]},
            r"2 times a class that the model does not have, the first: unknown class 'cow'",
        ),
        ({"image_9": [], "image_4": []}, r"unknown image ids: 2 \(the first: 4\); give the review"),
        (
            {"image_1": [{**said("cat", "accept"), "box": [2, 2, 20, 21]}, said("owl", "accept")]},
            r"boxes not there: 2 \(the first: image 1, 'cat' \[2\.0, 2\.0, 20\.0, 21\.0\]\)",
        ),
        (
            {"image_1": [said("cat", "accept"), said("dog", "accept"), said("cat", "reject")]},
            r"boxes judged twice: 1 \(the first: image 1, 'cat' \[2\.0, 2\.0, 20\.0, 20\.0\]\)",
        ),
        ({"image_1": [said("cat", "relabel")]}, r"images\.1\.0: `to` is the class of a relabelled"),
        ({"image_1": [said("cat", "keep")]}, r"images\.1\.0\.verdict: .*'accept', 'reject'"),
    ],
)
def test_decisions_about_nothing_are_never_ignored(finished, tmp_path, images, message):
    decisions = review(tmp_path, **images)
    with pytest.raises(ConfigError, match=message) as caught:
        export_annotation(finished, tmp_path / "out", review=decisions)
    assert str(caught.value).startswith(f"{decisions}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_review_of_something_else_is_refused(finished, tmp_path):
    decisions = review(tmp_path)
    decisions.write_text(decisions.read_text().replace(MODEL, "other-net-1"))
    with pytest.raises(ConfigError, match="a review of other-net-1, and the annotation is by any"):
        export_annotation(finished, tmp_path / "out", review=decisions)
    decisions.write_text(decisions.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(ConfigError, match=r"schema: 2 given, 1 allowed; save the review again"):
        export_annotation(finished, tmp_path / "out", review=decisions)
    with pytest.raises(NotFound, match=r"nothing\.json: no such file"):
        export_annotation(finished, tmp_path / "out", review=tmp_path / "nothing.json")
    # boxes of another cut-off are other boxes
    decisions = review(tmp_path, image_1=[said("cat", "accept")])
    with pytest.raises(ConfigError, match="boxes not there: 1"):
        export_annotation(finished, tmp_path / "out", review=decisions, cutoff=0.8)
