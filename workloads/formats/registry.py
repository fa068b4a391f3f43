"""Export formats of annotations. Adding one is one file and one line here."""

from workloads.formats.base import Format
from workloads.formats.coco import CocoFormat
from workloads.formats.parquet import ParquetFormat
from workloads.registry import Registry

FORMATS: Registry[type[Format]] = Registry(
    "format", {f.name: f for f in (CocoFormat, ParquetFormat)}
)
