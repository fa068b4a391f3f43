"""A folder for the code that numba compiles, decided before it is imported.

It keeps it beside the source, else in the user's cache folder, and ends with an error where it may
write to neither: packages of another owner, in a container whose user has no home.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
REMEDY = f"set {VARIABLE} to a folder that this user may write"
_PACKAGES = ("localization", "metrics", "search")  # with compiled functions


def set_cache_folder(
    environment: MutableMapping[str, str] = os.environ, source: Path | None = None
) -> None:
    """Name a folder that can be written in the environment, if numba would find none by itself.

    Nothing is changed where it would, or where none is found; the kernels then say so.

    Args:
        source: the folder of this package.
    """
    if not is_writable_without_help(environment, source):
        private = _private_folder()
        if private is not None:
            environment[VARIABLE] = str(private)


def is_writable_without_help(
    environment: Mapping[str, str] = os.environ, source: Path | None = None
) -> bool:
    """Whether numba finds a folder for compiled code."""
    if _is_writable(environment.get(VARIABLE)):
        return True
    root = source or Path(__file__).parent
    if all(_is_writable(str(root / package / "__pycache__")) for package in _PACKAGES):
        return True
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - without an error
    return _is_writable(environment.get("XDG_CACHE_HOME") or str(Path(home, ".cache")))


def _is_writable(folder: str | None) -> bool:
    """Whether files can be made in a folder, which may have to be made itself."""
    if not folder or not Path(folder).is_absolute():
        return False
    there = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _private_folder() -> Path | None:
    """A folder of this user alone below that of temporary files: what is kept there is run."""
    import tempfile

    try:
        folder = Path(tempfile.gettempdir(), f"wsol-compiled-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        is_ours = found.st_uid == os.getuid() and not found.st_mode & 0o077
        if is_ours and folder.is_dir() and not folder.is_symlink():
            return folder
        return Path(tempfile.mkdtemp(prefix="wsol-compiled-"))
    except OSError:
        return None
