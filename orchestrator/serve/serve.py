"""`wsol serve`: a model over HTTP, until it is told to end."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.config.settings import Machine, Serving
from orchestrator.engine.connect import connect, is_inline
from orchestrator.engine.progress import say
from orchestrator.tracking.registry import fetch_model
from workloads.errors import ConfigError, ResourceError, WsolError
from workloads.files import is_folder
from workloads.models.model import Model
from workloads.storage.addresses import absolute

READY_TIMEOUT_S = 60.0


def serve(machine: Machine, model: str, serving: Serving) -> None:
    """Serve a model until Ctrl-C (raises KeyboardInterrupt) or SIGTERM (returns).

    Args:
        model: a model folder, NAME@ALIAS or NAME/VERSION.

    Raises:
        NotFound, IntegrityError: no such model, or its files were changed.
        ResourceError: the port is taken, or the cluster is too small.
        Conflict: the cluster serves something already.
        ConfigError: `serve.host` is no address of this machine.
        ClusterError: Ray does not start.
    """
    with running(machine, model, serving) as url:
        say(f"wsol: serving {model} at {url}/v1/detect (description: {url}/openapi.json)")
        say("wsol: Ctrl-C ends it")
        _wait_for_sigterm()


@contextmanager
def running(machine: Machine, model: str, serving: Serving) -> Iterator[str]:
    """The base URL of an endpoint that answers; it ends with the block.

    Raises:
        WsolError: as `serve`.
    """
    found = _check(machine, model, serving)
    if not _is_loopback(serving.host):
        say(
            f"wsol: warning: {serving.host} can be reached from other machines, and the endpoint "
            "asks for no password; keep serve.host at 127.0.0.1 or put a proxy in front"
        )
    if is_inline(machine):
        from orchestrator.serve.inline import deployed
    else:
        from orchestrator.serve.ray_serve import deployed
    url = _base_url(serving)
    with connect(machine) as engine:
        each = (serving.cpus_per_replica, serving.gpus_per_replica)
        engine.require(serving.least_replicas, *each, "serve")
        with deployed(found.folder, public_name(model), serving, machine.images):
            _wait_until_ready(url)
            yield url


def public_name(model: str) -> str:
    """The name of a model that clients see: of a folder its own, not where it lies."""
    folder = Path(model).expanduser()
    return absolute(folder).name if is_folder(folder) else model


def _check(machine: Machine, model: str, serving: Serving) -> Model:
    """The model. A wrong model and a taken port are said before anything starts."""
    found = fetch_model(machine, model)
    _check_port(serving)
    return found


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
        raise ConfigError(f"serve.host '{serving.host}': no such address; try 127.0.0.1") from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(
                f"serve.host {serving.host}: not an address of this machine; try 127.0.0.1"
            ) from None
        raise ResourceError(
            f"cannot listen on {where} ({error.strerror}); choose another serve.port "
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
