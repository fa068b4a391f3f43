"""Models that this process answers for, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator.config.settings import Machine, Serving
from orchestrator.serve.api.host import Answer, Ask, ModelStatus
from orchestrator.serve.hosting.follower import Follower
from orchestrator.serve.hosting.offers import Offer
from orchestrator.serve.hosting.roster import Roster
from orchestrator.serve.hosting.worker import Worker
from workloads.errors import Overloaded, one_line


class LocalHost:
    """Models in this process; see `Host`.

    Args:
        machine: whose registry is asked for new champions, and whose limits images have.
        offers: the default one first.
    """

    def __init__(self, machine: Machine, serving: Serving, offers: Sequence[Offer]) -> None:
        self.serving = serving
        self.roster = Roster(offers)
        self.worker = Worker(serving, machine.images)
        self.follower = Follower(machine, self.roster, self._warm)
        self._waiting = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def ready(self) -> bool:
        """Whether the default model has passed a real forward pass."""
        return self.roster.is_ready()

    def models(self) -> Sequence[ModelStatus]:
        """All models, the default one first."""
        return self.roster.statuses()

    async def detect(self, model: str | None, data: bytes, ask: Ask) -> Answer:
        """See `Host`."""
        offer = self.roster.offer(model)
        if self._waiting >= self.serving.max_queue:
            raise Overloaded("too many images wait already (serve.max_queue); ask again later")
        self._waiting += 1
        try:
            return await self.worker.answer(offer, data, ask)
        finally:
            self._waiting -= 1

    async def start(self) -> None:
        """Load and warm up the models that fit into memory, the default one first.

        Raises:
            WsolError: the default one cannot be used. Of another one its status says so.
        """
        self._loop = asyncio.get_running_loop()
        for number, offer in enumerate(self.roster.offers[: self.serving.max_loaded]):
            self.roster.mark(offer.name, "loading")
            try:
                await self.worker.localizer(offer)
            except Exception as error:
                if number == 0:
                    raise
                self.roster.mark(offer.name, "failed")
                self.roster.refuse(offer.name, one_line(str(error)))
            else:
                self.roster.mark(offer.name, "ready")
        if any(offer.follows for offer in self.roster.offers):
            self.follower.start(self.serving.follow_s)

    def end(self) -> None:
        """Look for new champions no more."""
        self.follower.end()

    def _warm(self, offer: Offer) -> None:
        assert self._loop is not None, "follows only once it has started"
        asyncio.run_coroutine_threadsafe(self.worker.localizer(offer), self._loop).result()
