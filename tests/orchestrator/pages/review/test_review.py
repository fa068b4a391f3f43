"""The files of a review, without a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_annotation import candidates, chunk_of, made_annotation, made_photo
from PIL import Image

from orchestrator.config.settings import Settings
from orchestrator.pages.review.pictures import HEAT_SIDE, SIDE, heat_uri, thumbnail
from orchestrator.pages.review.review import ReviewOptions, ReviewResult, review
from workloads.annotation.sources.registry import open_source
from workloads.artifacts import seal
from workloads.errors import ConfigError, Conflict, IntegrityError, NotFound, WsolError
from workloads.localization.cutoffs import Cutoffs

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028'\"&amp;"
CAT, DOG = (0, 0.9, (0.1, 0.2, 10.3, 10.7)), (1, 0.8, (5, 6, 60, 40))
SEEN = {
    "a.png": candidates({0: 0.9, 1: 0.1}, [CAT]),
    "b.png": candidates({0: 0.55}, [CAT]),
    "sub/c.png": candidates({1: 0.8}, [DOG]),
    "d.png": candidates({}),
    "e.png": candidates({0: 0.6, 1: 0.99}, [DOG, CAT]),
}
# Ids are places in the list of names: a b d e sub/c. Their doubts: .2 .675 0 .705 .3
BY_DOUBT = [4, 2, 5, 1, 3]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, name in enumerate(SEEN):
        made_photo(tmp_path / "images" / name, seed)
    return tmp_path / "images"


def run(tmp_path: Path, images: Path, store: str = "store", **options: Any) -> ReviewResult:
    settings = Settings(workspace=tmp_path / "ws")
    return review(settings, tmp_path / store, images, None, ReviewOptions(**options))


def data_of(result: ReviewResult) -> dict[str, Any]:
    text = result.page.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="review">(.*?)</script>', text, re.S)
    assert found
    value: dict[str, Any] = json.loads(found[1])
    return value


def page_of(result: ReviewResult, number: int) -> list[dict[str, Any]]:
    text = (result.out / f"pages/{number}.js").read_text("ascii")
    head, tail = f"wsolReview.take({number},", ");\n"
    assert text.startswith(head)
    assert text.endswith(tail)
    value: list[dict[str, Any]] = json.loads(text[len(head) : -len(tail)])
    return value


def test_images_are_on_pages_in_their_order(tmp_path, images):
    made_annotation(tmp_path / "store", images, SEEN)
    result = run(tmp_path, images, page_size=2)
    assert (result.pages, result.listed, result.read, result.quarantined) == (3, 5, 5, 0)
    assert data_of(result)["pages"] == [BY_DOUBT[:2], BY_DOUBT[2:4], BY_DOUBT[4:]]
    entries = [entry for number in range(3) for entry in page_of(result, number)]
    assert [entry["id"] for entry in entries] == BY_DOUBT
    assert [entry["file"] for entry in entries[:2]] == ["e.png", "b.png"]
    for entry in entries:
        thumb = io.BytesIO((result.out / entry["thumb"]).read_bytes())
        assert Image.open(thumb).size == (64, 48)
    thumbs = sum(path.stat().st_size for path in (result.out / "thumbs").iterdir())
    pages = sum(path.stat().st_size for path in (result.out / "pages").iterdir())
    assert result.bytes_per_image == round((thumbs + pages) / 5)


def test_boxes_are_those_of_the_store_to_the_last_bit(tmp_path, images):
    made_annotation(tmp_path / "store", images, SEEN)
    result = run(tmp_path, images)
    (entry,) = [entry for entry in page_of(result, 0) if entry["file"] == "a.png"]
    (box,) = entry["boxes"]  # the dog's score is below the threshold
    assert box["label"] == "cat"
    assert box["box"] == np.array(CAT[2], np.float32).tolist()
    assert np.float32(box["score"]) == np.float32(0.9)
    assert [one["label"] for one in entry["classes"]] == ["cat", "dog"]
    assert entry["classes"][0]["point"] == [3, 4]
    assert entry["classes"][0]["heat"] is None


def test_another_score_shows_other_boxes_and_the_first_images_alone(tmp_path, images):
    made_annotation(tmp_path / "store", images, SEEN)
    result = run(tmp_path, images, by="score", limit=2, min_score=0.7)
    assert data_of(result)["pages"] == [[4, 1]]
    assert [[b["label"] for b in e["boxes"]] for e in page_of(result, 0)] == [["dog"], ["cat"]]
    assert data_of(result)["min_score"] == result.min_score == 0.7
    assert "2 of 5 images" in result.page.read_text("utf-8")


def test_two_stores_are_compared(tmp_path, images):
    made_annotation(tmp_path / "store", images, SEEN)
    other = {**SEEN, "d.png": candidates({0: 0.7}, [(0, 0.7, (0, 0, 8, 8))])}
    del other["a.png"]
    made_annotation(tmp_path / "other", images, other, ("owl", "dog"), model="1")
    result = run(tmp_path, images, other=tmp_path / "other")
    assert result.order == "disagreement"
    entries = {entry["file"]: entry for entry in page_of(result, 0)}
    assert list(entries) == ["b.png", "d.png", "e.png", "sub/c.png", "a.png"]
    assert [box["label"] for box in entries["e.png"]["other"]] == ["dog", "owl"]
    assert entries["e.png"]["apart"] == round(1 - 1 / 3, 3)  # only the dog is in both
    assert entries["a.png"]["other"] is None
    assert data_of(result)["classes"] == ["cat", "dog"]


def test_one_bad_image_costs_itself(tmp_path, images):
    made_annotation(tmp_path / "store", images, SEEN)
    (images / "a.png").unlink()
    made_photo(images / "b.png", 99)
    result = run(tmp_path, images)
    assert (result.listed, result.read, result.quarantined) == (5, 3, 2)
    assert data_of(result)["pages"] == [[4, 5, 3]]
    lines = (result.out / "quarantine.jsonl").read_text("utf-8").splitlines()
    reasons = {one["path"]: one["reason"] for one in map(json.loads, lines)}
    assert "removed" in reasons["a.png"]
    assert "another image" in reasons["b.png"]
    assert "2 images are left out" in result.page.read_text("utf-8")


def test_names_are_text(tmp_path):
    name = HOSTILE.replace("/", "") + ".png"
    images = made_photo(tmp_path / "images" / name).parent
    gone = made_photo(images / f"gone {name}", 1)
    seen = {name: candidates({0: 0.9}, [CAT]), gone.name: candidates({1: 0.9}, [CAT])}
    made_annotation(tmp_path / "store", images, seen, (HOSTILE, "dog"))
    gone.unlink()
    result = run(tmp_path, images)
    page, data = result.page.read_text("utf-8"), data_of(result)
    assert "<img src=x" not in page
    assert data["classes"][0] == HOSTILE
    script = (result.out / "pages/0.js").read_text("ascii")
    assert "\u2028" not in script
    (entry,) = page_of(result, 0)
    assert (entry["file"], entry["boxes"][0]["label"]) == (name, HOSTILE)


def test_a_review_is_replaced_and_nothing_else_is(tmp_path, images):
    made_annotation(tmp_path / "store", images, SEEN)
    result = run(tmp_path, images, page_size=2)
    assert run(tmp_path, images).out == result.out
    assert [path.name for path in (result.out / "pages").iterdir()] == ["0.js"]
    (result.out / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match="something else"):
        run(tmp_path, images)
    assert (result.out / "notes.txt").read_text() == "mine"


def test_decisions_outlive_images_that_are_added(tmp_path, images):
    store = made_annotation(tmp_path / "store", images, SEEN)
    key = data_of(run(tmp_path, images))["key"]
    made_photo(images / "0.png", 7)
    (images / "b.png").rename(images / "z.png")
    store, changes = store.follow(open_source(images))
    assert changes
    added = candidates({0: 0.5}, [CAT])
    for index in store.missing():
        store.write(index, chunk_of(store, index, images, {"0.png": added}))
    seal(store.folder, kind="annotation", model=store.request["model"], **asdict(store.tally()))
    result = run(tmp_path, images, by="score")
    assert data_of(result)["key"] == key
    assert [entry["file"] for entry in page_of(result, 0)][-3:] == ["z.png", "0.png", "d.png"]
    seen = {**SEEN, "z.png": SEEN["b.png"]}
    made_annotation(tmp_path / "another", images, seen, model="1")
    assert data_of(run(tmp_path, images, "another"))["key"] != key


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by": "uncertian"}, ConfigError, "did you mean 'uncertain'"),
        ({"by": "disagreement"}, ConfigError, "--other STORE"),
        ({"other": Path("nowhere")}, NotFound, "wsol annotate"),
    ],
)
def test_options_that_make_no_review(tmp_path, images, options, error, message):
    made_annotation(tmp_path / "store", images, SEEN)
    refuses(tmp_path, images, error, message, **options)


def refuses(
    tmp_path: Path, images: Path, error: type[WsolError], message: str, **options: Any
) -> None:
    with pytest.raises(error, match=message) as caught:
        run(tmp_path, images, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ws/reviews").exists() or not any((tmp_path / "ws/reviews").iterdir())


def test_stores_that_make_no_review(tmp_path, images):
    refuses(tmp_path, images, NotFound, "no annotation there")
    store = made_annotation(tmp_path / "store", images, SEEN, finished=False)
    refuses(tmp_path, images, NotFound, "not finished.*wsol annotate again")
    made_annotation(tmp_path / "store", images, {})
    refuses(tmp_path, images, NotFound, "holds no image that was read")
    made_annotation(tmp_path / "store", images, SEEN)
    refuses(tmp_path, tmp_path / "nowhere", NotFound, "none of the 5 images.*a.png: removed")
    made_photo(tmp_path / "elsewhere/a.png", 50)
    refuses(
        tmp_path, tmp_path / "elsewhere", NotFound, "none of the 5 images.*a.png: another image"
    )
    made_photo(tmp_path / "elsewhere/z.png", 51)
    made_annotation(tmp_path / "other", tmp_path / "elsewhere", {"z.png": SEEN["a.png"]})
    refuses(tmp_path, images, NotFound, "none of the 5 images", other=tmp_path / "other")
    next((store.folder / "parts").rglob("*.parquet")).write_bytes(b"no part")
    refuses(tmp_path, images, IntegrityError, "not a readable part")


def test_a_tar_file_is_reviewed_as_a_folder_is(tmp_path, images):
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for name in SEEN:
            tar.add(images / name, name)
    seen = {f"all.tar/{name}": found for name, found in SEEN.items()}
    made_annotation(tmp_path / "store", tmp_path / "all.tar", seen)
    result = run(tmp_path, tmp_path / "all.tar")
    assert (result.read, result.quarantined) == (5, 0)
    entries = page_of(result, 0)
    names = ["e.png", "b.png", "sub/c.png", "a.png", "d.png"]  # by doubt
    assert [entry["file"] for entry in entries] == [f"all.tar/{name}" for name in names]
    pixels = np.asarray(Image.open(images / "e.png"))
    assert (result.out / entries[0]["thumb"]).read_bytes() == thumbnail(pixels)


def test_thumbnails_are_small_and_keep_their_shape():
    noise = np.random.default_rng(0).integers(0, 255, (60, 1200, 3), dtype=np.uint8)
    assert Image.open(io.BytesIO(thumbnail(noise))).size == (SIDE, round(60 * SIDE / 1200))
    assert Image.open(io.BytesIO(thumbnail(noise[:40, :30]))).size == (30, 40)
    assert Image.open(io.BytesIO(thumbnail(noise[:1]))).size == (SIDE, 1)


def heat_of(raw: np.ndarray, cutoffs: Cutoffs) -> np.ndarray:
    head, _, data = heat_uri(raw, cutoffs).partition(",")
    assert head == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    return np.array(picture.convert("RGBA"))


def test_heat_is_brighter_and_denser_where_the_map_is_high():
    raw = np.array([[-2, 0, 6]], np.float32)
    cold, warm, hot = heat_of(raw, Cutoffs())[0].astype(int)
    assert cold[:3].sum() < 20 < warm[:3].sum() < 600 < hot[:3].sum()
    assert (cold[3], hot[3]) == (64, 191)  # 0.25 and 0.75
    assert heat_of(raw, Cutoffs(relative_to="max"))[0, 0].tolist() == cold.tolist()
    assert (heat_of(np.ones((3, 3), np.float32), Cutoffs())[..., 3] == 64).all()


def test_a_large_map_and_one_by_its_corners_have_the_bounded_size():
    large = np.random.default_rng(0).random((100, 200), dtype=np.float32)
    assert heat_of(large, Cutoffs()).shape[:2] == (HEAT_SIDE // 2, HEAT_SIDE)
    corners = heat_of(np.array([[0, 1]], np.float32), Cutoffs(align_corners=True))
    opacity = corners[0, :, 3].astype(int)
    assert corners.shape[:2] == (HEAT_SIDE, HEAT_SIDE)
    # The first and the last pixel have the values of the corners, as nothing is beyond them.
    assert (opacity[:2].tolist(), opacity[-2:].tolist()) == ([64, 66], [189, 191])


def test_maps_that_were_kept_are_shown(tmp_path, images):
    maps = [(np.eye(4, dtype=np.float32),), (np.ones((4, 4), np.float32),)]
    seen = {**SEEN, "a.png": candidates({0: 0.9, 1: 0.1}, [CAT], maps=maps)}
    made_annotation(tmp_path / "store", images, seen)
    (entry,) = [e for e in page_of(run(tmp_path, images), 0) if e["file"] == "a.png"]
    assert [one["heat"] for one in entry["classes"]] == [heat_uri(m[0], Cutoffs()) for m in maps]


def test_memory_does_not_grow_with_the_images(tmp_path):
    def peak(count: int) -> int:
        images, store = tmp_path / f"images-{count}", f"store-{count}"
        seen = {f"{k:03}.png": candidates({0: 0.6}, [CAT], (256, 256)) for k in range(count)}
        for k, name in enumerate(seen):
            made_photo(images / name, k, (256, 256))
        made_annotation(tmp_path / store, images, seen)
        tracemalloc.start()
        try:
            run(tmp_path, images, store, page_size=4)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # what is imported and kept by the first call
    assert peak(24) < peak(4) + 256 * 256 * 3  # less than one image more
