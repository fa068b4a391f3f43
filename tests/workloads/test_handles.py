"""Handles know their kind, read the manifest once, and travel."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from made_shards import made_record, made_truth, write_shards

from workloads.annotation.annotation import Annotation
from workloads.artifacts import MANIFEST, Artifact, digest, seal, write_json
from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.models.model import Model
from workloads.predictions.predictions import Predictions
from workloads.proposals.proposals import Proposals
from workloads.shards.cooccurrence import cooccurrence
from workloads.shards.read import read_shards, row_groups
from workloads.shards.shards import Shards


@pytest.fixture
def made(tmp_path: Path) -> Path:
    records = [
        made_record(str(i), made_truth((i % 3, (0, 0, 9, 9)), (2, (1, 1, 8, 8))), (20, 20))
        for i in range(7)
    ]
    return write_shards(tmp_path / "made", records, "abc", rows_per_file=4, rows_per_group=3)


KINDS: tuple[type[Artifact], ...] = (Annotation, Model, Predictions, Proposals, Shards)


@pytest.mark.parametrize("kind", KINDS)
def test_a_handle_opens_its_own_kind_only(kind: type[Artifact], tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"no {kind.kind} there"):
        kind.open(tmp_path)
    manifest = seal(tmp_path, kind=kind.kind, more=1)
    handle = kind.open(tmp_path)
    assert (handle.digest, handle.facts["more"]) == (manifest["digest"], 1)
    assert "files" not in handle.facts
    for other in set(KINDS) - {kind}:
        with pytest.raises(ConfigError, match=f"{kind.kind}, .*{other.kind} w.* asked for"):
            other.open(tmp_path)


def test_another_kind_is_refused_in_plain_words(tmp_path: Path) -> None:
    seal(tmp_path, kind="predictions")
    with pytest.raises(ConfigError) as caught:
        Model.open(tmp_path)
    said = "these are predictions, a model was asked for; give the folder of a model"
    assert str(caught.value) == f"{tmp_path}: {said}"


def test_the_files_are_checked_when_it_is_asked_for(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    seal(tmp_path, kind="model")
    model = Model.open_verified(tmp_path)
    model.verify()
    (tmp_path / "a.json").write_text("2")
    with pytest.raises(IntegrityError, match=r"a\.json"):
        model.verify()
    seal(tmp_path, kind="model")
    with pytest.raises(IntegrityError, match="replaced since it was opened"):
        model.verify()


def test_shards_answer_from_one_reading_of_the_manifest(made: Path) -> None:
    shards = pickle.loads(pickle.dumps(Shards.open(made)))
    (split,) = shards.splits
    assert shards.row_groups(split) == row_groups(made, split)
    ids = [record.image_id for record in shards.records(split)]
    assert ids == [record.image_id for record in read_shards(made, split)]
    expected = cooccurrence(made, split, len(shards.classes))
    (made / MANIFEST).unlink()
    assert (shards.cooccurrence(split) == expected).all()
    with pytest.raises(NotFound, match="unknown split 'no'"):
        shards.files("no")


def test_shards_that_were_sealed_without_a_kind_are_shards(made: Path) -> None:
    manifest = json.loads((made / MANIFEST).read_text())
    body = {k: v for k, v in manifest.items() if k not in ("kind", "digest")}
    write_json(made / MANIFEST, {**body, "digest": digest(body)})
    Shards.open_verified(made)
    with pytest.raises(ConfigError, match="these are shards, a model was asked for"):
        Model.open(made)
