"""Export formats of annotations. Adding one is one file and one line here."""

from workloads.formats.base import Format
from workloads.formats.coco import CocoFormat, CocoResultsFormat
from workloads.formats.cvat import CvatFormat
from workloads.formats.fiftyone import FiftyOneFormat
from workloads.formats.heatmaps import HeatMapsFormat
from workloads.formats.label_studio import LabelStudioFormat
from workloads.formats.masks import LabelImagesFormat, MasksFormat
from workloads.formats.parquet import ParquetFormat
from workloads.formats.voc import VocFormat
from workloads.formats.yolo import YoloFormat
from workloads.registry import Registry

FORMATS: Registry[type[Format]] = Registry(
    "format",
    {
        f.name: f
        for f in (
            CocoFormat,
            CocoResultsFormat,
            ParquetFormat,
            VocFormat,
            YoloFormat,
            LabelStudioFormat,
            FiftyOneFormat,
            CvatFormat,
            HeatMapsFormat,
            MasksFormat,
            LabelImagesFormat,
        )
    },
)

USUAL = ("coco", "parquet")
"""Formats of an annotation that asks for none."""
