"""Metrics: what is measured on stored predictions."""

from __future__ import annotations

from collections.abc import Iterable

from workloads.metrics.base import Evaluated, Metric, MetricOptions, MetricResult
from workloads.metrics.box_f1 import BoxF1
from workloads.metrics.classification import ClassificationMap
from workloads.metrics.gt_known import GtKnown
from workloads.metrics.max_box_acc import MaxBoxAccV2
from workloads.metrics.pointing import Pointing
from workloads.registry import Registry

__all__ = ["METRICS", "Evaluated", "Metric", "MetricOptions", "MetricResult", "build_metrics"]

METRICS: Registry[type[Metric]] = Registry(
    "metric",
    {m.name: m for m in (ClassificationMap, GtKnown, MaxBoxAccV2, Pointing, BoxF1)},
)


def build_metrics(
    names: Iterable[str], num_classes: int, options: MetricOptions | None = None
) -> dict[str, Metric]:
    """Empty accumulators by name.

    Raises:
        ConfigError: an unknown name; the message has the nearest match and all names.
    """
    return {name: METRICS[name](num_classes, options) for name in names}
