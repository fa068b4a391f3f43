"""The code that travels to a cluster: this installation's own packages, and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.provenance import TRAVELLED, git_state, travelled_state
from workloads.errors import ConfigError

PACKAGES = ("orchestrator", "workloads", "clusters")
MOST_BYTES = 32 * 2**20
_ROOT = Path(__file__).resolve().parents[2]
_CACHE_VARIABLE = "XDG_CACHE_HOME"


@dataclass(frozen=True, slots=True)
class Package:
    """A folder with the code, whose content decides its name.

    Attributes:
        digest: SHA-256 of names and contents, and of the checkout that they are from, which a
            model made with them names.
        files, size: how many there are, and their bytes.
    """

    folder: Path
    digest: str
    files: int
    size: int

    def archive(self) -> bytes:
        """All of it as a zip file, the same for the same code."""
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(self.folder).as_posix())
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16  # else nobody may read it where it is unpacked
                archive.writestr(entry, path.read_bytes())
        return written.getvalue()


def package(root: Path = _ROOT, cache: Path | None = None) -> Package:
    """The code of an installation, copied to a folder of its digest; the same code is copied once.

    Hidden files, compiled modules and links are left out, and so is everything beside the packages.

    Raises:
        ConfigError: it is larger than code should be; the largest file is named.
    """
    paths = [path for name in PACKAGES for path in _files(root / name)]
    sizes = {path: path.stat().st_size for path in paths}
    total = sum(sizes.values())
    if total > MOST_BYTES:
        largest = max(sizes, key=lambda path: sizes[path])
        raise ConfigError(
            f"the code to send is {total / 2**20:.0f} MiB, at most {MOST_BYTES / 2**20:.0f} are "
            f"sent; remove what is no code, first {largest} ({sizes[largest] / 2**20:.0f} MiB)"
        )
    state = travelled_state(root) or git_state(root)
    origin = json.dumps(dict(zip(("git_commit", "git_dirty"), state, strict=True)))
    digest = _digest(root, paths, origin)
    folder = (cache or _cache()) / digest[:16]
    if not folder.is_dir():
        _copy(root, paths, folder, origin)
    return Package(folder, digest, len(paths), total)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        paths = (Path(place, name) for name in sorted(names) if not name.startswith("."))
        found += [path for path in paths if path.suffix != ".pyc" and not path.is_symlink()]
    return found


def _digest(root: Path, paths: list[Path], origin: str) -> str:
    found = hashlib.sha256(origin.encode())
    for path in paths:
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def _copy(root: Path, paths: list[Path], folder: Path, origin: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for path in paths:
            target = temporary / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (temporary / TRAVELLED).write_text(origin, encoding="utf-8")
        temporary.chmod(0o755)
        if not folder.is_dir():
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _cache() -> Path:
    named = os.environ.get(_CACHE_VARIABLE)
    try:
        place = Path(named) if named else Path.home() / ".cache"
    except RuntimeError:  # no HOME, and a user without an entry
        place = Path(tempfile.gettempdir())
    return place / "wsol" / "code"
