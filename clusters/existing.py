"""A Ray that somebody else started, by its address."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from clusters.base import ClusterStatus, Remote, Say
from workloads.errors import ConfigError


class Existing(Remote):
    """A Ray that runs already, whoever started it."""

    kind: Literal["existing"]
    address: str = Field(description="of Ray's dashboard and jobs, http://HOST:8265")
    token_path: Path | None = Field(
        default=None,
        description="file of its token; null: $RAY_AUTH_TOKEN, else $RAY_AUTH_TOKEN_PATH, else "
        "~/.ray/auth_token",
    )

    @field_validator("address")
    @classmethod
    def _is_of_a_dashboard(cls, address: str) -> str:
        """Refuse what Ray's other ports and clients are called by."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be http://HOST:PORT, where Ray's dashboard is (port 8265)")
        if parts.username or parts.password:
            raise ValueError("holds a password; put the token into a file and name it token_path")
        return address.rstrip("/")

    def manifest(self) -> dict[str, str]:
        """Nothing is applied."""
        return {}

    def up(self, say: Say) -> None:
        """It is not ours to start."""
        raise ConfigError(
            f"cluster '{self.name}' at {self.address} is not ours to start; whoever runs it does"
        )

    def down(self, say: Say) -> None:
        """It is not ours to end."""
        raise ConfigError(
            f"cluster '{self.name}' at {self.address} is not ours to end; whoever runs it does"
        )

    def status(self) -> ClusterStatus:
        """What the address says."""
        return self.asked(self.address)

    def submit_address(self) -> str:
        """As it is written; whether it answers, the request will show."""
        return self.address

    def token_file(self) -> Path | None:
        """The file that is named, if one is."""
        return self.token_path.expanduser() if self.token_path else None
