"""Shards of digits that the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest

from workloads.datasets.digit_options import DigitsOptions
from workloads.datasets.digits import make_digits
from workloads.datasets.registry import open_dataset
from workloads.images.decode import ImageLimits
from workloads.shards.write import finish_shards, ingest_shard


@pytest.fixture(scope="session")
def digit_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 images to learn from, 24 to validate on, 8 to test on; ten classes."""
    root = tmp_path_factory.mktemp("digits") / "tree"
    make_digits(root, DigitsOptions(train=96, val=24, test=8), None)
    dataset = open_dataset("digits", root)
    out = tmp_path_factory.mktemp("shards")
    results = [
        ingest_shard(dataset, dataset.items(s), out / f"{s}-00000.parquet", ImageLimits())
        for s in dataset.splits()
    ]
    finish_shards(out, dataset, {s: len(dataset.items(s)) for s in dataset.splits()}, results)
    return out
