"""Serve a model over HTTP with Ray Serve.

One deployment holds the interface (see `endpoint`) and the model; each replica gathers the
images of requests that come at the same time into one batch. Its boxes are those of `annotate`.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray

from orchestrator.cluster import connect, require
from orchestrator.endpoint import ModelInfo, create_app
from orchestrator.register import fetch_model
from orchestrator.settings import Serving, Settings
from orchestrator.text import one_line
from workloads.detections import Detections
from workloads.errors import ClusterError, ConfigError, Conflict, ResourceError, WsolError
from workloads.images import ImageLimits, decode, resize_square
from workloads.localizer import Localizer

APPLICATION = "wsol"
READY_TIMEOUT_S = 60.0
# How long a replica may finish its requests after the endpoint was told to end.
DRAIN_S = 5.0
STOP_TIMEOUT_S = 30.0
_CONTROLLER = "SERVE_CONTROLLER_ACTOR"

Answer = tuple[bool, Detections | Exception]


def serve(settings: Settings, model: str, block: bool = True) -> str:
    """Serve a model until Ctrl-C (raises KeyboardInterrupt) or SIGTERM (returns).

    Args:
        model: a model folder, NAME@ALIAS or NAME/VERSION.
        block: false leaves the endpoint in the Ray that this process has started before, and
            returns at once.

    Returns:
        The base URL.

    Raises:
        NotFound, IntegrityError: no such model, or its files were changed.
        ResourceError: the port is taken, or the cluster is too small.
        Conflict: the cluster serves something already.
        ConfigError: `serving.host` is no address of this machine.
        ClusterError: Ray does not start, or is not there for `block=False`.
    """
    if not block:
        import ray

        if not ray.is_initialized():
            raise ClusterError("serve with block=False: start Ray in this process before")
        folder = _check(settings, model)
        _refuse_second()
        return _start(settings, folder, model)
    with running(settings, model) as url:
        _say(f"serving {model} at {url}/v1/detect (description: {url}/openapi.json)")
        _say("Ctrl-C ends it")
        _wait_for_sigterm()
    return url


@contextmanager
def running(settings: Settings, model: str) -> Iterator[str]:
    """The base URL of an endpoint that answers; it ends with the block.

    Raises:
        WsolError: as `serve`.
    """
    folder = _check(settings, model)
    with connect(settings):
        _refuse_second()
        try:
            yield _start(settings, folder, model)
        finally:
            _stop()


class Shrunk(NamedTuple):
    """An image as the network takes it: a photograph waits for its batch as a few kilobytes.

    Attributes:
        pixels: (S, S, 3) uint8.
        size: width and height of the upright image, to which boxes refer.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


class Replica:
    """One copy of the model with its HTTP interface, in a process of its own."""

    def __init__(
        self, model: str, name: str, serving: dict[str, Any], limits: dict[str, Any]
    ) -> None:
        from ray.serve import batch

        options = Serving(**serving)
        threads = max(1, int(options.cpus_per_replica))
        self.localizer = Localizer.load(
            Path(model), device="cuda" if options.gpus_per_replica else "cpu", threads=threads
        )
        card = self.localizer.card
        self.info = ModelInfo(
            name=name, digest=self.localizer.digest, method=card.method, backbone=card.backbone
        )
        self.classes = card.classes
        self.max_body_bytes = int(options.max_request_mb * 2**20)
        self.ready = False
        self._limits = ImageLimits(**limits)
        self._suspect = False
        # Off the event loop, so that other requests are heard; few, as each decoded photograph
        # takes up to 3 bytes x images.max_pixels.
        self._decoders = ThreadPoolExecutor(threads, "decode")
        self._batched = batch(
            max_batch_size=options.max_batch_size, batch_wait_timeout_s=options.batch_wait_s
        )(self._detect_batch)
        # Ray sends requests here only after the constructor: the first user waits for nothing.
        self.localizer.warm_up()
        self.ready = True

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The interface of this replica."""
        return create_app(self)

    async def detect(self, data: bytes) -> Detections:
        """Boxes of one image file.

        Raises:
            InputRejected: it cannot be used.
        """
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(self._decoders, self._shrink, data)
        _, answer = await self._batched(image)
        if isinstance(answer, Exception):
            raise answer
        found: Detections = answer
        return found

    async def check_health(self) -> None:
        """After a failed forward pass, try one; if that fails too, Ray replaces the replica."""
        if self._suspect:
            await asyncio.to_thread(self.localizer.warm_up)
            self._suspect = False

    def _shrink(self, data: bytes) -> Shrunk:
        image = decode(data, self._limits)
        height, width = image.shape[:2]
        # As the localizer itself would do it: the boxes stay those of `annotate`.
        pixels = resize_square(image, self.localizer.card.preprocessing.size)
        return Shrunk(pixels, (width, height))

    async def _detect_batch(self, images: list[Shrunk]) -> list[Answer]:
        answers = await asyncio.to_thread(detect_each, self.localizer, images)
        self._suspect |= any(not ok for ok, _ in answers)
        return answers


def detect_each(localizer: Localizer, images: list[Shrunk]) -> list[Answer]:
    """(True, boxes) or (False, error) of each image: Ray does not raise errors in such a list.

    One image must not fail the requests that happened to come with it, so images of a failed
    batch are tried one by one.
    """
    try:
        found = localizer.detect([i.pixels for i in images], [i.size for i in images])
        return [(True, detections) for detections in found]
    except Exception as error:
        if len(images) == 1:
            return [(False, error)]
    return [detect_each(localizer, [image])[0] for image in images]


def _check(settings: Settings, model: str) -> Path:
    """The model's folder. A wrong model and a taken port are said before Ray starts."""
    folder = fetch_model(settings, model)
    _check_port(settings.serving)
    return folder


