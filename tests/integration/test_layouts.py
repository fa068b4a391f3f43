"""Every real layout from the command line: made, ingested, looked at, trained on, measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app
from workloads.datasets.digits import Digits
from workloads.datasets.registry import DATASETS
from workloads.errors import InputRejected

SETTINGS = """
cluster: inline
workspace: work space
resources:
  ingest: {shard_mb: 0.05}
data:
  digits: {train: 48, val: 16, test: 16}
evaluate:
  metrics: {thresholds: 100, bootstrap: 20}
"""
# One of each: years share a layout, and its module; all are read in
# tests/workloads/datasets/test_layouts.py.
LAYOUTS = {k.__module__: name for name, k in DATASETS.items() if not issubclass(k, Digits)}


def wsol(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*words, "-o", "json"], catch_exceptions=False)
    assert done.exit_code == code, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("layout", LAYOUTS.values())
def test_from_the_files_to_the_metrics(layout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)
    Path("ray_config.yaml").write_text(SETTINGS)
    made = wsol("data", "make", "digits", "--layout", layout, "--out", "raw")
    ingest = ("ingest", "--dataset", layout, "--root", "raw", "--out", "shards", "--strict")
    shards = wsol(*ingest)
    assert shards["read"] == shards["listed"] == sum(made["images"].values())
    assert wsol(*ingest) == shards
    assert len(list(Path("shards").glob("train-*.parquet"))) > 1
    seen = wsol("data", "inspect", "shards", "--out", "seen")
    assert seen
    assert (Path("seen") / "inspect.html").exists()
    split = sorted(made["images"].keys() - {"train"})[0]
    few = ("--epochs", "1", "--set", f"data.val_split={split}")
    trained = wsol("train", "digits-pretrain-tiny", "--shards", "shards", *few)
    measure = ("evaluate", trained["model"], "--shards", "shards", "--split", split)
    whole = wsol(*measure, "--out", "whole")
    assert whole["images"] == made["images"][split] == 16
    for name in ("top1_error", "gt_known", "max_box_acc_v2", "pointing", "coco_ap"):
        assert 0 <= whole["metrics"][name]["value"] <= 1, name
    blocks = wsol(*measure, "--out", "blocks", "--set", "resources.evaluate.images_per_task=4")
    assert blocks["metrics"] == whole["metrics"]
    tables = [pd.read_parquet(Path(out) / "per_image.parquet") for out in ("whole", "blocks")]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["image_id"].nunique() == 16


def test_strict_refuses_what_is_quarantined_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)
    Path("ray_config.yaml").write_text(SETTINGS)
    wsol("data", "make", "digits", "--layout", "cub", "--out", "raw")
    image = next(Path("raw/images").rglob("train_000007.jpg"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    ingest = ("ingest", "--dataset", "cub", "--root", "raw", "--out")
    with pytest.raises(InputRejected, match=r"train_000007.jpg: .*truncated.*--strict"):
        wsol(*ingest, "strict", "--strict")
    assert not Path("strict/manifest.json").exists()
    lenient = wsol(*ingest, "lenient", code=3)
    assert (lenient["listed"], lenient["read"], lenient["quarantined"]) == (64, 63, 1)
    with pytest.raises(InputRejected, match="train_000007"):
        wsol(*ingest, "lenient", "--strict")
    image.write_bytes(whole)
    assert wsol(*ingest, "strict", "--strict")["read"] == 64
