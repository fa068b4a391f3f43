"""The models of an endpoint and their states."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.serve.api.host import ModelStatus, State
from orchestrator.serve.hosting.offers import Offer
from workloads.errors import NotFound, unknown_name


@dataclass(frozen=True, slots=True)
class _Entry:
    offer: Offer
    state: State = "idle"
    refused: str | None = None


class Roster:
    """Names, each with the version that answers for it; safe in threads.

    Args:
        offers: the default one first.
    """

    def __init__(self, offers: Sequence[Offer]) -> None:
        self._entries = {offer.name: _Entry(offer) for offer in offers}
        self._default = offers[0].name
        self._lock = threading.Lock()

    def offer(self, name: str | None) -> Offer:
        """The version that a name stands for now; None: the default one.

        Raises:
            NotFound: there is no such name; the message lists those that exist.
        """
        entry = self._entries.get(name or self._default)
        if entry is None:
            raise NotFound(unknown_name("model", str(name), self._entries))
        return entry.offer

    @property
    def offers(self) -> list[Offer]:
        """All of them, the default one first."""
        return [entry.offer for entry in self._entries.values()]

    def mark(self, name: str, state: State) -> None:
        """Note the state of the version that a name stands for."""
        with self._lock:
            self._entries[name] = replace(self._entries[name], state=state)

    def roll_out(self, offer: Offer) -> None:
        """From now on a name stands for this version, which has passed its warm-up."""
        with self._lock:
            self._entries[offer.name] = _Entry(offer, "ready")

    def refuse(self, name: str, reason: str) -> None:
        """Note that a newer version was refused; the one before it stays."""
        with self._lock:
            self._entries[name] = replace(self._entries[name], refused=reason)

    def is_ready(self) -> bool:
        """Whether the default model has passed its warm-up."""
        return self._entries[self._default].state == "ready"

    def statuses(self) -> list[ModelStatus]:
        """All models, the default one first."""
        return [
            ModelStatus(
                info=entry.offer.info,
                reference=entry.offer.reference,
                classes=entry.offer.classes,
                state=entry.state,
                follows=entry.offer.follows,
                refused=entry.refused,
            )
            for entry in self._entries.values()
        ]
