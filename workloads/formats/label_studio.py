"""Label Studio's pre-annotations: tasks with predictions, and the labelling interface for them.

A box is x, y, width and height in percent of the upright image, as a browser shows it, with its
score; the prediction's own score is the best of them, 0 if there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workloads.artifacts import atomic_folder
from workloads.detections import Detections
from workloads.formats.base import About, AnnotatedImage, Format
from workloads.formats.json_text import ListWriter
from workloads.formats.xml_text import attribute


class LabelStudioFormat(Format):
    """Label Studio tasks with predicted boxes and scores, and the labelling interface."""

    name = "label-studio"
    path = "label-studio"

    def write(self, images: Iterable[AnnotatedImage], about: About, folder: Path) -> Path:
        path = folder / self.path
        with atomic_folder(path) as temporary:
            with (temporary / "tasks.json").open("wb") as out:
                out.write(b"[")
                tasks = ListWriter(out)
                for image in images:
                    tasks.add([_task(image, about)])
                out.write(b"\n]\n")
            interface = _interface(about.classes)
            (temporary / "interface.xml").write_text(interface, encoding="utf-8")
        return path


def _task(image: AnnotatedImage, about: About) -> dict[str, Any]:
    return {
        "data": {
            "image": about.locate(image.file_name),
            "image_id": image.image_id,
            "file_name": image.file_name,
        },
        "predictions": [
            {
                "model_version": about.model,
                "score": max(image.detections.scores.tolist(), default=0.0),
                "result": _regions(image, about.classes),
            }
        ],
    }


def _regions(image: AnnotatedImage, classes: Sequence[str]) -> list[dict[str, Any]]:
    regions = regions_of(image.detections, classes, "label", "image")
    return [{"id": f"{image.image_id}-{index}", **one} for index, one in enumerate(regions)]


def regions_of(
    found: Detections, classes: Sequence[str], from_name: str, to_name: str
) -> list[dict[str, Any]]:
    """Boxes as regions of a labelling interface, without their ids, in percent of the image.

    Args:
        from_name, to_name: names of the control and of the image in the interface.
    """
    across, down = 100 / found.width, 100 / found.height
    columns = (found.labels.tolist(), found.boxes_xyxy.tolist(), found.scores.tolist())
    return [
        {
            "type": "rectanglelabels",
            "from_name": from_name,
            "to_name": to_name,
            "original_width": found.width,
            "original_height": found.height,
            "image_rotation": 0,
            "score": score,
            "value": {
                "x": x0 * across,
                "y": y0 * down,
                "width": (x1 - x0) * across,
                "height": (y1 - y0) * down,
                "rotation": 0,
                "rectanglelabels": [classes[label]],
            },
        }
        for label, (x0, y0, x1, y1), score in zip(*columns, strict=True)
    ]


def _interface(classes: Sequence[str]) -> str:
    labels = "".join(f"    <Label value={attribute(name)}/>\n" for name in classes)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}  </RectangleLabels>\n</View>\n'
    )
