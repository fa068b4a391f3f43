"""Metrics for Prometheus, of this process alone, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from orchestrator.serve.api.guard.work import Work
from orchestrator.serve.api.host import Host, ModelStatus
from orchestrator.serve.api.watch.trace import Trace

PHASES = ("read", "queue", "decode", "forward", "boxes", "total")

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_INFO = ("name", "version", "digest", "method", "backbone", "reference", "state")


class Metrics:
    """Counts of requests, their time by phase, and what is held now."""

    def __init__(self, work: Work, host: Host) -> None:
        self._registry = CollectorRegistry()
        labels = ("route", "method", "status", "model", "version")
        self._requests = Counter(
            "wsol_requests", "Requests that were answered", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "wsol_request_seconds",
            "Seconds of each phase of a request",
            ("phase", "model"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._rejected = Counter(
            "wsol_rejected", "Requests answered with an error", ("reason",), registry=self._registry
        )
        self._in_flight = Gauge(
            "wsol_requests_in_flight", "Requests that are being answered", registry=self._registry
        )
        working = Gauge("wsol_requests_in_work", "Requests in work", registry=self._registry)
        working.set_function(lambda: work.running)
        held = Gauge("wsol_held_bytes", "Bytes of bodies in memory", registry=self._registry)
        held.set_function(lambda: work.held)
        self._registry.register(_Models(host))
        ProcessCollector(registry=self._registry)

    def begun(self) -> None:
        """Count a request that has begun."""
        self._in_flight.inc()

    def done(self, trace: Trace, route: str) -> None:
        """Count a request that is over."""
        self._in_flight.dec()
        status = str(trace.status or "none")  # none: the client left before the answer
        method = trace.method if trace.method in _METHODS else "other"
        self._requests.labels(route, method, status, trace.model, trace.version).inc()
        if trace.code:
            self._rejected.labels(trace.code).inc()
        if trace.model:
            for phase, seconds in {**trace.seconds, "total": trace.total_s}.items():
                if phase in PHASES:
                    self._seconds.labels(phase, trace.model).observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)


_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH")


class _Models:
    """The models that there are when somebody asks, so that one that left is gone."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def describe(self) -> Iterable[Metric]:
        """Nothing: it would need the models before they are there."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One series of value 1 for each model, and whether the endpoint is ready."""
        models: Sequence[ModelStatus] = self._host.models()
        info = GaugeMetricFamily("wsol_model_info", "Models of this endpoint", labels=_INFO)
        for model in models:
            facts = {**model.info.model_dump(), "reference": model.reference, "state": model.state}
            info.add_metric([str(facts[name] or "") for name in _INFO], 1)
        yield info
        ready = GaugeMetricFamily("wsol_ready", "1 if the default model can answer")
        ready.add_metric([], float(self._host.ready))
        yield ready
