"""Artifacts are whole or absent, and every change to them is found."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.artifacts import (
    MANIFEST,
    atomic_file,
    atomic_folder,
    digest,
    is_sealed,
    read_json,
    read_manifest,
    seal,
    unseal,
    verify,
    write_json,
)
from workloads.errors import IntegrityError, NotFound
from workloads.storage.storage import storage_of

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
JSON = st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    write_json(folder / "a.json", {"x": 1})
    write_json(folder / "deep" / "b.json", [2])
    seal(folder, kind="test")
    return folder


def test_a_sealed_folder_verifies(artifact: Path) -> None:
    manifest = verify(artifact, "test")
    assert set(manifest["files"]) == {"a.json", "deep/b.json"}
    assert manifest["kind"] == "test"


def test_a_changed_byte_is_found(artifact: Path) -> None:
    content = bytearray((artifact / "deep" / "b.json").read_bytes())
    content[0] ^= 1
    (artifact / "deep" / "b.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"deep/b\.json.*changed"):
        verify(artifact, "test")


def test_a_missing_and_an_added_file_are_found(artifact: Path) -> None:
    (artifact / "extra").write_text("x")
    with pytest.raises(IntegrityError, match=r"extra.*not part of"):
        verify(artifact, "test")
    (artifact / "extra").unlink()
    (artifact / "a.json").unlink()
    with pytest.raises(IntegrityError, match=r"a\.json"):
        verify(artifact, "test")


def test_an_edited_manifest_is_found(artifact: Path) -> None:
    manifest = json.loads((artifact / MANIFEST).read_text())
    manifest["kind"] = "other"
    (artifact / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="changed after it was written"):
        verify(artifact, "test")


def test_the_digest_names_content_not_place(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        write_json(tmp_path / name / "a.json", 1)
        digests.add(seal(tmp_path / name, kind="k")["digest"])
    assert len(digests) == 1


def test_sealing_clears_what_a_killed_writer_left(tmp_path: Path) -> None:
    (tmp_path / ".part.parquet.0123.tmp").write_text("half")
    assert seal(tmp_path)["files"] == {}


def test_sealing_leaves_a_lease_that_is_renewed_meanwhile(tmp_path: Path) -> None:
    """The heart of a lease writes its file anew at any moment; sealing may not undo that."""
    storage = storage_of(tmp_path / ".lease.json")
    storage.create(tmp_path / ".lease.json", "a")
    with storage.publish_file(tmp_path / ".lease.json") as temporary:
        temporary.write_text("b")
        seal(tmp_path)
    assert (tmp_path / ".lease.json").read_text() == "b"


def test_files_in_a_hidden_folder_are_no_content(tmp_path: Path) -> None:
    for folder in (".export.0123.tmp", ".cache"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("half")
    assert seal(tmp_path, kind="k")["files"] == {}
    assert not (tmp_path / ".export.0123.tmp" / "a.txt").exists()
    assert (tmp_path / ".cache" / "a.txt").exists()
    verify(tmp_path, "k")


def test_without_a_manifest_it_does_not_count(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    assert not is_sealed(tmp_path)
    with pytest.raises(NotFound, match="no model there"):
        read_manifest(tmp_path, "model")


def test_a_failed_file_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(IsADirectoryError), atomic_file(target) as temporary:
        temporary.write_text("half")
        tmp_path.read_text()  # any failure of the writer
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    write_json(target / "a.json", 1)
    with pytest.raises(IsADirectoryError), atomic_folder(target) as temporary:
        (temporary / "b").write_text("half")
        tmp_path.read_text()  # any failure of the writer
    assert [p.name for p in tmp_path.rglob("*")] == ["folder", "a.json"]


def test_bad_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"x\.json: not valid JSON"):
        read_json(tmp_path / "x.json")


@given(JSON, st.dictionaries(st.sampled_from(["a", "b/c", "d e", "é"]), st.binary(max_size=4)))
def test_what_is_sealed_is_what_is_verified(facts: dict[str, Any], files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(content)
        manifest = seal(folder, **facts, kind="k")
        assert verify(folder, "k") == manifest == read_manifest(folder, "other", "k")
        assert seal(folder, **facts, kind="k") == manifest  # sealing again changes nothing
        assert manifest["files"] == {
            file: hashlib.sha256(content).hexdigest() for file, content in files.items()
        }


def test_the_digest_does_not_depend_on_the_order_of_keys_and_sees_every_value() -> None:
    assert digest({"a": 1, "b": "é"}) == digest({"b": "é", "a": 1})
    values = [{}, {"a": 1}, {"a": "1"}, {"a": True}, {"a": None}, {"a": [1]}, {"b": 1}]
    assert len({digest(value) for value in values}) == len(values)
    assert digest({}) == hashlib.sha256(b"{}").hexdigest()


def test_unsealed_it_is_unfinished_and_may_be_so_already(artifact: Path) -> None:
    unseal(artifact)
    unseal(artifact)
    assert not is_sealed(artifact)
    assert (artifact / "a.json").exists()


def test_a_folder_is_replaced_whole(artifact: Path) -> None:
    with atomic_folder(artifact) as temporary:
        assert is_sealed(artifact)  # the old one stands until the new one is there
        (temporary / "new").write_text("x")
    assert [p.name for p in artifact.iterdir()] == ["new"]


def test_text_is_utf8_and_json_is_sorted_and_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "x.json", {"b": "Zürich", "a": [1]})
    content = (tmp_path / "deep" / "x.json").read_bytes()
    assert content == '{\n  "a": [\n    1\n  ],\n  "b": "Zürich"\n}\n'.encode()


def test_a_file_that_is_no_text_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    with pytest.raises(IntegrityError, match=r"x\.json: not valid JSON \('utf-8' codec"):
        read_json(tmp_path / "x.json")
    with pytest.raises(NotFound, match=r"y\.json: no such file"):
        read_json(tmp_path / "y.json")


def test_json_has_null_for_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    value = {"a": [math.nan, (1.5, math.inf)], "b": {"c": -math.inf, "d": np.float64("nan")}}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(text, parse_constant=refuse) == {
        "a": [None, [1.5, None]],
        "b": {"c": None, "d": None},
    }


def test_a_manifest_with_a_value_without_any_case_verifies(artifact: Path) -> None:
    seal(artifact, kind="test", value=math.nan)
    assert verify(artifact, "test")["value"] is None
