"""Docstrings: every public thing has one, whose first line says what the thing is or does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for half in ("workloads", "orchestrator") for path in (ROOT / half).rglob("*.py")
)
RIDDLE = re.compile(r"(What|Where|Those|Of|How|Whose|Which)\b")
OUTSIDE = re.compile(r"\b(METHODS|HOUSE|DESIGN|FIELD|RAY)(\.md|,? section)")

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(source: str) -> Iterator[tuple[str, str | None]]:
    """Name and docstring of a module and of every class and function in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented):
            yield getattr(node, "name", "module"), ast.get_docstring(node)


def public(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str | None]]:
    """The module, its public classes and functions, with their docstrings; methods not."""
    for child in node.body:
        if isinstance(child, Documented) and not child.name.startswith("_"):
            yield child.name, ast.get_docstring(child)


def riddles(source: str) -> list[str]:
    """Names of the things whose docstring opens with a riddle."""
    return [name for name, text in documented(source) if text and RIDDLE.match(text)]


def citations(source: str) -> list[str]:
    """Names of the things whose docstring cites a document outside the repository."""
    return [name for name, text in documented(source) if text and OUTSIDE.search(text)]


def bare(source: str) -> list[str]:
    """Names of the public things without a docstring."""
    tree = ast.parse(source)
    everything = [("module", ast.get_docstring(tree)), *public(tree)]
    return [name for name, text in everything if not text]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_name_the_thing(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert riddles(source) == []
    assert citations(source) == []
    assert bare(source) == []


def test_the_checks_see_faults() -> None:
    source = '"""What it is."""\ndef f():\n    """As METHODS section 7 has it."""\ndef g(): ...\n'
    assert riddles(source) == ["module"]
    assert citations(source) == ["f"]
    assert bare(source) == ["g"]
    assert FILES
