"""Places in object storage as paths: `s3://bucket/folder/file` and `gs://…`.

A `Path` made of an address keeps everything that a path can say without looking (`/`, `parent`,
`name`, `relative_to`); it has lost one slash, which only printing puts back. Whoever looks at
files goes through `workloads.storage.storage`.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import NamedTuple

from workloads.errors import ConfigError

SCHEMES = {"s3": "Amazon S3 and what speaks its protocol", "gs": "Google Cloud Storage"}
_STARTS = tuple(f"{scheme}:/" for scheme in SCHEMES)
_SHORT = re.compile(rf"(?<![\w/:.-])({'|'.join(SCHEMES)}):/(?=[^/\s])")
_ANY = re.compile(r"([a-z][a-z0-9+.-]+):/.*", re.DOTALL)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


class Place(NamedTuple):
    """Parts of an address.

    Attributes:
        key: names in the bucket, with slashes between them; empty for the bucket itself. `..`
            leads up to the bucket at most.
    """

    scheme: str
    bucket: str
    key: str


def is_address(path: Path) -> bool:
    """Whether a path is in object storage."""
    return str(path).startswith(_STARTS)


def place_of(path: Path) -> Place:
    """The parts of an address.

    Raises:
        ConfigError: its bucket cannot be one.
    """
    scheme, bucket, *names = path.parts
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(
            f"{shown(path)}: '{bucket}' is no bucket; write {scheme}//BUCKET/FOLDER, the bucket in "
            "3 to 63 small letters, digits, dots and hyphens"
        )
    key = posixpath.normpath(f"/{'/'.join(names)}")[1:]  # '..' as in a file system
    return Place(scheme.removesuffix(":"), bucket, key)


def shown(path: Path) -> str:
    """A path as a user writes it."""
    return with_slashes(str(path)) if is_address(path) else str(path)


def with_slashes(text: str) -> str:
    """A text in which every address has both slashes again."""
    return _SHORT.sub(r"\1://", text) if ":/" in text else text


def absolute(path: Path) -> Path:
    """The path that means the same in every process: `~` and links resolved, or the address."""
    return path if is_address(path) else path.expanduser().resolve()


def below(folder: Path, name: str) -> Path:
    """`folder / name`, where a name may also be a whole path or address."""
    return Path(name) if is_address(Path(name)) else folder / name


def check_address(path: Path, what: str) -> None:
    """Refuse an address of a kind that is not supported, such as https://host/images.

    Args:
        what: it is, in the user's words.

    Raises:
        ConfigError: it is one, or no whole address.
    """
    if is_address(path):
        place_of(path)
        return
    found = _ANY.fullmatch(str(path))
    if found and not path.exists():
        raise ConfigError(
            f"{what} {_address(path, found[1])}: {found[1]} addresses are not supported; give a "
            f"folder of this machine (copy it, or mount it), or an address in "
            f"{' or '.join(f'{scheme}://' for scheme in SCHEMES)}"
        )


def refuse_address(path: Path, what: str, advice: str) -> None:
    """Refuse any address where only a folder of this machine will do.

    Args:
        what: it is, in the user's words.
        advice: what to do instead.

    Raises:
        ConfigError: it is one.
    """
    if is_address(path):
        raise ConfigError(f"{what} {shown(path)}: cannot be in object storage; {advice}")
    check_address(path, what)


def _address(path: Path, scheme: str) -> str:
    return f"{scheme}:/{str(path)[len(scheme) + 1 :]}"
