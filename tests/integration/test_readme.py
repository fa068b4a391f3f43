"""The README's commands run, in order, as a new user would type them.

The data set is a small one, through $WSOL_CONFIG; the commands are the README's own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import wsol

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
cluster: inline
workspace: wsol-workspace
data:
  digits: {train: 96, val: 24, test: 16}
  single_digits: {train: 64, val: 16, test: 1}
train: {epochs: 1}
tune: {alphas: 2}
pipeline:
  recipes: [digits-cam-tiny]
"""


def blocks() -> list[str]:
    """The bash blocks of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The tracked files as they are now, with this environment installed."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(tmp_path / name, (0, 0))  # what is installed is up to date
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def test_the_commands_of_the_readme_run(
    checkout: Path, standing_ray: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Ray that stays is up already when its block says so; the block ends it."""
    if not (ROOT / ".venv/.installed").exists():
        pytest.skip("the environment was not made by make")
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", f"{ROOT / '.venv/bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("WSOL_CONFIG", str(checkout / "small.yaml"))
    said = "".join(run(block) for block in blocks())
    assert "report.html" in said
    assert '"detections"' in said
    assert (checkout / "boxes/annotations.coco.json").exists()
    # What a job left is there when its cluster is gone.
    assert "not started" in wsol("cluster", "status", "local").out
    (job,) = wsol("jobs", "list", "-o", "json").answer()
    assert (job["job"], job["state"]) == ("night", "succeeded")
    assert wsol("jobs", "logs", "night").out


def run(block: str) -> str:
    """What a block says: in this process where it only calls `wsol`, else a shell's."""
    commands = [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]
    if all(command[0] == "wsol" and not {"&", "||"} & set(command) for command in commands):
        return "".join(wsol(*words).said(0) for _, *words in commands)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{block}\nwait"],
        capture_output=True, text=True, timeout=540,
    )  # fmt: skip
    assert done.returncode in (0, 143), done.stderr[-4000:]  # 143: the server that was stopped
    return done.stdout + done.stderr


def test_the_table_of_the_readme_is_one_that_a_run_printed() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("<!-- table -->")[1].split("<!-- /table -->")[0]
    assert "digits-cam-tiny" in table
    assert "digits-spn-tiny" in table
    assert "centre" in table


def test_every_picture_and_link_of_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
