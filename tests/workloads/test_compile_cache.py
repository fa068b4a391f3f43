"""Compiled code has a folder to be kept in, also for a user without a home."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from workloads import compile_cache
from workloads.compile_cache import VARIABLE, is_writable_without_help, set_cache_folder


@pytest.fixture
def locked(monkeypatch, tmp_path) -> Path:
    """Everything outside of `open` below the returned folder is read-only to this user."""
    (tmp_path / "open").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "open"))

    def access(path: Path, mode: int) -> bool:
        return tmp_path / "open" in (Path(path), *Path(path).parents)

    monkeypatch.setattr(compile_cache.os, "access", access)
    return tmp_path


def test_nothing_is_changed_where_numba_finds_a_folder():
    environment = {"HOME": "/"}
    set_cache_folder(environment)  # beside the source, in this checkout
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize("environment", [{"HOME": "/"}, {"HOME": "/nowhere"}, {VARIABLE: "/x"}])
def test_a_private_folder_where_there_is_none(locked, environment):
    set_cache_folder(environment, source=locked / "source")
    folder = Path(environment[VARIABLE])
    assert folder == locked / "open" / f"wsol-compiled-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert is_writable_without_help(environment, locked / "source")
    again: dict[str, str] = {"HOME": "/"}
    set_cache_folder(again, source=locked / "source")
    assert again[VARIABLE] == str(folder), "kept from one command to the next"


@pytest.mark.parametrize("name", ["HOME", "XDG_CACHE_HOME", VARIABLE])
def test_a_folder_that_the_user_may_write_is_enough(locked, name):
    environment = {"HOME": "/", name: str(locked / "open" / "mine")}
    assert is_writable_without_help(environment, locked / "source")


def test_what_another_could_have_put_there_is_not_run(locked):
    foreign = locked / "open" / f"wsol-compiled-{os.getuid()}"
    foreign.mkdir()
    foreign.chmod(0o777)
    environment = {"HOME": "/"}
    set_cache_folder(environment, source=locked / "source")
    assert Path(environment[VARIABLE]) != foreign
    assert stat.S_IMODE(Path(environment[VARIABLE]).stat().st_mode) == 0o700


def test_no_folder_at_all_is_left_to_the_kernels(locked, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    environment = {"HOME": "/"}
    set_cache_folder(environment, source=locked / "source")
    assert environment == {"HOME": "/"}
