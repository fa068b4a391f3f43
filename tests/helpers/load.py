"""Clients that ask an endpoint all the time."""

from __future__ import annotations

import threading
import time
from collections import Counter

import httpx
import numpy as np
from samples import picture

CLIENTS = 6


class Load:
    """Clients that ask one question after the other, and what they were answered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.codes: Counter[object] = Counter()
        self.versions: list[str] = []
        self.seconds: list[float] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        data = [picture(number * 10 + k) for k in range(4)]
        headers = {"Content-Type": "image/jpeg"}
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            turn = 0
            while not self._ended.is_set():
                began = time.monotonic()
                try:
                    done = client.post("/v1/detect", content=data[turn % 4], headers=headers)
                    self.codes[done.status_code] += 1
                    if done.status_code == 200:
                        self.versions.append(done.json()["model"]["version"])
                    else:
                        self.codes[done.text[:200]] += 1
                except httpx.HTTPError as error:
                    self.codes[repr(error)] += 1
                self.seconds.append(time.monotonic() - began)
                turn += 1

    def told(self) -> str:
        """How many answers there were, and how long they took."""
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1000
        most = 1000 * max(self.seconds)
        return (
            f"{self.codes[200]} answers, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {most:.0f} ms"
        )
