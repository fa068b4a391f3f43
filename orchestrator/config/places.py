"""Places in what is stored: a workspace that moved, or was copied, finds its own files.

A path in the workspace is stored as `here:/` and the rest of it, its address (`file:///...`)
likewise; others stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workloads.storage.addresses import is_address, shown

_PATH, _ADDRESS = "here:", "file-here:"


def stored(value: Any, workspace: Path | None) -> Any:
    """A JSON value whose paths in the workspace no longer say where that is.

    Args:
        workspace: absolute; None stores everything as it is.
    """
    if workspace is None:
        return value
    return _each_text(value, lambda text: _shortened(text, workspace))


def restored(value: Any, workspace: Path | None) -> Any:
    """Inverse of `stored`, where the workspace is now."""
    if workspace is None:
        return value
    return _each_text(value, lambda text: _lengthened(text, workspace))


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(inner, change) for inner in value]
    return value


def _shortened(text: str, workspace: Path) -> str:
    for mark, start in _starts(workspace):
        if text.startswith(f"{start}/"):
            return mark + text[len(start) :]
    return text


def _lengthened(text: str, workspace: Path) -> str:
    for mark, start in _starts(workspace):
        if text.startswith(f"{mark}/"):
            return start + text[len(mark) :]
    return text


def _starts(workspace: Path) -> tuple[tuple[str, str], ...]:
    if is_address(workspace):
        return ((_PATH, str(workspace)), (_PATH, shown(workspace)))
    return ((_PATH, str(workspace)), (_ADDRESS, workspace.as_uri()))
