"""Models on Ray Serve: copies that answer, one process that knows which version each name stands
for, and one that speaks HTTP, hands images on, and tries again where a copy was lost.

    Detector   the copies of the models: decodes, finds boxes
    Catalog    the roster; looks for new champions and has the copies load them
    Gateway    the interface, where no command runs it
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders

from orchestrator.config.settings import Machine, Serving
from orchestrator.serve.api.host import Answer, Ask, ModelStatus
from orchestrator.serve.hosting.follower import Follower
from orchestrator.serve.hosting.offers import Offer
from orchestrator.serve.hosting.roster import Roster
from orchestrator.serve.hosting.worker import Job, Result, Worker
from workloads.errors import NotFound, Overloaded, WsolError, one_line, unknown_name
from workloads.models.localizer import Localizer

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_S = 5.0
"""Time in which a copy may finish its requests after the endpoint was told to end."""
ATTEMPTS = 3
"""Copies that an image is sent to, if one after the other is lost while it works on it."""
ROSTER_S = 0.5
"""Seconds between the gateway's looks at the roster: for so long an old version may answer."""
SETTLED_S = 10.0
"""The same where no model is loaded or followed: nothing is going to change."""
WARM_TIMEOUT_S = 300.0


class Detector(Worker):
    """A copy of the models in a process of Ray Serve.

    Args:
        machine, offers: as JSON; the default model first, which is loaded before any request.
    """

    def __init__(self, machine: dict[str, Any], offers: list[dict[str, Any]]) -> None:
        from ray.serve import batch, get_replica_context, multiplexed

        settings = _settings(machine)
        super().__init__(settings.serve, settings.images)
        serving = self.serving
        self._offers = [Offer.model_validate(one) for one in offers]
        self._known = {offer.info.digest: offer for offer in self._offers}
        self.id = str(get_replica_context().replica_id.unique_id)

        async def keep(digest: str) -> Localizer:
            return await self.load(self._known[digest])

        # Ray sends an image to a copy that has its model already, where one is free.
        self._localizer_of = multiplexed(max_num_models_per_replica=serving.max_loaded)(keep)
        self._batched = batch(
            max_batch_size=serving.max_batch_size, batch_wait_timeout_s=serving.batch_wait_s
        )(self.find_all)
        # Ray sends requests here only after the constructor: the first user waits for nothing.
        self._first: Localizer | None = self._load(self._offers[0])

    async def localizer(self, offer: Offer) -> Localizer:
        """A version in memory, warmed up; the one that was unused for longest leaves."""
        self._known[offer.info.digest] = offer
        found: Localizer = await self._localizer_of(offer.info.digest)
        return found

    async def load(self, offer: Offer) -> Localizer:
        """Load a version, or take the one that the constructor loaded."""
        first, self._first = self._first, None
        if first is not None and first.digest == offer.info.digest:
            return first
        return await super().load(offer)

    async def find(self, job: Job) -> Result:
        """On a GPU in a batch with others."""
        if not self.on_gpu:
            return await super().find(job)
        result: Result = await self._batched(job)
        return result

    async def detect(self, offer: dict[str, Any], data: bytes, ask: dict[str, Any]) -> Result:
        """The answer about one image file; our errors are results, others Ray raises."""
        try:
            answer = await self.answer(Offer.model_validate(offer), data, Ask.model_validate(ask))
        except WsolError as error:
            return None, error
        return answer, None

    async def warm(self, offer: dict[str, Any]) -> str:
        """Load a version and make it answer once; the name of this copy."""
        await self.localizer(Offer.model_validate(offer))
        return self.id


