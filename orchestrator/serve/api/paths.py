"""Paths of an application that may stand below another path of its host."""

from __future__ import annotations

from starlette.types import Scope


def own_path(scope: Scope) -> str:
    """The path of a request as the application's routes have it; "" for its place itself."""
    path: str = scope["path"]
    place: str = scope.get("root_path", "")
    return path[len(place) :] if path == place or path.startswith(f"{place}/") else path
