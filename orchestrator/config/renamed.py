"""Keys of earlier versions, each refused with what to write today."""

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

# Keys that stand for nothing any more, by their last names; what to do instead.
GONE = {
    "tune.trials": "every cut-off is tried; remove it, or set tune.alphas, how many alphas to try",
    "tune.seed": "the search draws nothing by chance; remove it",
}


def refuse_renamed(values: Mapping[str, Any], where: str) -> None:
    """Refuse settings that were written for an earlier version.

    Raises:
        ConfigError: all keys that have another name today, each with that name, and all that
            are gone, each with what to do.
    """
    named = {key: new_name(key) or key for key in _keys(values)}
    moved = [f"'{key}' is '{new}'" for key, new in named.items() if new not in (key, *GONE)]
    said = [f"'{key}' is gone: {GONE[new]}" for key, new in named.items() if new in GONE]
    if moved:
        said.insert(0, f"keys have other names now: {', '.join(moved)}; rename them")
    if said:
        raise ConfigError(f"{where}: {'. '.join(said)}")


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
