"""An image folder that changed since it was listed: what is new is added, the same is recognised.

An annotation stands for the folder as it is, so nothing that was read may be gone or be another
image now; that is the caller's to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from workloads.annotation.listing import ListedFile, Listing
from workloads.artifacts import sha256


@dataclass(frozen=True, slots=True)
class Changes:
    """A folder against its listing.

    Attributes:
        listing: for the folder as it is now: files in their old order, new ones behind them.
        new: files that were not there before.
        lost: names of listed files that are gone or hold something else now.
    """

    listing: Listing
    new: int
    lost: tuple[str, ...]


def follow(
    old: Listing, found: Sequence[ListedFile], contents: Mapping[int, str], folder: Path
) -> Changes:
    """Find the listed files among those of a folder.

    A file is the same if size and time of change are, else if its content is that which was read;
    one that is gone may have another name now, or be in another folder of them.

    Args:
        found: the files of the folder.
        contents: image id to the SHA-256 of what was read.
        folder: where they are.
    """
    here = {file.name: file for file in found}
    kept: dict[int, ListedFile] = {}
    for index, file in enumerate(old.files):
        now = here.get(file.name)
        if now and _is_same(file, now, contents.get(index + 1), folder):
            kept[index] = replace(now, read_as=file.read_as)
            del here[file.name]
    missing = [index for index in range(len(old.files)) if index not in kept]
    if any(index + 1 in contents for index in missing):
        _find_renamed(old, missing, here, contents, folder, kept)
    lost = tuple(old.files[index].name for index in missing if index not in kept)
    added = [here[name] for name in sorted(here)]
    files = [kept.get(index, file) for index, file in enumerate(old.files)] + added
    batches = (*old.added, len(added)) if added else old.added
    return Changes(Listing(tuple(files), old.chunk_images, batches), len(added), lost)


def _is_same(old: ListedFile, now: ListedFile, content: str | None, folder: Path) -> bool:
    if (now.num_bytes, now.refused) != (old.num_bytes, old.refused):
        return False
    if now.mtime_ns == old.mtime_ns or now.refused is not None:
        return True
    return content is not None and _content(folder / now.name) == content


def _find_renamed(
    old: Listing,
    missing: Sequence[int],
    here: dict[str, ListedFile],
    contents: Mapping[int, str],
    folder: Path,
    kept: dict[int, ListedFile],
) -> None:
    """Move files from `here` to `kept` whose content was read under a name that is gone."""
    sizes = {old.files[index].num_bytes for index in missing}
    by_content: dict[str, list[str]] = {}
    for name, file in sorted(here.items()):
        if file.refused is None and file.num_bytes in sizes:
            by_content.setdefault(_content(folder / name) or "", []).append(name)
    for index in missing:
        names = by_content.get(contents.get(index + 1, "-"))
        if names:
            same = [name for name in names if _last(name) == _last(old.files[index].name)]
            name = (same or names)[0]
            names.remove(name)
            kept[index] = replace(here.pop(name), read_as=old.files[index].in_part)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _content(path: Path) -> str | None:
    try:
        return sha256(path)
    except OSError:
        return None
