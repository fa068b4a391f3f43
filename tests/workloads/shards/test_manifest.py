"""Manifests of shards: counts by split, and refusals that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_shards import made_record, made_truth, write_shards

from workloads.artifacts import MANIFEST, read_manifest, seal
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.shards.manifest import (
    ShardManifest,
    files_of,
    parse_shard_manifest,
    read_shard_manifest,
    shard_files,
)
from workloads.shards.quarantine import Quarantined

TRUTH = made_truth((0, (0, 0, 9, 9)))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    records = [made_record(f"{s}{i}", TRUTH, split=s) for s in ("train", "val") for i in range(3)]
    bad = [Quarantined("x", "x.jpg", "train", "no image")]
    return write_shards(tmp_path / "made", records, "ab", rows_per_file=2, quarantined=bad)


def test_what_was_sealed_is_what_is_read(made: Path) -> None:
    manifest = read_shard_manifest(made)
    assert ShardManifest.parse(manifest.model_dump(mode="json"), "again") == manifest
    train = manifest.splits["train"]
    assert (train.listed, train.read, train.quarantined) == (4, 3, 1)
    assert (train.label_counts, [s.rows for s in train.shards]) == ((3, 0), [2, 1])


def test_files_are_those_of_one_split_in_order(made: Path) -> None:
    assert shard_files(made, "val") == [made / f"val-0000{i}.parquet" for i in (0, 1)]
    assert files_of(read_shard_manifest(made), Path("/elsewhere"), "train") == [
        Path(f"/elsewhere/train-0000{i}.parquet") for i in (0, 1)
    ]


def test_an_unknown_split_is_one_line_with_all_that_exist(made: Path) -> None:
    with pytest.raises(NotFound) as caught:
        shard_files(made, "vla")
    said = "unknown split 'vla'; did you mean 'val'? (allowed: train, val)"
    assert str(caught.value) == f"{made}: {said}"


@pytest.mark.parametrize("version", [1, 3, None, "2"])
def test_another_version_says_which_is_read(made: Path, version: object) -> None:
    facts = {**read_manifest(made, "shards"), "schema_version": version}
    with pytest.raises(IntegrityError) as caught:
        parse_shard_manifest(facts, made)
    assert str(caught.value) == (
        f"{made / MANIFEST}: schema version {version!r}, this program reads 2; "
        "ingest the data set again"
    )


def test_a_manifest_without_a_version_is_an_old_one(made: Path) -> None:
    facts = read_manifest(made, "shards")
    del facts["schema_version"]
    with pytest.raises(IntegrityError, match="schema version None"):
        parse_shard_manifest(facts, made)


def test_a_bad_fact_names_the_manifest_and_the_key(made: Path) -> None:
    facts = json.loads(json.dumps(read_manifest(made, "shards")))
    facts["splits"]["val"]["read"] = "many"
    with pytest.raises(ConfigError) as caught:
        parse_shard_manifest(facts, made)
    assert str(caught.value).startswith(f"{made / MANIFEST}: splits.val.read: ")
    assert str(caught.value).endswith("given 'many'")


def test_an_unfinished_and_another_folder_are_no_shards(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no shards there.*made by: wsol ingest"):
        read_shard_manifest(tmp_path)
    seal(tmp_path, kind="model")
    with pytest.raises(ConfigError, match="this is a model, shards were asked for"):
        shard_files(tmp_path, "train")
