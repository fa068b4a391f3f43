"""Serve a model over HTTP with Ray Serve.

One deployment holds the interface (see `endpoint`) and the model (see `replica`).
"""

from __future__ import annotations

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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Serving, Settings
from orchestrator.engine.cluster import connect, require
from orchestrator.serve.replica import Replica
from orchestrator.tracking.registry import fetch_model
from workloads.errors import ClusterError, ConfigError, Conflict, ResourceError, WsolError, one_line

APPLICATION = "wsol"
READY_TIMEOUT_S = 60.0
# How long a replica may finish its requests after the endpoint was told to end.
DRAIN_S = 5.0
STOP_TIMEOUT_S = 30.0
_CONTROLLER = "SERVE_CONTROLLER_ACTOR"


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

    application = ray_serve.status().applications.get(APPLICATION)
    messages = [d.message for d in application.deployments.values()] if application else []
    lines = [line for message in messages for line in message.splitlines() if line.strip()]
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
