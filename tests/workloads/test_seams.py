"""Schemas and manifests are opened by the modules that own them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWNERS_OF_SCHEMAS = {
    *(f"workloads/shards/{name}.py" for name in ("read", "write", "cooccurrence")),
    *(f"workloads/shards/{name}.py" for name in ("sampling", "inspection")),
    "workloads/annotation/listing.py",
    "workloads/annotation/parts.py",
    "workloads/annotation/sources/parquet.py",  # whatever schema a collection has
    "workloads/datasets/table_rows.py",  # whatever schema a table of a user has
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
    measured = {f"workloads/benchmarks/{name}.py" for name in ("storage", "export")}  # against it
    assert importers("pyarrow.parquet") == {"workloads/parquet.py", *measured}


def test_owners_of_schemas_read_and_write_them() -> None:
    assert importers("workloads.parquet") <= OWNERS_OF_SCHEMAS | {"workloads/benchmarks/storage.py"}


def test_one_module_names_the_manifest() -> None:
    naming = {
        path.relative_to(ROOT).as_posix()
        for half in ("workloads", "orchestrator")
        for path in (ROOT / half).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == "manifest.json"
    }
    assert naming == {"workloads/artifacts.py"}


# Modules that work on artifacts; the images of users, /proc and pages go other ways.
ARTIFACTS = [
    *(f"orchestrator/{name}.py" for name in ("annotate/annotate", "evaluate", "ingest", "predict")),
    *(f"orchestrator/{name}.py" for name in ("proposals", "engine/claims", "pipeline/stages")),
    "workloads/artifacts.py",
    "workloads/parquet.py",
    *(
        path.relative_to(ROOT).as_posix()
        for room in ("shards", "predictions", "proposals", "models", "annotation", "formats")
        for path in (ROOT / "workloads" / room).glob("*.py")
    ),
]
# What a format fills before it is published lies on this machine's disk.
WITH_LEAVE = ("storage", "self.storage", "unpublished", "(temporary")
OWN_WAYS = {
    "exists", "is_file", "unlink", "iterdir", "glob", "rglob", "read_text", "read_bytes",
    "write_bytes", "mkdir", "rmdir", "rename", "stat",
}  # fmt: skip


@pytest.mark.parametrize("path", ARTIFACTS)
def test_files_of_artifacts_are_reached_through_the_storage_alone(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    called = {
        f"{node.func.attr} in line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in OWN_WAYS
        and not ast.unparse(node.func).startswith(WITH_LEAVE)
    }
    assert not called
