"""Artifacts are written whole or not at all, manifest last.

An artifact is a folder with a `manifest.json` that names every other file with its SHA-256.
A folder without a manifest is unfinished and does not count. Names with a leading dot (what was
asked for, and what a killed writer left) are not part of the content.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from workloads.errors import ConfigError, IntegrityError, NotFound
from workloads.storage.addresses import absolute
from workloads.storage.storage import storage_of

MANIFEST = "manifest.json"
QUARANTINE = "quarantine.jsonl"  # what was listed and left out, one {path, reason, ...} a line
_MADE_BY = {
    "shards": "ingest",
    "proposals": "proposals",
    "model": "train",
    "predictions": "evaluate",
    "annotation": "annotate",
}
_PLURAL = ("shards", "predictions", "proposals")


def atomic_file(path: Path) -> AbstractContextManager[Path]:
    """Give a path to write; it becomes `path` on success and goes on error (see `Storage`)."""
    return storage_of(path).publish_file(path)


def atomic_folder(path: Path) -> AbstractContextManager[Path]:
    """Give an empty folder to fill; it replaces `path` on success (see `Storage`)."""
    return storage_of(path).publish_folder(path, MANIFEST)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file of an artifact into a folder that is being filled."""
    with storage_of(source).open(source) as stream, target.open("wb") as copy:
        shutil.copyfileobj(stream, copy)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON (sorted keys, indented) whole or not at all; see `finite` for NaN."""
    text = json.dumps(finite(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def finite(value: Any) -> Any:
    """A JSON value with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        NotFound: the file is missing.
        IntegrityError: the file is not JSON, or no object.
    """
    try:
        with storage_of(path).open(path) as stream:
            values = json.loads(stream.read().decode("utf-8"))
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise IntegrityError(f"{path}: not a JSON object")
    return values


def seal(folder: Path, **facts: Any) -> dict[str, Any]:
    """Write the manifest of a folder: `facts`, every file's SHA-256, and a digest over all.

    The digest covers facts and files, so it names the artifact's content. Temporary files of
    a writer that was killed are removed first.
    """
    storage = storage_of(folder)
    for path in storage.files(folder):
        if any(map(_is_left_over, _names(path, folder))):
            storage.remove(path)
    files = {str(p.relative_to(folder)): sha256(p) for p in contents(folder)}
    body = {**facts, "files": files}
    manifest = {**body, "digest": digest(body)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def exists(path: Path) -> bool:
    """Whether a file of an artifact is written; it is whole then."""
    return storage_of(path).exists(path)


def remove(path: Path) -> None:
    """Remove a file of an unfinished artifact, if it is there."""
    storage_of(path).remove(path)


def is_sealed(folder: Path) -> bool:
    """Whether the folder holds a finished artifact."""
    return storage_of(folder).exists(folder / MANIFEST)


def unseal(folder: Path) -> None:
    """Take a manifest away: the artifact is unfinished again."""
    storage_of(folder).remove(folder / MANIFEST)


def read_manifest(folder: Path, *kinds: str) -> dict[str, Any]:
    """The manifest of a finished artifact of a kind, or of one of several.

    Raises:
        NotFound: the folder is missing or unfinished.
        ConfigError: it holds another kind; the message says which.
    """
    manifest = _stored(folder, kinds)
    _check_kind(folder, manifest, kinds)
    return manifest


def verify(folder: Path, *kinds: str) -> dict[str, Any]:
    """The manifest, after every file was checked against it.

    Raises:
        NotFound, ConfigError: as `read_manifest` does.
        IntegrityError: a file is missing, changed or unknown, or the manifest was edited.
    """
    manifest = _stored(folder, kinds)
    body = {k: v for k, v in manifest.items() if k != "digest"}
    if digest(body) != manifest.get("digest"):
        raise IntegrityError(f"{folder / MANIFEST}: changed after it was written; make it again")
    _check_kind(folder, manifest, kinds)
    kind = " or ".join(kinds)
    found = {str(p.relative_to(folder)): sha256(p) for p in contents(folder)}
    for name, expected in manifest["files"].items():
        if found.pop(name, None) != expected:
            raise IntegrityError(
                f"{folder / name}: missing or changed since the {kind} was written; "
                "restore the file or make it again"
            )
    if found:
        raise IntegrityError(f"{folder / min(found)}: not part of the {kind}; remove it")
    return manifest


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: its folder, what names its content, and the facts of its manifest.

    Cheap to carry to another process; what the folder holds is read when it is asked for.

    Attributes:
        facts: the manifest without its digest and its list of files.
    """

    kind: ClassVar[str] = "artifact"

    folder: Path
    digest: str
    facts: Mapping[str, Any] = field(compare=False, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the manifest, once; the files are not checked against it.

        Raises:
            NotFound: the folder is missing or unfinished.
            ConfigError: it holds another kind of artifact; the message says which.
        """
        return cls._of(folder, read_manifest(folder, cls.kind))

    @classmethod
    def open_verified(cls, folder: Path) -> Self:
        """Open an artifact after checking every file against the manifest.

        Raises:
            NotFound, ConfigError: as `open` does.
            IntegrityError: a file is missing, changed or unknown, or the manifest was edited.
        """
        return cls._of(folder, verify(folder, cls.kind))

    def verify(self) -> None:
        """Check every file against the manifest.

        Raises:
            IntegrityError: as `open_verified` does, or the artifact was replaced since.
        """
        if verify(self.folder, self.kind)["digest"] != self.digest:
            raise IntegrityError(f"{self.folder}: replaced since it was opened; open it again")

    @classmethod
    def _of(cls, folder: Path, manifest: Mapping[str, Any]) -> Self:
        facts = {k: v for k, v in manifest.items() if k not in ("digest", "files")}
        # Absolute, since workers may be elsewhere.
        return cls(absolute(folder), str(manifest["digest"]), facts)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with storage_of(path).open(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON value as `write_json` writes it, hexadecimal."""
    text = json.dumps(
        finite(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def contents(folder: Path) -> list[Path]:
    """The files that are an artifact's content, finished or not; hidden ones are none."""
    found = [p for p in storage_of(folder).files(folder) if p.name != MANIFEST]
    return [p for p in found if not any(name.startswith(".") for name in _names(p, folder))]


def _is_left_over(name: str) -> bool:
    """Whether it is what a killed writer left of a file.

    That of a hidden file is not: a lease, say, is renewed while its folder is sealed.
    """
    return name.startswith(".") and not name.startswith("..") and name.endswith(".tmp")


def _names(path: Path, folder: Path) -> tuple[str, ...]:
    """The names on the way from a folder to a file in it, the file's own last."""
    return path.relative_to(folder).parts


def _stored(folder: Path, kinds: Sequence[str]) -> dict[str, Any]:
    if not is_sealed(folder):
        made = "; ".join(f"wsol {_MADE_BY[kind]}" for kind in kinds if kind in _MADE_BY)
        advice = f"; made by: {made}" if made else ""
        raise NotFound(f"{folder}: no {' or '.join(kinds)} there (it has no {MANIFEST}){advice}")
    manifest = read_json(folder / MANIFEST)
    return manifest


def _check_kind(folder: Path, manifest: Mapping[str, Any], kinds: Sequence[str]) -> None:
    found = _kind_of(manifest)
    if found not in kinds:
        raise ConfigError(f"{folder}: {_refusal(found, kinds)}")


def _kind_of(manifest: Mapping[str, Any]) -> str:
    # Shards were sealed without a kind once, and are much work to make again.
    unnamed = "shards" if "splits" in manifest else "artifact"
    return str(manifest.get("kind", unnamed))


def _refusal(found: str, asked: Sequence[str]) -> str:
    """Another kind of artifact than was asked for, in words."""
    wanted = " or ".join(_noun(kind) for kind in asked)
    this = "these are" if found in _PLURAL else "this is"
    were = "were" if asked[-1] in _PLURAL else "was"
    return f"{this} {_noun(found)}, {wanted} {were} asked for; give the folder of {wanted}"


def _noun(kind: str) -> str:
    if kind in _PLURAL:
        return kind
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
