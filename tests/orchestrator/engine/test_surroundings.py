"""What Ray needs of the machine is looked at before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine import surroundings
from orchestrator.engine.surroundings import check_temporary_folder, temporary_folder, token_file
from workloads.errors import ConfigError


def test_where_ray_puts_its_sessions():
    assert temporary_folder({}) == "/tmp"
    assert temporary_folder({"TMPDIR": "/a"}) == "/a"
    assert temporary_folder({"TMPDIR": "/a", "RAY_TMPDIR": "/b"}) == "/b"


def test_a_folder_whose_sockets_would_be_too_long(tmp_path, monkeypatch):
    """107 bytes: `/ray/` 5, `session_` date, time and microseconds 35, `/sockets/plasma_store` 21.

    With a process number of five digits 41 are left for the folder.
    """
    monkeypatch.setattr(surroundings.os, "access", lambda *_: True)
    check_temporary_folder({"TMPDIR": "/" + "t" * 40}, process=12345)
    with pytest.raises(ConfigError) as raised:
        check_temporary_folder({"TMPDIR": "/" + "t" * 41}, process=12345)
    assert "at most 41 bytes" in str(raised.value)
    assert "set RAY_TMPDIR to a short folder" in str(raised.value)
    with pytest.raises(ConfigError, match=r"RAY_TMPDIR is .*at most 39 bytes"):
        check_temporary_folder({"TMPDIR": "/t", "RAY_TMPDIR": "/" + "t" * 41})


def test_a_folder_that_cannot_be_written(monkeypatch):
    monkeypatch.setattr(surroundings.os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="set RAY_TMPDIR to one"):
        check_temporary_folder({"TMPDIR": "/nowhere"})


def test_the_token_has_a_place_or_none(tmp_path, monkeypatch):
    assert token_file({"RAY_AUTH_TOKEN_PATH": "/run/token"}) == Path("/run/token")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert token_file({}) == tmp_path / ".ray" / "auth_token"
    monkeypatch.setattr(surroundings.os, "access", lambda *_: False)
    assert token_file({}) is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("x")
    assert token_file({}) == tmp_path / ".ray" / "auth_token", "it can be read all the same"


def test_a_user_without_an_entry_has_no_home(monkeypatch):
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    assert token_file({}) is None
