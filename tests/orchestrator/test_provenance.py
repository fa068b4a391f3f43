"""What decides a result is kept apart from when and where it was made."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator import provenance as module
from orchestrator.provenance import git_state, provenance, run_provenance, stable_provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "a")
    git_state.cache_clear()
    return tmp_path


def test_the_stable_part_is_equal_every_time_and_json() -> None:
    first = stable_provenance()
    git_state.cache_clear()
    assert stable_provenance() == first
    assert json.loads(json.dumps(first)) == first
    assert first["packages"]["torch"]
    assert not set(first) & set(run_provenance())


def test_the_rest_says_when_and_where() -> None:
    found = run_provenance()
    made = datetime.fromisoformat(str(found["time"]))
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=1)
    assert made.utcoffset() == timedelta(0)
    assert int(found["cpus"]) >= 1
    assert set(provenance()) == set(stable_provenance()) | set(found)


def test_a_checkout_gives_commit_and_dirty_flag(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_state(checkout) == (commit, False)
    git_state.cache_clear()
    (checkout / "untracked.txt").write_text("results do not make it dirty")
    assert git_state(checkout) == (commit, False)
    git_state.cache_clear()
    (checkout / "a.txt").write_text("b")
    assert git_state(checkout) == (commit, True)


def test_a_folder_inside_a_foreign_checkout_has_no_commit(checkout: Path) -> None:
    inside = checkout / "site-packages"
    inside.mkdir()
    assert git_state(inside) == (None, None)


def test_nothing_fails_without_git(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "no programs"))
    assert git_state(checkout) == (None, None)


def test_a_slow_git_is_not_waited_for(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = checkout / "bin"
    programs.mkdir()
    (programs / "git").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(module, "_GIT_TIMEOUT_S", 0.1)
    assert git_state(checkout) == (None, None)
