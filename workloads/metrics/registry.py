"""Metrics: what is measured on stored predictions. Adding one is one module and one line here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workloads.metrics.base import Metric
from workloads.metrics.box_f1 import BoxF1
from workloads.metrics.classification import (
    ClassificationMap,
    ClassificationMap11pt,
    Top1Error,
    Top5Error,
)
from workloads.metrics.coco_ap import CocoAp
from workloads.metrics.corloc import Corloc, CorlocAny
from workloads.metrics.detection_ap import VocAp, VocAp11pt
from workloads.metrics.gt_known import GtKnown
from workloads.metrics.max_box_acc import MaxBoxAcc, MaxBoxAccV2
from workloads.metrics.object_energy import ObjectEnergy
from workloads.metrics.options import MetricOptions
from workloads.metrics.pointing import Pointing, PointingDifficult
from workloads.metrics.pointing_prediction import PointingMap, PointingMap11pt
from workloads.metrics.pxap import PxAP
from workloads.metrics.top_k_localization import (
    Top1Localization,
    Top5Localization,
    Top5StarLocalization,
)
from workloads.registry import Registry

METRICS: Registry[type[Metric]] = Registry(
    "metric",
    {
        metric.name: metric
        for metric in (
            ClassificationMap,
            ClassificationMap11pt,
            Top1Error,
            Top5Error,
            Top1Localization,
            Top5Localization,
            Top5StarLocalization,
            GtKnown,
            MaxBoxAcc,
            MaxBoxAccV2,
            PxAP,
            Pointing,
            PointingDifficult,
            PointingMap,
            PointingMap11pt,
            Corloc,
            CorlocAny,
            BoxF1,
            VocAp,
            VocAp11pt,
            CocoAp,
            ObjectEnergy,
        )
    },
)


def build_metrics(
    names: Iterable[str],
    num_classes: int,
    options: MetricOptions | None = None,
    classes: Sequence[str] | None = None,
) -> dict[str, Metric]:
    """Empty accumulators by name.

    Args:
        classes: names of the classes, for options that name some.

    Raises:
        ConfigError: an unknown name; the message has the nearest match and all names. Or a file
            that the options name does not fit the classes.
        NotFound: such a file is missing.
    """
    metrics = {name: METRICS[name](num_classes, options) for name in names}
    for metric in metrics.values():
        if classes is not None:
            metric.use_classes(classes)
    return metrics
