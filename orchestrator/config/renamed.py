"""Keys of earlier versions, each refused with its name of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workloads.errors import ConfigError

# The longest prefix counts; what stands below a prefix is called as before.
RENAMED = {
    "job.name": "pipeline.name",
    "job.recipes": "pipeline.recipes",
    "job.epochs": "train.epochs",
    "job.data": "data",
    "job.data.options": "ingest.options",
    "job.stored_maps": "evaluate.stored_maps",
    "job.metrics": "evaluate.metrics",
    "job.proposals": "proposals",
    "job.search": "tune",
    "job.registry": "registry",
    "job.annotate": "annotate.folder",
    "serving": "serve",
}


def refuse_renamed(values: Mapping[str, Any], where: str) -> None:
    """Refuse settings that were written for an earlier version.

    Raises:
        ConfigError: all keys that have another name today, each with that name.
    """
    found = [f"'{key}' is '{new_name(key)}'" for key in _keys(values) if new_name(key)]
    if found:
        raise ConfigError(f"{where}: keys have other names now: {', '.join(found)}; rename them")


def new_name(key: str) -> str | None:
    """The name of today of a dotted key; None if it has not changed."""
    prefixes = [old for old in RENAMED if key == old or key.startswith(f"{old}.")]
    if not prefixes:
        return None
    old = max(prefixes, key=len)
    return RENAMED[old] + key.removeprefix(old)


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of the innermost values."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _keys(value, f"{key}.")
        else:
            yield key
