"""Load on an endpoint, from a process of its own: requests at a rate, whatever becomes of them.

    python -m orchestrator.benchmarks.open_loop URL FOLDER RATE SECONDS raw|json      one JSON value

Images are sent as they are, or as JSON {"image": BASE64}. With RATE 0 eight clients ask one
question after the other.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

CLIENTS = 8
_TYPES = {"raw": "image/jpeg", "json": "application/json"}


class Load:
    """Requests that were sent, and how they ended."""

    def __init__(self, url: str, files: list[bytes], form: str) -> None:
        self.url, self.headers = url, {"Content-Type": _TYPES[form]}
        self.files = files if form == "raw" else [_json(data) for data in files]
        self.codes: Counter[int] = Counter()
        self.ms: list[float] = []
        self.hasty = 0  # refusals without a word of when to come again

    async def ask(self, session: aiohttp.ClientSession, number: int) -> None:
        began = time.monotonic()
        try:
            async with session.post(
                self.url, data=self.files[number % len(self.files)], headers=self.headers
            ) as answer:
                await answer.read()
                self.codes[answer.status] += 1
                self.hasty += answer.status == 503 and "Retry-After" not in answer.headers
                if answer.status == 200:
                    self.ms.append(1000 * (time.monotonic() - began))
        except aiohttp.ClientError:
            self.codes[0] += 1

    async def open_loop(self, rate: float, seconds: float) -> None:
        """Send at a rate; what is not answered by the end does not count."""
        async with _session() as session:
            began, sent, tasks = time.monotonic(), 0, set[asyncio.Task[None]]()
            while (now := time.monotonic() - began) < seconds:
                while sent < now * rate:
                    tasks.add(asyncio.create_task(self.ask(session, sent)))
                    sent += 1
                await asyncio.sleep(0.002)
                tasks = {task for task in tasks if not task.done()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def closed_loop(self, seconds: float) -> None:
        """Ask one question after the other."""
        end = time.monotonic() + seconds

        async def client(session: aiohttp.ClientSession, first: int) -> None:
            number = first
            while time.monotonic() < end:
                await self.ask(session, number)
                number += CLIENTS

        async with _session() as session:
            await asyncio.gather(*(client(session, n) for n in range(CLIENTS)))

    def figures(self, seconds: float) -> dict[str, Any]:
        """Answers per second, their times, and the refusals."""
        ms = self.ms or [float("nan")]
        return {
            "per_s": len(self.ms) / seconds,
            "p50_ms": float(np.percentile(ms, 50)),
            "p99_ms": float(np.percentile(ms, 99)),
            "refused": self.codes[503],
            "refused_without_retry_after": self.hasty,
            "failed": sum(n for code, n in self.codes.items() if code not in (200, 503)),
        }


def _json(data: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(data).decode()}).encode()


def _session() -> aiohttp.ClientSession:
    limits = aiohttp.ClientTimeout(total=60)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limits)


if __name__ == "__main__":
    url, folder, rate, seconds, form = sys.argv[1:]
    load = Load(url, [path.read_bytes() for path in sorted(Path(folder).iterdir())], form)
    whole = float(seconds)
    asyncio.run(load.open_loop(float(rate), whole) if float(rate) else load.closed_loop(whole))
    print(json.dumps(load.figures(whole)))  # noqa: T201
