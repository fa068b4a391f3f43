"""The work that all interfaces share: images of a request, asked of the host, within limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from orchestrator.config.settings import Serving
from orchestrator.serve.api.errors import Refused
from orchestrator.serve.api.guard.fetch import Fetcher
from orchestrator.serve.api.guard.work import Job, Work
from orchestrator.serve.api.host import Answer, Ask, Host, ModelInfo, ModelStatus
from orchestrator.serve.api.uploads import Upload
from orchestrator.serve.api.watch.trace import trace_of
from workloads.errors import NotFound, unknown_name


class Service:
    """A host behind the limits.

    Attributes:
        max_images: of one request.
    """

    def __init__(self, host: Host, serving: Serving, work: Work) -> None:
        self.host, self.max_images = host, serving.max_images
        self.fetcher = Fetcher(serving.fetch_from, serving.request_timeout_s)
        self._work = work

    @contextmanager
    def job(self, request: Request) -> Iterator[Job]:
        """A place among the requests in work.

        Raises:
            Refused: there are too many.
        """
        with self._work.job(trace_of(request.scope)) as job:
            yield job

    def find(self, name: str, version: str | None = None) -> ModelStatus:
        """A model by its name.

        Raises:
            Refused: there is none.
        """
        models = self.host.models()
        for model in models:
            if model.info.name == name and version in (None, "", model.info.version):
                return model
        names = [model.info.name for model in models]
        if name in names:
            raise Refused(
                "unknown_model", f"'{name}' is not served as version '{version}'", "see /v1/models"
            )
        raise Refused("unknown_model", unknown_name("model", name, names), "see /v1/models")

    def classes_of(self, info: ModelInfo) -> tuple[str, ...]:
        """Names of the classes of the model that answered, by its content if it is still here."""
        models = self.host.models()
        same = [m for m in models if m.info.digest == info.digest]
        return next(m.classes for m in (*same, *models) if m.info.name == info.name or m in same)

    async def answer(self, job: Job, model: str | None, upload: Upload, ask: Ask) -> Answer:
        """The answer about one image; the trace of the request learns who answered and how long it took.

        Raises:
            Refused: there is no such model, or the image cannot be fetched.
            WsolError: as `Host.detect`.
        """
        data = upload.data
        if upload.address is not None:
            data = await self.fetcher.fetch(upload.address, job.max_bytes)
            job.hold(len(data))
        try:
            async with job.turns:
                answer = await self.host.detect(model, data, ask)
        except NotFound as error:
            raise Refused("unknown_model", str(error), "see /v1/models") from None
        job.trace.model, job.trace.version = answer.model.name, answer.model.version or ""
        for phase, seconds in answer.seconds.items():
            job.trace.add(phase, seconds)
        return answer
