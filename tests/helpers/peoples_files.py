"""Trees of files as people and their tools write them, and what ingestion makes of them."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from ingesting import read_rows
from PIL import Image

from workloads.datasets.base import Dataset
from workloads.datasets.registry import open_dataset
from workloads.datasets.remarks import is_lenient, reading
from workloads.images.decode import ImageLimits
from workloads.records import Record
from workloads.shards.quarantine import Quarantined
from workloads.shards.write import ingest_shard, split_duplicates

WIDTH, HEIGHT = 64, 48
BOX = [5, 5, 20, 20]
CATS = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
ORIENTATION = 0x0112


def picture(width: int = WIDTH, height: int = HEIGHT, orientation: int = 1) -> bytes:
    """A grey JPEG."""
    stream = io.BytesIO()
    image = Image.new("RGB", (width, height), (120, 90, 60))
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    image.save(stream, "JPEG", **({"exif": exif} if orientation != 1 else {}))
    return stream.getvalue()


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def coco(
    root: Path, *, file: str = "annotations/instances_train2017.json", **changes: Any
) -> dict[str, Any]:
    """A COCO file of four images with a cat each; `changes` replace arrays."""
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT}
            for n in range(1, 5)
        ],
        "annotations": [
            {"id": 10 + n, "image_id": n, "category_id": 1, "bbox": BOX, "iscrowd": 0}
            for n in range(1, 5)
        ],
        "categories": CATS,
        **changes,
    }
    put(root / file, json.dumps(content))
    return content


def pictures(folder: Path, *names: str) -> None:
    for name in names or tuple(f"{n}.jpg" for n in range(1, 5)):
        put(folder / name, picture())


def xml(*objects: str, size: tuple = (WIDTH, HEIGHT), head: str = "<annotation>") -> str:
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"{head}{sides}{''.join(objects)}</annotation>"


def cat(name: str = "cat", extra: str = "", box: tuple = (6, 6, 25, 25)) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def voc(root: Path, *bodies: str | bytes, suffix: str = ".jpg") -> Path:
    """A VOC tree with an image for each annotation, called 1, 2, ..."""
    names = [str(n) for n in range(1, len(bodies) + 1)]
    put(root / "ImageSets/Main/train.txt", "".join(f"{name}\n" for name in names))
    for name, body in zip(names, bodies, strict=True):
        put(root / f"Annotations/{name}.xml", body)
        put(root / f"JPEGImages/{name}{suffix}", picture())
    return root


class Ingested:
    """What came of the split train."""

    def __init__(self, dataset: Dataset, out: Path, split: str, *, strict: bool) -> None:
        with reading(strict=strict) as remarks:
            items, repeated = split_duplicates(dataset.items(split))
            self.classes = dataset.classes
        path = out / "0.parquet"
        out.mkdir(exist_ok=True)
        result = ingest_shard(dataset, items, path, ImageLimits(), strict=strict)
        self.records: list[Record] = read_rows(path)
        self.quarantined: list[Quarantined] = repeated + result.quarantined
        self.remarks = remarks + Counter(result.remarks)

    def boxes(self) -> list[list[list[float]]]:
        return [record.truth.boxes_xyxy.tolist() for record in self.records]

    def lenient(self) -> int:
        return sum(count for text, count in self.remarks.items() if is_lenient(text))


def ingest(
    name: str,
    root: Path,
    options: dict | None = None,
    *,
    split: str = "train",
    strict: bool = False,
) -> Ingested:
    dataset = open_dataset(name, root, options)
    return Ingested(dataset, root.parent / f"{root.name}-out", split, strict=strict)


HALF_OPEN = [5.0, 5.0, 25.0, 25.0]