class Catalog:
    """The roster of an endpoint on Ray.

    Args:
        machine, offers: as of `Detector`.
        detectors: the handle of the copies.
    """

    def __init__(
        self, machine: dict[str, Any], offers: list[dict[str, Any]], detectors: Any
    ) -> None:
        settings = _settings(machine)
        self.detectors, self.serving = detectors, settings.serve
        self.roster = Roster([Offer.model_validate(one) for one in offers])
        self.follower = Follower(settings, self.roster, self._warm)
        self._settled = False
        threading.Thread(target=self._start, daemon=True, name="catalog").start()

    def report(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
        """Offers and statuses as JSON, in the same order; and whether they will stay so."""
        settled = self._settled
        return _dumped(self.roster.offers), _dumped(self.roster.statuses()), settled

    def _start(self) -> None:
        for offer in self.roster.offers[: self.serving.max_loaded]:
            self.roster.mark(offer.name, "loading")
            try:
                self._warm(offer)
            except Exception as error:  # a bad model is said, and does not touch the others
                self.roster.mark(offer.name, "failed")
                self.roster.refuse(offer.name, one_line(str(error)))
            else:
                self.roster.mark(offer.name, "ready")
        if any(offer.follows for offer in self.roster.offers):
            self.follower.start(self.serving.follow_s)
        else:
            self._settled = True

    def _warm(self, offer: Offer) -> None:
        """Have all copies load a version.

        A copy cannot be asked by name. So as many are asked at once as there are, of which the
        busy ones are spared; a copy that was missed loads the version with its first request.
        """
        asked = offer.model_dump(mode="json")
        seen, copies = set[str](), self.serving.least_replicas
        for _ in range(ATTEMPTS):
            answers = [self.detectors.warm.remote(asked) for _ in range(copies)]
            seen |= {answer.result(timeout_s=WARM_TIMEOUT_S) for answer in answers}
            if len(seen) >= copies:
                return


class RayHost:
    """Models on Ray; see `Host`.

    Images wait here, not in the handle of Serve: where all copies are full it looks for a free one
    less and less often, up to a second apart, and leaves them idle meanwhile.

    Args:
        detectors, catalog: handles.
    """

    def __init__(self, serving: Serving, detectors: Any, catalog: Any) -> None:
        # Straight to the copy's own port, which wants Ray's token too: of a small network that is
        # a third more answers a second than through Ray's objects (decision 0031).
        self.detectors, self.catalog = detectors.options(_by_reference=False), catalog
        self._turns = asyncio.Semaphore(_room(serving))
        self._offers: dict[str, Offer] = {}
        self._statuses: list[ModelStatus] = []
        self._settled = False
        self._ended = threading.Event()
        # In a thread: a process of Serve runs its constructors where nothing may be waited for.
        threading.Thread(target=self._keep_reading, daemon=True, name="roster").start()

    @property
    def ready(self) -> bool:
        """Whether the default model has passed a real forward pass."""
        return bool(self._statuses) and self._statuses[0].state == "ready"

    async def tried(self) -> None:
        """Wait until the default model can answer, or is known not to."""
        while not self._statuses or self._statuses[0].state not in ("ready", "failed"):
            await asyncio.sleep(0.1)

    def models(self) -> Sequence[ModelStatus]:
        """All models, the default one first."""
        return self._statuses

    async def detect(self, model: str | None, data: bytes, ask: Ask) -> Answer:
        """See `Host`. An image whose copy is lost is sent to another one."""
        offer = self._offer(model)
        handle = self.detectors
        if len(self._offers) > 1:  # to a copy that has the model in memory, where one is free
            handle = handle.options(multiplexed_model_id=offer.info.digest)
        words = offer.model_dump(mode="json"), data, ask.model_dump(mode="json")
        for attempt in range(ATTEMPTS):
            try:
                async with self._turns:
                    answer, error = await handle.detect.remote(*words)
            except Exception as failure:
                if not _is_lost(failure):
                    raise
                await asyncio.sleep(0.1 * (attempt + 1))
                continue
            if error is not None:
                raise error
            found: Answer = answer
            return found
        raise Overloaded("the model's processes were lost while they worked on it; ask again later")

    def _offer(self, name: str | None) -> Offer:
        if not self._offers:
            raise Overloaded("the models are not ready yet; ask again in a second")
        if name is None:
            return next(iter(self._offers.values()))
        if name not in self._offers:
            raise NotFound(unknown_name("model", name, self._offers))
        return self._offers[name]

    def _read_roster(self) -> None:
        offers, statuses, self._settled = self.catalog.report.remote().result(timeout_s=30)
        self._offers = {one["info"]["name"]: Offer.model_validate(one) for one in offers}
        self._statuses = [ModelStatus.model_validate(one) for one in statuses]

    def _keep_reading(self) -> None:
        while not self._ended.wait(SETTLED_S if self._settled else ROSTER_S):
            # While the catalog is started again, what was read holds.
            with suppress(Exception):
                self._read_roster()

    def end(self) -> None:
        """Look at the roster no more."""
        self._ended.set()


def _is_lost(failure: Exception) -> bool:
    """Whether a process of Ray went away, and not the work in it failed.

    Raises:
        Overloaded: too many wait already.
    """
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    if isinstance(failure, BackPressureError):
        raise Overloaded(
            "too many images wait already (serve.max_queue); ask again later"
        ) from None
    return isinstance(failure, RayActorError | DeploymentUnavailableError)


class Gateway:
    """The process that speaks HTTP."""

    def __init__(self, machine: dict[str, Any], detectors: Any, catalog: Any) -> None:
        self.serving = _settings(machine).serve
        self.host = RayHost(self.serving, detectors, catalog)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The interface."""
        from orchestrator.serve.api.app import create_app

        # Requests come only then: they go on to the gateway that was there before.
        app = create_app(self.host, self.serving, self.host.tried)
        app.add_middleware(_NamedByServe)
        return app


class _NamedByServe:
    """Leaves out the request's id in the answer's headers: the proxy of Serve adds it again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def without(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(raw=message["headers"])["X-Request-Id"]
            await send(message)

        await self._app(scope, receive, without)


def copies(machine: Machine, serving: Serving, offers: Sequence[Offer]) -> Any:
    """The catalog, bound to the copies of the models."""
    return _catalog(machine, serving, offers, _detectors(machine, serving, offers))


def application(machine: Machine, serving: Serving, offers: Sequence[Offer]) -> Any:
    """All three deployments, bound: an endpoint behind the proxy of Serve."""
    from ray import serve

    detectors = _detectors(machine, serving, offers)
    return serve.deployment(
        serve.ingress()(Gateway),
        name="Gateway",
        ray_actor_options={"num_cpus": 0},
        # The interface counts its requests itself, and answers those that are too many.
        max_ongoing_requests=4 * serving.max_queue,
        **_ENDING,
    ).bind(
        machine=_as_json(machine, serving),
        detectors=detectors,
        catalog=_catalog(machine, serving, offers, detectors),
    )


def _detectors(machine: Machine, serving: Serving, offers: Sequence[Offer]) -> Any:
    from ray import serve

    return serve.deployment(
        Detector,
        name="Detector",
        ray_actor_options={
            "num_cpus": serving.cpus_per_replica,
            "num_gpus": serving.gpus_per_replica,
        },
        max_ongoing_requests=_ongoing(serving),
        max_queued_requests=serving.max_queue,
        max_constructor_retry_count=1,  # a model that cannot be loaded cannot be loaded again
        health_check_period_s=2.0,
        logging_config={"enable_access_log": False},  # the interface has one
        **_number(serving),
        **_ENDING,
    ).bind(machine=_as_json(machine, serving), offers=_dumped(offers))


def _catalog(machine: Machine, serving: Serving, offers: Sequence[Offer], detectors: Any) -> Any:
    from ray import serve

    return serve.deployment(
        Catalog,
        name="Catalog",
        ray_actor_options={"num_cpus": 0},
        logging_config={"enable_access_log": False},
        **_ENDING,
    ).bind(machine=_as_json(machine, serving), offers=_dumped(offers), detectors=detectors)


_ENDING = {"graceful_shutdown_timeout_s": DRAIN_S, "graceful_shutdown_wait_loop_s": 0.2}


def _as_json(machine: Machine, serving: Serving) -> dict[str, Any]:
    of_machine = machine.model_dump(mode="json", include=set(Machine.model_fields))
    return {**of_machine, "serve": serving.model_dump(mode="json")}


def _ongoing(serving: Serving) -> int:
    """Images that a copy holds: while it works on some, as many are decoded or gather."""
    return 2 * serving.at_once


def _room(serving: Serving) -> int:
    """Images that all copies hold together."""
    return serving.most_replicas * _ongoing(serving)


def _number(serving: Serving) -> dict[str, Any]:
    if isinstance(serving.replicas, int):
        return {"num_replicas": serving.replicas}
    least, most = serving.replicas
    return {
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": most,
            "target_ongoing_requests": serving.at_once,
            "upscale_delay_s": 5.0,
            "downscale_delay_s": 120.0,
        }
    }


def _dumped(models: Sequence[Offer] | Sequence[ModelStatus]) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in models]


def _settings(machine: dict[str, Any]) -> _Hosting:
    return _Hosting.model_validate(machine)


class _Hosting(Machine):
    """The machine, and how its endpoint is."""

    serve: Serving = Serving()
