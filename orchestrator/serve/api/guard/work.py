"""Requests in work: how many, how many bytes they hold together, and how long they may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi import Request

from orchestrator.config.settings import Serving
from orchestrator.serve.api.errors import Refused
from orchestrator.serve.api.guard.pace import Pace
from orchestrator.serve.api.watch.trace import Trace

HELD_BODIES = 8
"""Bodies of the largest size that all requests together may hold in memory."""

_T = TypeVar("_T")


class Work:
    """The limits on all requests of this process.

    Attributes:
        max_body: bytes of one body.
        max_held: bytes of all bodies together.
        running, held: now.
    """

    def __init__(self, serving: Serving) -> None:
        self.max_body = int(serving.max_request_mb * 2**20)
        self.max_held = HELD_BODIES * self.max_body
        self.running, self.held = 0, 0
        self._most, self._limit_s = serving.max_queue, serving.request_timeout_s
        self._at_once = serving.max_batch_size
        self._pace, self._max_wait_s = Pace(), serving.max_wait_s
        # One for each that works and one that is next are let in, however slow they are.
        self._few = 2 * serving.most_replicas * serving.at_once

    @contextmanager
    def job(self, trace: Trace) -> Iterator[Job]:
        """A place among the requests in work, and what it holds, until the block ends.

        Raises:
            Refused: as `check`.
        """
        self.check()
        if self.running == 0:
            self._pace.busy()
        self.running += 1
        job = Job(self, trace, self._limit_s, self._at_once)
        try:
            yield job
            self._pace.answered()
        finally:
            self.running -= 1
            self.held -= job.held

    def check(self) -> None:
        """Look for a place for one request more.

        Raises:
            Refused: there are too many, or it would wait for too long.
        """
        wait_s = self._pace.wait_s(self.running)
        if self.running >= self._most:
            said = f"{self.running} requests are in work, the most of serve.max_queue"
        elif self.running >= self._few and wait_s > self._max_wait_s:
            said = (
                f"{self.running} requests are in work, and a new one would wait for {wait_s:.3g} s,"
                f" over the {self._max_wait_s:g} s of serve.max_wait_s"
            )
        else:
            return
        # By then half of those that are before it now are answered.
        raise Refused("overloaded", said, "ask again later", retry_s=wait_s / 2)


class Job:
    """One request in work.

    Attributes:
        turns: so many of its images are asked of the host at once.
        held: bytes.
    """

    def __init__(self, work: Work, trace: Trace, limit_s: float, at_once: int) -> None:
        self.trace, self.held = trace, 0
        self.turns = asyncio.Semaphore(at_once)
        self._work, self._limit_s = work, limit_s

    @property
    def max_bytes(self) -> int:
        """Bytes of a body, or of an image that is fetched."""
        return self._work.max_body

    def hold(self, size: int) -> None:
        """Count bytes that stay in memory until the request is done.

        Raises:
            Refused: all requests together hold too many.
        """
        if self._work.held + size > self._work.max_held:
            raise Refused(
                "overloaded",
                f"requests hold {self._work.held} bytes, at most {self._work.max_held} are allowed",
                "ask again later",
            )
        self._work.held += size
        self.held += size

    async def read(self, request: Request) -> bytes:
        """The body, never holding more than the limit: the declared length may be a lie.

        Raises:
            Refused: too large, compressed, too slow, or too much for all together.
            ClientDisconnect: the client has left.
        """
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise Refused(
                "unsupported_type",
                f"Content-Encoding '{coding}' is not allowed (allowed: identity)",
                "send the body uncompressed; images are compressed already",
            )
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._read(request)
        except TimeoutError:
            raise Refused(
                "upload_too_slow",
                f"the body was not complete after {self._limit_s:g} s (serve.request_timeout_s)",
                "send a smaller image, or over a better line",
            ) from None
        finally:
            self.trace.add("read", time.perf_counter() - began)

    async def _read(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:18]) > self.max_bytes:
            raise self._too_large()
        body = bytearray()
        async for chunk in request.stream():
            if len(body) + len(chunk) > self.max_bytes:
                raise self._too_large()
            self.hold(len(chunk))
            body += chunk
        return bytes(body)

    def _too_large(self) -> Refused:
        return Refused(
            "too_large",
            f"the body is over {self.max_bytes} bytes, the limit of serve.max_request_mb",
            "send a smaller image, or fewer",
        )

    async def within(self, answer: Awaitable[_T]) -> _T:
        """An answer, if it comes in time.

        Raises:
            Refused: it does not.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                return await answer
        except TimeoutError:
            raise self.late() from None

    async def each(self, answers: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
        """All answers in their order, in time; the first error ends the others.

        Raises:
            Refused: as `within`.
        """
        tasks = [asyncio.create_task(answer) for answer in answers]
        try:
            return await self.within(asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    @property
    def limit_s(self) -> float:
        """Seconds that an answer may take."""
        return self._limit_s

    def late(self) -> Refused:
        """The error of an answer that did not come in time."""
        return Refused(
            "timeout",
            f"no answer after {self._limit_s:g} s (serve.request_timeout_s)",
            "ask again later, or with fewer images",
        )
