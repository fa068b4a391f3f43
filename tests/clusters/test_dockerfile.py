"""The Dockerfile, as far as it can be looked at without building it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"ARG", "FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "CMD"}
GPU_ONLY = ("nvidia-", "cuda-", "triton==", "torch==", "torchvision==")


def instructions() -> list[tuple[str, str]]:
    """Name and words of each, comments left out and continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(n, w) for n, _, w in (line.partition(" ") for line in joined.splitlines() if line)]


def words_of(name: str) -> list[str]:
    return [words for found, words in instructions() if found == name]


def test_every_instruction_is_one() -> None:
    names = [name for name, _ in instructions()]
    assert set(names) <= KNOWN
    assert names[:2] == ["ARG", "FROM"]


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    }
    copied = {source for words in words_of("COPY") for source in words.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
    assert {"clusters", "orchestrator", "workloads", "requirements.lock"} <= copied


@pytest.mark.parametrize("command", words_of("RUN"))
def test_every_command_is_one_that_a_shell_reads(command: str) -> None:
    done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_variable_is_declared() -> None:
    declared = {words.split("=")[0] for words in words_of("ARG")}
    used = set(re.findall(r"\$\{?([A-Z_]+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    assert used <= declared
    assert {"ACCELERATOR", "TORCH_CPU_INDEX"} <= used


def test_the_lock_for_the_cpu_is_the_lock_without_what_gpus_need() -> None:
    (program,) = {p for w in words_of("RUN") for p in re.findall(r"awk '([^']+)'", w)}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    done = subprocess.run(
        ["awk", program, str(ROOT / "requirements.lock")],
        capture_output=True,
        text=True,
        check=True,
    )
    blocks = re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE)
    assert done.stdout == "".join(block for block in blocks if not block.startswith(GPU_ONLY))
    assert "ray==" in done.stdout
    assert len(done.stdout) < len(lock)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("ACCELERATOR=cpu TORCH_CPU_INDEX=", "needs TORCH_CPU_INDEX"),
        ("ACCELERATOR=rocm TORCH_CPU_INDEX=", "cuda or cpu, not 'rocm'"),
    ],
)
def test_wrong_arguments_end_the_build_with_a_reason(arguments: str, said: str) -> None:
    (command,) = (words for words in words_of("RUN") if "ACCELERATOR" in words)
    done = subprocess.run(
        ["sh", "-c", f"{arguments}; {command}"], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 1
    assert said in done.stderr
