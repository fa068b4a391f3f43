"""`wsol serve`: models over HTTP, until it is told to end."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.config.settings import Machine, Serving
from orchestrator.engine.connect import connect, is_inline
from orchestrator.engine.progress import say
from orchestrator.serve.hosting.offers import make_offers
from workloads.errors import ConfigError, ResourceError, WsolError

READY_TIMEOUT_S = 120.0


def serve(machine: Machine, model: str, serving: Serving, *, follow: bool = False) -> None:
    """Serve models until Ctrl-C (raises KeyboardInterrupt) or SIGTERM (returns).

    Args:
        model: the default one: a model folder, NAME@ALIAS or NAME/VERSION.
        serving: names the others.
        follow: whether a new version under an alias is rolled out.

    Raises:
        NotFound, IntegrityError: no such model, or its files were changed.
        ResourceError: the port is taken, or the cluster is too small.
        Conflict: the cluster serves something already.
        ConfigError: `serve.host` is no address of this machine, or open to others without keys.
        ClusterError: Ray does not start.
    """
    with running(machine, model, serving, follow=follow) as url:
        say(f"wsol: serving {model} at {url} (a page; {url}/v1/detect for programs, {url}/docs)")
        say("wsol: Ctrl-C ends it")
        _wait_for_sigterm()


@contextmanager
def running(
    machine: Machine, model: str, serving: Serving, *, follow: bool = False
) -> Iterator[str]:
    """The base URL of an endpoint that answers; it ends with the block.

    Raises:
        WsolError: as `serve`.
    """
    offers = make_offers(machine, model, serving.models, follow=follow)
    require_keys(serving)
    _check_port(serving)
    if is_inline(machine):
        from orchestrator.serve.inline import deployed
    else:
        from orchestrator.serve.ray_serve import deployed
    url = base_url(serving)
    with connect(machine) as engine:
        each = (serving.cpus_per_replica, serving.gpus_per_replica)
        engine.require(serving.least_replicas, *each, "serve")
        with deployed(machine, serving, offers) as check:
            _wait_until_ready(url, check)
            yield url


def require_keys(serving: Serving) -> None:
    """Refuse an address that others reach without a key.

    Raises:
        ConfigError: with how to make a key.
    """
    if serving.keys_file is None and not _is_loopback(serving.host):
        raise ConfigError(
            f"serve.host {serving.host}: can be reached from other machines, and no API keys are "
            "set; make one with 'wsol keys add NAME --file KEYS' and set serve.keys_file, or keep "
            "127.0.0.1"
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


def base_url(serving: Serving) -> str:
    """The address of an endpoint as this machine reaches it."""
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
    host = every.get(serving.host, serving.host)
    return f"http://[{host}]:{serving.port}" if ":" in host else f"http://{host}:{serving.port}"


def _wait_until_ready(url: str, check: Callable[[], None]) -> None:
    give_up = time.monotonic() + READY_TIMEOUT_S
    while not _is_ready(url):
        check()
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
