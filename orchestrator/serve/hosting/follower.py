"""New champions: an alias that comes to mean another version is rolled out, once that answers."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.config.settings import Machine
from orchestrator.engine.progress import say
from orchestrator.serve.hosting.offers import Offer, make_offer
from orchestrator.serve.hosting.roster import Roster
from orchestrator.tracking.registry import find_version
from workloads.errors import ClusterError, NotFound, one_line

Warm = Callable[[Offer], None]
"""Loads a version wherever it will answer, and makes it answer once; raises what goes wrong."""


class Follower:
    """Looks for new versions of the models that follow their alias.

    A version that cannot be fetched or fails its warm-up is refused, and not tried again: the one
    before it stays. While the registry cannot be asked, everything stays.
    """

    def __init__(self, machine: Machine, roster: Roster, warm: Warm) -> None:
        self.machine, self.roster, self.warm = machine, roster, warm
        self._refused: dict[str, str] = {}  # name to digest
        self._ended = threading.Event()

    def start(self, every_s: float) -> None:
        """Look again and again, in a thread, until `end`."""
        threading.Thread(target=self._run, args=(every_s,), daemon=True, name="follower").start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def _run(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            self.step()

    def step(self) -> None:
        """Look once at all models that follow."""
        for offer in self.roster.offers:
            if offer.follows:
                self._follow(offer)

    def _follow(self, offer: Offer) -> None:
        try:
            version = find_version(self.machine, offer.reference)
        except (ClusterError, NotFound):
            return
        if version.digest in (offer.info.digest, self._refused.get(offer.name)):
            return
        try:
            new = make_offer(self.machine, offer.name, offer.reference, follows=True)
            self.warm(new)
        except ClusterError:
            return
        except Exception as error:  # whatever a bad model does, the good one goes on
            self._refused[offer.name] = version.digest
            reason = f"version {version.version}: {one_line(str(error))}"
            self.roster.refuse(offer.name, reason)
            say(f"wsol: {offer.reference}: refused {reason}")
            return
        self.roster.roll_out(new)
        say(f"wsol: {offer.reference}: version {new.info.version} answers from now on")
