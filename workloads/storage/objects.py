"""Artifacts in object storage: `s3://` and `gs://` behind the same seam as folders.

An object appears whole or not at all, is seen by everybody at once, and can be written on the
condition that it is as it was: that is all that publishing, claims and leases ask for. Folders
are what the names of objects have in common.
"""

from __future__ import annotations

import errno
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import pyarrow as pa
from obstore import exceptions

from workloads.errors import ConfigError
from workloads.storage.addresses import place_of, shown
from workloads.storage.buckets import Bucket, bucket, was_tried
from workloads.storage.local import Listed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Bytes if they are there already, size, and what names the version.
_Start = tuple[bytes | None, int, str | None]
READ_BYTES = 8 * 2**20  # of one request; a larger object is read in pieces


class ObjectStorage:
    """Artifacts in the buckets of object storage."""

    def files(self, folder: Path) -> list[Path]:
        return [found.path for found in self.listing(folder)]

    def listing(self, folder: Path, *, deep: bool = True) -> list[Listed]:
        store, key = _at(folder)
        found = store.ask(_listed_deep if deep else _listed_here, f"{key}/" if key else None)
        listed = (
            Listed(_below(folder, key, meta["path"]), int(meta["size"]), _changed_ns(meta))
            for meta in found
        )
        return sorted(one for one in listed if one.num_bytes or self._is_file(one.path, folder))

    def entries(self, folder: Path) -> list[Path]:
        store, key = _at(folder)
        found = store.ask(obstore.list_with_delimiter, f"{key}/" if key else None)
        names = {*found["common_prefixes"], *(meta["path"] for meta in found["objects"])}
        return sorted(_below(folder, key, name) for name in names - {key})

    def exists(self, path: Path) -> bool:
        return self._head(path) is not None

    def is_folder(self, path: Path) -> bool:
        store, key = _at(path)
        return any(store.ask(lambda s: next(iter(obstore.list(s, f"{key}/", chunk_size=1)), [])))

    def size(self, path: Path) -> int:
        found = self._head(path)
        if found is None:
            raise _missing(path)
        return int(found["size"])

    def changed_ns(self, path: Path) -> int:
        found = self._head(path)
        if found is None:
            raise _missing(path)
        return _changed_ns(found)

    def open(self, path: Path) -> io.BufferedReader:
        return io.BufferedReader(_Object(path, _start), READ_BYTES)

    def open_random(self, path: Path) -> pa.NativeFile:
        return pa.PythonFile(_Object(path, _facts), mode="r")  # each read is one request

    def local(self, path: Path) -> Path | None:
        return None

    @contextmanager
    def publish_file(self, path: Path) -> Iterator[Path]:
        store, key = _at(path)
        with tempfile.TemporaryDirectory(prefix="wsol-") as scratch:
            temporary = Path(scratch, "file")
            yield temporary
            store.ask(obstore.put, key, temporary)

    @contextmanager
    def publish_folder(self, path: Path, last: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="wsol-") as scratch:
            folder = Path(scratch, "folder")
            folder.mkdir()
            yield folder
            self._replace(path, folder, path / last)

    def remove(self, path: Path) -> None:
        store, key = _at(path)
        try:
            store.ask(obstore.delete, key)
        except FileNotFoundError:
            return

    def create(self, path: Path, text: str) -> bool:
        store, key = _at(path)
        try:
            store.ask(obstore.put, key, text.encode(), mode="create")
        except exceptions.AlreadyExistsError as error:
            if was_tried(error) and self._text(path)[0] == text:
                return True
            return self.swap(path, "", text)
        return True

    def swap(self, path: Path, old: str, new: str | None) -> bool:
        """As the protocol says; a file that is swapped away stays, empty, and counts as none."""
        store, key = _at(path)
        try:
            text, version = self._text(path)
            if text != old:
                return False
            store.ask(obstore.put, key, (new or "").encode(), mode=version)
        except FileNotFoundError:
            return False
        except (exceptions.PreconditionError, exceptions.AlreadyExistsError) as error:
            return was_tried(error) and self._text(path)[0] == (new or "")
        return True

    def append(self, path: Path, line: bytes) -> None:
        store, key = _at(path)
        while True:
            try:
                before, mode = self._read(path)
            except FileNotFoundError:
                before, mode = b"", "create"
            try:
                store.ask(obstore.put, key, before + line, mode=mode)
            except (exceptions.PreconditionError, exceptions.AlreadyExistsError) as error:
                if was_tried(error) and self._read(path)[0].endswith(line):
                    return
            else:
                return

    def _is_file(self, path: Path, folder: Path) -> bool:
        """Whether something empty in a listing is no mark of a folder, as consoles leave them.

        The name of a mark ends in a slash, which listings of the library leave out.
        """
        return path != folder and self.exists(path)

    def _head(self, path: Path) -> Any:
        store, key = _at(path)
        if not key:
            return None
        try:
            return store.ask(obstore.head, key)
        except FileNotFoundError:
            return None

    def _read(self, path: Path) -> tuple[bytes, Any]:
        """A small file, and what names its version in a condition."""
        store, key = _at(path)
        try:
            return store.ask(_get_whole, key)
        except FileNotFoundError:
            raise _missing(path) from None

    def _text(self, path: Path) -> tuple[str, Any]:
        data, version = self._read(path)
        return data.decode(errors="replace"), version

    def _replace(self, path: Path, folder: Path, last: Path) -> None:
        """Upload a folder so that no half of it ever counts."""
        self.remove(last)
        new = {path / file.relative_to(folder): file for file in _files_of(folder)}
        for old in set(self.files(path)) - set(new):
            self.remove(old)
        for target in sorted(new, key=lambda target: (target == last, target)):
            store, key = _at(target)
            store.ask(obstore.put, key, new[target])


