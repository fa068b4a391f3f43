"""Annotation files as PASCAL VOC and ILSVRC write them: one XML for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from workloads.datasets.annotation_checks import Box, check_size, checked_box, number
from workloads.errors import InputRejected, TooLarge
from workloads.records import GroundTruth, Record

MAX_XML_BYTES = 2**20

ToCorners = Callable[[Box], Box]
"""Between corners as a file has them and half-open boxes."""


class Convention(NamedTuple):
    """Pixel convention of a data set's box corners, in both directions."""

    to_half_open: ToCorners
    from_half_open: ToCorners


ONE_BASED_INCLUSIVE = Convention(
    lambda b: (b[0] - 1, b[1] - 1, b[2], b[3]), lambda b: (b[0] + 1, b[1] + 1, b[2], b[3])
)
HALF_OPEN = Convention(lambda b: b, lambda b: b)


def read_objects(
    path: Path,
    width: int,
    height: int,
    label_of: Callable[[str], int],
    convention: Convention,
    *,
    clip: bool,
) -> GroundTruth:
    """The truth in one file.

    Args:
        path: the XML file.
        width, height: of the upright image; a stated size must be the same.
        label_of: `<name>` to class index; raises InputRejected for an unknown one.
        convention: pixel convention of the corners.
        clip: cut boxes that reach beyond the image.

    Raises:
        InputRejected: missing, over 1 MiB or malformed, another image size, no object, an unknown
            class, or a box that is inverted, empty or outside the image. Names the file.
    """
    try:
        root = _parse(path)
        _check_size(root, width, height)
        objects = root.findall("object")
        if not objects:
            raise InputRejected("image without labels: no <object>; add one or unlist the image")
        boxes = [_box(node, width, height, convention, clip=clip) for node in objects]
        labels = [label_of((node.findtext("name") or "").strip()) for node in objects]
        return GroundTruth.from_boxes(
            np.array(boxes, np.float32),
            np.array(labels, np.int32),
            box_difficult=np.array([_flag(node, "difficult") for node in objects], np.bool_),
            box_truncated=np.array([_flag(node, "truncated") for node in objects], np.bool_),
        )
    except InputRejected as error:
        raise type(error)(f"{path.parent.name}/{path.name}: {error}") from None


def objects_xml(record: Record, classes: Sequence[str], convention: Convention) -> bytes:
    """The file of one record: inverse of `read_objects`."""
    root = Element("annotation")
    SubElement(root, "filename").text = f"{record.image_id}.jpg"
    size = SubElement(root, "size")
    for tag, value in (("width", record.width), ("height", record.height), ("depth", 3)):
        SubElement(size, tag).text = str(value)
    truth = record.truth
    for index, label in enumerate(truth.box_labels.tolist()):
        node = SubElement(root, "object")
        SubElement(node, "name").text = classes[label]
        SubElement(node, "truncated").text = str(int(truth.box_truncated[index]))
        SubElement(node, "difficult").text = str(int(truth.box_difficult[index]))
        place = SubElement(node, "bndbox")
        corners = convention.from_half_open(tuple(truth.boxes_xyxy[index].tolist()))
        for tag, corner in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            SubElement(place, tag).text = as_text(corner)
    data: bytes = tostring(root, encoding="utf-8")
    return data


def as_text(value: float) -> str:
    """A number as annotation files have it: whole ones without a point."""
    return str(int(value)) if value == int(value) else repr(value)


def _parse(path: Path) -> Element:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_XML_BYTES + 1)
    except FileNotFoundError:
        raise InputRejected("no such file; add it or unlist the image") from None
    if len(data) > MAX_XML_BYTES:
        raise TooLarge(f"over {MAX_XML_BYTES} bytes; an annotation is a few kilobytes")
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise InputRejected(f"not well-formed XML ({reason}); repair it") from None
    return root


def _check_size(root: Element, width: int, height: int) -> None:
    size = root.find("size")
    if size is not None:
        check_size((_number(size, "width"), _number(size, "height")), width, height, "<size>")


def _box(node: Element, width: int, height: int, convention: Convention, *, clip: bool) -> Box:
    place = node.find("bndbox")
    if place is None:
        raise InputRejected("an <object> has no <bndbox>; add it")
    x0, y0, x1, y1 = (_number(place, tag) for tag in ("xmin", "ymin", "xmax", "ymax"))
    given = f"box xmin={x0:g} ymin={y0:g} xmax={x1:g} ymax={y1:g}"
    corners = convention.to_half_open((x0, y0, x1, y1))
    return checked_box(corners, width, height, clip=clip, given=given)


def _flag(node: Element, tag: str) -> bool:
    text = (node.findtext(tag) or "0").strip()
    if text not in ("0", "1"):
        raise InputRejected(f"<{tag}> is '{text}' (allowed: 0, 1)")
    return text == "1"


def _number(node: Element, tag: str) -> float:
    return number((node.findtext(tag) or "").strip(), f"<{tag}> in <{node.tag}>")