def _refuse_second() -> None:
    """Ray has one Serve at most; a second start would quietly replace what runs there."""
    import ray

    with suppress(ValueError):  # there is no such actor
        ray.get_actor(_CONTROLLER, namespace="serve")
        raise Conflict("this Ray serves something already; end that, or use another cluster")


def _start(settings: Settings, folder: Path, name: str) -> str:
    """Deploy in the Ray of this process; the base URL, once it answers."""
    from ray import serve as ray_serve

    serving = settings.serving
    if not _is_loopback(serving.host):
        _say(
            f"warning: {serving.host} can be reached from other machines, and the endpoint asks "
            "for no password; keep serving.host at 127.0.0.1 or put a proxy in front"
        )
    require(serving.replicas, serving.cpus_per_replica, serving.gpus_per_replica, "serving")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    ray_serve.start(
        proxy_location="HeadOnly",
        http_options={
            "host": serving.host,
            "port": serving.port,
            "request_timeout_s": serving.request_timeout_s,
        },
    )
    try:
        ray_serve.run(
            _application(settings, folder, name),
            name=APPLICATION,
            route_prefix="/",
        )
    except RuntimeError as error:
        raise WsolError(f"the endpoint does not start: {_reason() or error}") from error
    url = _base_url(serving)
    _wait_until_ready(url)
    return url


def _reason() -> str:
    """Why the replicas do not start: the last line of what Ray says."""
    from ray import serve as ray_serve

    deployments = ray_serve.status().applications[APPLICATION].deployments.values()
    lines = [line for d in deployments for line in d.message.splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def _stop() -> None:
    """End Serve, once running requests are answered.

    `serve.shutdown` waits for an answer of the controller, which never answers but ends; Ray
    then shows that as an error. So the controller is told, and its end awaited, before.
    """
    import ray
    from ray import serve as ray_serve

    with suppress(ValueError, ray.exceptions.RayError):  # there is no such actor (any more)
        controller = ray.get_actor(_CONTROLLER, namespace="serve")
        ray.get(controller.graceful_shutdown.remote(wait=False))
        give_up = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < give_up:
            ray.get_actor(_CONTROLLER, namespace="serve")
            time.sleep(0.05)
    ray_serve.shutdown()


def _application(settings: Settings, folder: Path, name: str) -> Any:
    from ray import serve as ray_serve

    serving = settings.serving
    deployment = ray_serve.deployment(
        ray_serve.ingress()(Replica),
        name="Detector",
        num_replicas=serving.replicas,
        ray_actor_options={
            "num_cpus": serving.cpus_per_replica,
            "num_gpus": serving.gpus_per_replica,
        },
        # One batch computes while the next one gathers; with less, batches never fill.
        max_ongoing_requests=2 * serving.max_batch_size,
        max_queued_requests=serving.max_queue,
        graceful_shutdown_timeout_s=DRAIN_S,
        graceful_shutdown_wait_loop_s=0.2,
    )
    return deployment.bind(
        model=str(folder),
        name=name,
        serving=serving.model_dump(),
        limits=settings.images.model_dump(),
    )


def _check_port(serving: Serving) -> None:
    """Serve would report a taken port only in a log, after half a minute of retries."""
    where = f"{serving.host}:{serving.port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            serving.host, serving.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            # As the server does: connections that ended lately do not occupy a port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise ConfigError(
            f"serving.host '{serving.host}': no such address; try 127.0.0.1"
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(
                f"serving.host {serving.host}: not an address of this machine; try 127.0.0.1"
            ) from None
        raise ResourceError(
            f"cannot listen on {where} ({error.strerror}); choose another serving.port "
            "(--port) or end what listens there"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _base_url(serving: Serving) -> str:
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
    host = every.get(serving.host, serving.host)
    return f"http://[{host}]:{serving.port}" if ":" in host else f"http://{host}:{serving.port}"


def _wait_until_ready(url: str) -> None:
    give_up = time.monotonic() + READY_TIMEOUT_S
    while not _is_ready(url):
        if time.monotonic() > give_up:
            raise WsolError(
                f"{url}/readyz: not ready after {READY_TIMEOUT_S:g} s; "
                "end any other Ray Serve of this cluster"
            )
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    # Never through a proxy: the address is this machine's.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _wait_for_sigterm() -> None:
    told = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    try:
        while not told:
            time.sleep(0.2)
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(line: str) -> None:
    sys.stderr.write(f"wsol: {line}\n")
    sys.stderr.flush()
