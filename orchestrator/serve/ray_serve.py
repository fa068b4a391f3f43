"""Models on the Serve of a Ray: for as long as a command runs, or from a configuration of Serve."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from orchestrator.config.settings import Machine, Serving
from orchestrator.serve.hosting.offers import Offer, make_offers
from orchestrator.serve.hosting.on_ray import RayHost, application, copies
from orchestrator.serve.listening import listening
from workloads.errors import Conflict, WsolError, one_line

APPLICATION = "wsol"
STOP_TIMEOUT_S = 30.0
_CONTROLLER = "SERVE_CONTROLLER_ACTOR"


@contextmanager
def deployed(
    machine: Machine, serving: Serving, offers: Sequence[Offer]
) -> Iterator[Callable[[], None]]:
    """Copies of the models in the Ray of this process, until the block ends.

    The interface is in this process itself: a proxy of Serve would pass each request, and each
    piece of its body, through two more processes (decision 0031).

    Yields:
        A check for `running`; what goes wrong with loading is raised before.

    Raises:
        Conflict: this Ray serves something already.
        WsolError: the copies do not start.
    """
    _refuse_second()
    try:
        host = _start(machine, serving, offers)
        with listening(host, serving) as check:
            try:
                yield check
            finally:
                host.end()
    finally:
        _stop()


def build(arguments: dict[str, Any]) -> Any:
    """The application of a configuration of Serve that names this function.

    Args:
        arguments: `model`, a folder, NAME@ALIAS or NAME/VERSION; `follow`, whether new champions
            are rolled out; `settings`, all of them as JSON, or `overrides`, those that differ as
            KEY.PATH=VALUE; `host`, the address that Serve listens on, if it is not
            `serve.host`. The workspace is seen by all copies under the same path.

    Raises:
        ConfigError, NotFound, IntegrityError: wrong settings, no such model, or a changed one; or
            an address that others reach without keys.
    """
    from orchestrator.config.settings import Settings, load_settings
    from orchestrator.serve.serve import require_keys

    if (given := arguments.get("settings")) is not None:
        settings = Settings.parse(given, "settings")
    else:
        settings = load_settings(None, tuple(arguments.get("overrides", ())))
    host = str(arguments.get("host", settings.serve.host))
    require_keys(settings.serve.model_copy(update={"host": host}))
    offers = make_offers(
        settings, str(arguments["model"]), settings.serve.models,
        follow=bool(arguments.get("follow", False)),
    )  # fmt: skip
    return application(settings, settings.serve, offers)


def _refuse_second() -> None:
    """Ray has one Serve at most; a second start would quietly replace what runs there."""
    import ray

    with suppress(ValueError):  # there is no such actor
        ray.get_actor(_CONTROLLER, namespace="serve")
        raise Conflict("this Ray serves something already; end that, or use another cluster")


def _start(machine: Machine, serving: Serving, offers: Sequence[Offer]) -> RayHost:
    from ray import serve as ray_serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    ray_serve.start(proxy_location="Disabled")
    try:
        catalog = ray_serve.run(
            copies(machine, serving, offers), name=APPLICATION, route_prefix=None
        )
    except RuntimeError as error:
        raise WsolError(f"the endpoint does not start: {_reason() or error}") from error
    detectors = ray_serve.get_deployment_handle("Detector", APPLICATION)
    return RayHost(serving, detectors, catalog)


def _reason() -> str:
    """The reason why copies do not start: the last line of what Ray says."""
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
