"""Images by their address: fetched only from origins that are listed, and nowhere else.

An address decides where this machine connects to, so nothing is guessed: scheme, host and port
are compared as they are, redirects and proxies are not followed, and a private address is reached
only if it is itself listed.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from orchestrator.serve.api.errors import Refused
from workloads.errors import TooLarge, one_line

_PORTS = {"http": 80, "https": 443}
_CHUNK = 2**16

Origin = tuple[str, str, int]


class Fetcher:
    """Fetches from the origins of `serve.fetch_from`.

    Args:
        allowed: SCHEME://HOST[:PORT].
        timeout_s: of one file, from the first byte sent to the last received.
    """

    def __init__(self, allowed: Sequence[str], timeout_s: float) -> None:
        self._allowed = {origin for text in allowed if (origin := origin_of(text))}
        self._timeout_s = timeout_s

    def allows(self, address: str) -> bool:
        """Whether the origin of an address is listed."""
        return origin_of(address) in self._allowed

    async def fetch(
        self, address: str, max_bytes: int, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The bytes at an address.

        Raises:
            Refused: it is not listed, or does not answer with a file.
            TooLarge: the file is over the limit.
        """
        if not self.allows(address):
            raise Refused(
                "cannot_fetch",
                f"'{address[:200]}': its origin is not in serve.fetch_from",
                "send the image's bytes, or ask the operator to list the origin",
            )
        try:
            return await asyncio.to_thread(
                _get, address, max_bytes, time.monotonic() + self._timeout_s, dict(headers or {})
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Refused(
                "cannot_fetch",
                one_line(f"'{address[:200]}': {error or type(error).__name__}"),
                "look whether the server of the image answers",
            ) from None


def origin_of(address: str) -> Origin | None:
    """Scheme, host and port of an address; None of one that may not be asked at all."""
    if not address.isascii() or not address.isprintable() or " " in address or "\\" in address:
        return None
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def _get(address: str, max_bytes: int, until: float, headers: dict[str, str]) -> bytes:
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_left(until))
    try:
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise ValueError(f"answers with status {response.status}, not 200")
        data = bytearray()
        while chunk := response.read1(_CHUNK):
            data += chunk
            if len(data) > max_bytes:
                raise TooLarge(f"'{address[:200]}': over {max_bytes} bytes; give a smaller image")
            if connection.sock is not None:
                connection.sock.settimeout(_left(until))
        return bytes(data)
    finally:
        connection.close()


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("does not answer in time")
    return left
