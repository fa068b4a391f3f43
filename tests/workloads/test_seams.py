"""Schemas and manifests are opened by the modules that own them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWNERS_OF_SCHEMAS = {
    *(f"workloads/shards/{name}.py" for name in ("read", "write", "cooccurrence")),
    *(f"workloads/shards/{name}.py" for name in ("sampling", "inspection")),
    "workloads/annotation/parts.py",
    "workloads/formats/parquet.py",
    "workloads/metrics/evaluation.py",
    "workloads/predictions/store.py",
    *(f"workloads/proposals/{name}.py" for name in ("make", "store")),
}


def importers(module: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for half in ("workloads", "orchestrator")
        for path in (ROOT / half).rglob("*.py")
        if module in _imported(ast.parse(path.read_text(encoding="utf-8")))
    }


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_one_module_opens_parquet() -> None:
    assert importers("pyarrow.parquet") == {"workloads/parquet.py"}


def test_owners_of_schemas_read_and_write_them() -> None:
    assert importers("workloads.parquet") <= OWNERS_OF_SCHEMAS


def test_one_module_names_the_manifest() -> None:
    naming = {
        path.relative_to(ROOT).as_posix()
        for half in ("workloads", "orchestrator")
        for path in (ROOT / half).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == "manifest.json"
    }
    assert naming == {"workloads/artifacts.py"}
