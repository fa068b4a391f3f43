"""Artifacts are written whole or not at all, manifest last.

An artifact is a folder with a `manifest.json` that names every other file with its SHA-256.
A folder without a manifest is unfinished and does not count. Names with a leading dot (what was
asked for, and what a killed writer left) are not part of the content.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workloads.errors import IntegrityError, NotFound

MANIFEST = "manifest.json"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write; rename it to `path` on success, remove it on error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with _naming(path):
            yield temporary
            _sync(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON (sorted keys, indented) whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        NotFound: the file is missing.
        IntegrityError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path}: not valid JSON ({error})") from None


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary sibling folder to fill; it replaces `path` on success.

    Raises:
        OSError: as the file system says (a full disk, say); nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        with _naming(path):
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A full disk is reported by a write, which does not know the name of its file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def seal(folder: Path, **facts: Any) -> dict[str, Any]:
    """Write the manifest of a folder: `facts`, every file's SHA-256, and a digest over all.

    The digest covers facts and files, so it names the artifact's content. Temporary files of
    a writer that was killed are removed first.
    """
    for stale in folder.rglob(".*.tmp"):
        stale.unlink(missing_ok=True)
    files = {str(p.relative_to(folder)): sha256(p) for p in sorted(_files(folder))}
    body = {**facts, "files": files}
    manifest = {**body, "digest": digest(body)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def is_sealed(folder: Path) -> bool:
    """Whether the folder holds a finished artifact."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a finished artifact.

    Raises:
        NotFound: the folder is missing or unfinished; `kind` says what was looked for.
    """
    if not is_sealed(folder):
        raise NotFound(f"{folder}: no {kind} there (it has no {MANIFEST})")
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    return manifest


def verify(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest, after every file was checked against it.

    Raises:
        NotFound: the folder is missing or unfinished.
        IntegrityError: a file is missing, changed or unknown, or the manifest was edited.
    """
    manifest = read_manifest(folder, kind)
    body = {k: v for k, v in manifest.items() if k != "digest"}
    if digest(body) != manifest.get("digest"):
        raise IntegrityError(f"{folder / MANIFEST}: changed after it was written; make it again")
    found = {str(p.relative_to(folder)): sha256(p) for p in _files(folder)}
    for name, expected in manifest["files"].items():
        if found.pop(name, None) != expected:
            raise IntegrityError(
                f"{folder / name}: missing or changed since the {kind} was written; "
                "restore the file or make it again"
            )
    if found:
        raise IntegrityError(f"{folder / min(found)}: not part of the {kind}; remove it")
    return manifest


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON value, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    found = (p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return (p for p in found if not p.name.startswith("."))


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
