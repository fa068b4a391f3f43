"""Ray's tokens: who has one may run code on the cluster, so they live in files of one user."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from workloads.errors import ClusterError, ConfigError

_TOKEN, _PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


def read_token(cluster: str, file: Path | None, environment: Mapping[str, str]) -> str:
    """The token of a file, else of the environment as Ray reads it.

    Raises:
        ClusterError: there is none, or its file cannot be read.
    """
    if file is None and environment.get(_TOKEN):
        return environment[_TOKEN].strip()
    path = file or default_token_file(environment)
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise ClusterError(
            f"cluster '{cluster}': no token: {path}: {why}; put the cluster's token there, "
            f"or set ${_PATH} to the file that holds it"
        ) from None
    if not token:
        raise ClusterError(f"cluster '{cluster}': {path} holds no token; put the cluster's there")
    return token


def default_token_file(environment: Mapping[str, str]) -> Path:
    """Where Ray looks for a token when it is given none.

    Raises:
        ConfigError: this user has no home, and nothing else is named.
    """
    named = environment.get(_PATH)
    if named:
        return Path(named)
    try:
        return Path.home() / ".ray" / "auth_token"
    except RuntimeError:
        raise ConfigError(f"no home folder to keep Ray's token in; set ${_PATH}") from None


def make_token(path: Path) -> Path:
    """Write a new token, for its owner alone, if the file is not there.

    Raises:
        OSError: as the file system says.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
    if path.stat().st_uid == os.getuid():
        path.chmod(0o600)
    return path


def with_token_of(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of Ray's that reads its token from a file."""
    kept = {name: value for name, value in environment.items() if name != _TOKEN}
    return {**kept, "RAY_AUTH_MODE": "token", _PATH: str(file)}