class _Object(io.RawIOBase):
    """An object read by ranges, all of the same version."""

    def __init__(self, path: Path, first: Callable[[Any, str], _Start]) -> None:
        """Raises FileNotFoundError: there is none."""
        self._path, self._position = path, 0
        self._bucket, self._key = _at(path)
        try:
            self._whole, self._size, self._etag = self._bucket.ask(first, self._key)
        except FileNotFoundError:
            raise _missing(path) from None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        """Bytes in it; Arrow asks."""
        return self._size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        data = b"".join(
            self._range(at, min(at + READ_BYTES, self._position + wanted))
            for at in range(self._position, self._position + wanted, READ_BYTES)
        )
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _range(self, start: int, end: int) -> bytes:
        if self._whole is not None:
            return self._whole[start:end]
        try:
            return self._bucket.ask(_get_range, self._key, start, end, self._etag)
        except (exceptions.PreconditionError, FileNotFoundError):
            raise OSError(
                errno.ESTALE, "replaced while it was read; start again", shown(self._path)
            ) from None


def _listed_deep(store: Any, prefix: str | None) -> Sequence[Any]:
    return obstore.list(store, prefix).collect()


def _listed_here(store: Any, prefix: str | None) -> Sequence[Any]:
    return obstore.list_with_delimiter(store, prefix)["objects"]


def _start(store: Any, key: str) -> _Start:
    """For reading from start to end: a small object comes at once."""
    found = obstore.get(store, key)
    size = int(found.meta["size"])
    whole = bytes(found.bytes()) if size <= READ_BYTES else None
    return whole, size, found.meta["e_tag"]


def _facts(store: Any, key: str) -> _Start:
    """For reading some of it."""
    found = obstore.head(store, key)
    return None, int(found["size"]), found["e_tag"]


def _get_range(store: Any, key: str, start: int, end: int, etag: str | None) -> bytes:
    options: Any = {"range": (start, end), **({"if_match": etag} if etag else {})}
    return bytes(obstore.get(store, key, options=options).bytes())


def _get_whole(store: Any, key: str) -> tuple[bytes, dict[str, str]]:
    found = obstore.get(store, key)
    version: dict[str, Any] = {name: found.meta.get(name) for name in ("e_tag", "version")}
    return bytes(found.bytes()), {name: value for name, value in version.items() if value}


def _at(path: Path) -> tuple[Bucket, str]:
    place = place_of(path)
    if any(ord(letter) < 32 for letter in place.key):
        raise ConfigError(f"{shown(path)!r}: a name in object storage has no control characters")
    return bucket(place.scheme, place.bucket), place.key


def _below(folder: Path, key: str, name: str) -> Path:
    return folder / (name[len(key) + 1 :] if key else name)


def _changed_ns(meta: Any) -> int:
    """In whole seconds: that is all that every answer has."""
    return int(meta["last_modified"].timestamp()) * 10**9


def _files_of(folder: Path) -> Sequence[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "No such object", shown(path))
