"""The commands of docs/own-data.md, on digits written as people have their own data."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import start_wsol, wait_until, wsol
from samples import free_port

from workloads.recipes.load import load_recipe
from workloads.recipes.network import outline
from workloads.shards.shards import Shards

PAGE = (Path(__file__).resolve().parents[2] / "docs/own-data.md").read_text(encoding="utf-8")
SETTINGS = """
cluster: inline
workspace: work space
data:
  digits: {train: 48, val: 16, test: 16}
train: {epochs: 1}
tune: {alphas: 4}
evaluate:
  metrics: {thresholds: 100, bootstrap: 20}
"""
TRUTH = "all-boxes.json"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def commands(block: str) -> Iterator[list[str]]:
    for line in block.replace("\\\n", " ").splitlines():
        _, *words = shlex.split(line)
        yield words


@pytest.fixture(params=["folder", "table"])
def layout(request, tmp_path, monkeypatch) -> str:
    """Photographs in a layout, without any box; some of them again, as new ones."""
    monkeypatch.chdir(tmp_path)
    Path("ray_config.yaml").write_text(SETTINGS)
    Path("weeds.yaml").write_text(blocks("yaml")[0])
    wsol("data", "make", "digits", "--layout", request.param, "--out", "photos").said(0)
    Path("photos/boxes.json").rename(TRUTH)
    Path("new-photos").mkdir()
    for image in sorted(Path("photos").rglob("test_*.jpg"))[:5]:
        shutil.copy(image, "new-photos")
    return str(request.param)


def few_boxes(count: int) -> None:
    """The boxes of some images of the test split, as a labelling tool exports them."""
    truth = json.loads(Path(TRUTH).read_text())
    images = [image for image in truth["images"] if "test_" in image["file_name"]][:count]
    ids = {image["id"] for image in images}
    boxes = [box for box in truth["annotations"] if box["image_id"] in ids]
    few = {**truth, "images": images, "annotations": boxes}
    Path("few.json").write_text(json.dumps(few))


def test_from_photographs_to_boxes_and_an_endpoint(layout: str) -> None:
    steps, table, boxed = map(list, map(commands, blocks("bash")))
    *steps, serve = steps
    if layout == "table":
        steps[0] = table[0]
    said = {}
    for words in steps:
        done = wsol(*words)
        said[words[0]] = done.said(0) + done.out
    for verb in ("tune", "evaluate"):
        assert re.search(r"(not measured|nothing to count for): .*gt_known", said[verb]), verb
    assert "the recipe's cut-offs are kept" in said["tune"]
    assert "classification_map" in said["evaluate"]
    assert len(json.loads(Path("boxes/annotations.coco.json").read_text())["images"]) == 5
    if layout == "folder":  # the endpoint knows nothing of layouts
        answer = serves(serve)
        assert answer["width"] >= 64
        assert isinstance(answer["detections"], list)
    few_boxes(6)
    ingest, evaluate = boxed
    if layout == "table":
        ingest[ingest.index("folder")] = "table"
    wsol(*ingest).said(0)
    metrics = wsol(*evaluate, "-o", "json").answer()["metrics"]
    truths = [r.truth for r in Shards.open(Path("boxed-shards")).records("test")]
    assert sum(not truth.blacklisted for truth in truths) == 6
    pairs = sum(len({*t.box_labels.tolist()}) for t in truths)
    assert metrics["gt_known"]["counted"] == metrics["pointing"]["counted"] == pairs
    assert metrics["coco_ap"]["counted"] == sum(len(t.box_labels) for t in truths)
    assert metrics["top1_error"]["counted"] == len(truths) == 16


def serves(words: list[str]) -> dict[str, Any]:
    """What the endpoint says of an image."""
    port, said = str(free_port()), Path("said")
    words[words.index("--port") + 1] = port
    process = start_wsol(*words, said=said)
    try:
        wait_until(lambda: "Ctrl-C" in said.read_text(), process, said)
        image = next(Path("new-photos").iterdir()).read_bytes()
        kind = {"Content-Type": "image/jpeg"}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/detect", content=image, headers=kind)
        return dict(answer.raise_for_status().json())
    finally:
        process.kill()
        process.join()


def test_the_recipe_for_photographs_can_be_built(tmp_path: Path) -> None:
    (tmp_path / "photos.yaml").write_text(blocks("yaml")[1])
    recipe = load_recipe(str(tmp_path / "photos.yaml"))
    assert outline(recipe, "singlelabel").pretrained_parts().keys() == {"backbone"}


def test_a_pipeline_of_an_own_recipe_without_boxes(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ray_config.yaml").write_text(SETTINGS)
    Path("weeds.yaml").write_text(blocks("yaml")[0])
    wsol("data", "make", "digits", "--layout", "folder", "--out", "photos").said(0)
    Path("photos/boxes.json").unlink()
    words = shlex.split(next(b for b in blocks("text") if "wsol run" in b).replace("\\\n", " "))
    done = wsol(*words[1:], "-o", "json")
    result = done.answer()
    assert "the split has no boxes" in done.err
    assert result["champion"]["metric"] == "classification_map"
    assert result["champion"]["recipe"] == "weeds"
    assert {"gt_known", "box_f1"} <= set(result["unmeasured"])
    assert [row["name"] for row in result["table"]] == ["weeds", "centre"]
    Path("elsewhere").mkdir()
    Path("weeds.yaml").rename("elsewhere/weeds.yaml")
    moved = [word.replace("[weeds", "[elsewhere/weeds") for word in words[1:]]
    assert wsol(*moved, "-o", "json").answer() == result
