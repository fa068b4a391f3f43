"""API keys: a file of hashes, read again when it changes, so that a key can be revoked at once.

The file is a list of {id, name, created, hash} in YAML; JSON lines are read too. A key is 256
random bits, which nobody can guess or try, so one fast SHA-256 is the right hash: slow hashes are
for passwords that people choose.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import yaml
from pydantic import Field

from workloads.errors import ConfigError, NotFound, WsolError, one_line
from workloads.options import Options

PREFIX = "wsol_"
_BYTES = 32
_LOG = logging.getLogger(__name__)


class Key(Options):
    """One API key, without the key itself."""

    id: str = Field(min_length=1, max_length=64, description="to revoke it by, and for logs")
    name: str = Field(min_length=1, max_length=200, description="who has it")
    created: str = Field(description="when, in UTC")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key")


def hash_of(key: str) -> str:
    """The SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(name: str) -> tuple[str, Key]:
    """A random key, which is nowhere kept, and its entry."""
    key = PREFIX + secrets.token_urlsafe(_BYTES)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    where = f"name '{name}'"
    entry = {"id": secrets.token_hex(4), "name": name, "created": created, "hash": hash_of(key)}
    return key, Key.parse(entry, where)


def read_keys(path: Path) -> list[Key]:
    """All keys of a file.

    Raises:
        NotFound: there is no such file.
        ConfigError: it is no list of keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"serve.keys_file {path}: no such file; make it: wsol keys add") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"serve.keys_file {path}: {one_line(str(error))}") from None
    entries = _entries(path, text)
    return [Key.parse(entry, f"{path}: key {i}") for i, entry in enumerate(entries, 1)]


def _entries(path: Path, text: str) -> Sequence[dict[str, str]]:
    try:
        if text.lstrip().startswith("{"):
            found = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        else:
            found = yaml.safe_load(text) or []
    except (orjson.JSONDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: neither YAML nor JSON lines: {one_line(str(error))}") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ConfigError(f"{path}: no list of keys; make it: wsol keys add NAME")
    return found


def write_keys(path: Path, keys: Sequence[Key]) -> None:
    """Replace the file as a whole; only its owner may read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump([key.model_dump() for key in keys], sort_keys=False)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


class KeyRing:
    """The keys of a file, as it is now.

    Raises:
        WsolError: as `read_keys`, at the start only. Later a broken file is logged, and the keys
            that were known stay; with no file at all no key is good.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._keys = read_keys(path)
        self._seen = self._state()
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            _LOG.warning("%s can be read by others; chmod 600 it", path)

    def find(self, key: str) -> Key | None:
        """The entry of a key. All hashes are compared, each in constant time."""
        self._refresh()
        digest, found = hash_of(key), None
        for entry in self._keys:
            if hmac.compare_digest(entry.hash, digest):
                found = entry
        return found

    def _refresh(self) -> None:
        state = self._state()
        if state == self._seen:
            return
        with self._lock:
            self._seen = state
            try:
                self._keys = read_keys(self._path) if state else []
            except WsolError as error:
                _LOG.error("%s; the keys of before stay in use", error)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
