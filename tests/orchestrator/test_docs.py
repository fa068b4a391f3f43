"""What README and docs say can be typed: commands with their options, and links to files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from orchestrator.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("option", "argument")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def commands(page: Path) -> list[list[str]]:
    """The words of every `wsol ...` line in a code block."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    lines = [line.split(" || ")[0] for line in lines if line.startswith("wsol ")]
    found = [re.sub(r"[\[\]]|\.\.\.", " ", line) for line in lines]
    return [shlex.split(line.rstrip("& "), comments=True)[1:] for line in found]


def named(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after them."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, name
        command = command.commands[name]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_and_arguments_that_are_written(page: Path) -> None:
    for written in commands(page):
        outer, inner = written, list[str]()
        if "--" in written:  # a command within one: wsol submit ... -- train ...
            at = written.index("--")
            outer, inner = [*written[:at], "words"], written[at + 1 :]
        for one in filter(None, (outer, inner)):
            check(page, one)


def check(page: Path, written: list[str]) -> None:
    """Compare the words of one command with its options and arguments."""
    command, words = named(written)
    kinds = {kind: [p for p in command.params if p.param_type_name == kind] for kind in KINDS}
    options = {name: option for option in kinds["option"] for name in option.opts}
    arguments = kinds["argument"]
    given = 0
    while words:
        word, *words = words
        if not word.startswith("-"):
            given += 1
            continue
        assert word in options, f"{page.name}: {' '.join(written)}: {word}"
        words = words if options[word].is_flag else words[1:]
    needed = sum(p.required for p in arguments)
    assert needed <= given <= len(arguments), f"{page.name}: {' '.join(written)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
