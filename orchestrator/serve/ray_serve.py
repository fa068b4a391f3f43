"""A model on Ray Serve: replicas in processes of their own, behind one proxy.

One deployment holds the interface (see `endpoint`) and the model (see `replica`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Serving
from orchestrator.serve.replica import Answer, Replica, Shrunk
from workloads.errors import Conflict, WsolError, one_line
from workloads.images.decode import ImageLimits

APPLICATION = "wsol"
# How long a replica may finish its requests after the endpoint was told to end.
DRAIN_S = 5.0
STOP_TIMEOUT_S = 30.0
_CONTROLLER = "SERVE_CONTROLLER_ACTOR"


class RayReplica(Replica):
    """A replica that gathers the images of requests that come at the same time into one batch."""

    def __init__(
        self, model: str, name: str, serving: dict[str, Any], limits: dict[str, Any]
    ) -> None:
        from ray.serve import batch

        options = Serving(**serving)
        self._batched = batch(
            max_batch_size=options.max_batch_size, batch_wait_timeout_s=options.batch_wait_s
        )(self.detect_batch)
        # Ray sends requests here only after the constructor: the first user waits for nothing.
        super().__init__(Path(model), name, options, ImageLimits(**limits))

    async def detect_one(self, image: Shrunk) -> Answer:
        """In a batch with others."""
        answer: Answer = await self._batched(image)
        return answer


@contextmanager
def deployed(folder: Path, name: str, serving: Serving, limits: ImageLimits) -> Iterator[None]:
    """A model in the Ray of this process, until the block ends.

    Raises:
        Conflict: this Ray serves something already.
        WsolError: the replicas do not start.
    """
    _refuse_second()
    try:
        _start(folder, name, serving, limits)
        yield
    finally:
        _stop()


def build(arguments: dict[str, Any]) -> Any:
    """The application of a model, for a Serve whose configuration names this function.

    Args:
        arguments: `model`, a folder, NAME@ALIAS or NAME/VERSION; `overrides`, settings as
            KEY.PATH=VALUE. The workspace is seen by all replicas under the same path.

    Raises:
        ConfigError, NotFound, IntegrityError: wrong settings, no such model, or a changed one.
    """
    from orchestrator.config.settings import load_settings
    from orchestrator.serve.serve import public_name
    from orchestrator.tracking.registry import fetch_model

    settings = load_settings(None, tuple(arguments.get("overrides", ())))
    model = str(arguments["model"])
    folder = fetch_model(settings, model).folder
    return _application(folder, public_name(model), settings.serve, settings.images)


def _refuse_second() -> None:
    """Ray has one Serve at most; a second start would quietly replace what runs there."""
    import ray

    with suppress(ValueError):  # there is no such actor
        ray.get_actor(_CONTROLLER, namespace="serve")
        raise Conflict("this Ray serves something already; end that, or use another cluster")


def _start(folder: Path, name: str, serving: Serving, limits: ImageLimits) -> None:
    from ray import serve as ray_serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    ray_serve.start(
        proxy_location="HeadOnly",
        http_options={
            "host": serving.host,
            "port": serving.port,
            "request_timeout_s": serving.request_timeout_s,
        },
    )
    application = _application(folder, name, serving, limits)
    try:
        ray_serve.run(application, name=APPLICATION, route_prefix="/")
    except RuntimeError as error:
        raise WsolError(f"the endpoint does not start: {_reason() or error}") from error


def _reason() -> str:
    """The reason why replicas do not start: the last line of what Ray says."""
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


def _application(folder: Path, name: str, serving: Serving, limits: ImageLimits) -> Any:
    from ray import serve as ray_serve

    deployment = ray_serve.deployment(
        ray_serve.ingress()(RayReplica),
        name="Detector",
        num_replicas=serving.least_replicas,
        ray_actor_options={
            "num_cpus": serving.cpus_per_replica,
            "num_gpus": serving.gpus_per_replica,
        },
        # One batch computes while the next one gathers; with less, batches never fill.
        max_ongoing_requests=2 * serving.max_batch_size,
        max_queued_requests=serving.max_queue,
        graceful_shutdown_timeout_s=DRAIN_S,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=1,  # a model that cannot be loaded cannot be loaded again
    )
    return deployment.bind(
        model=str(folder),
        name=name,
        serving=serving.model_dump(),
        limits=limits.model_dump(),
    )
