"""Annotation files as PASCAL VOC and ILSVRC write them: one XML for each image."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from workloads.datasets.annotation_checks import check_size, naming
from workloads.datasets.base import NO_FILE
from workloads.datasets.boxes import (
    FROM_OUTLINE,
    BadBox,
    Box,
    BoxRules,
    Objects,
    checked_box,
    corner,
)
from workloads.datasets.remarks import lenient
from workloads.datasets.values import odd_flag, side
from workloads.errors import InputRejected, TooLarge
from workloads.files import is_file, open_bytes
from workloads.records import GroundTruth, Record

MAX_XML_BYTES = 2**20

_DECLARATION = re.compile(rb"""\s*<\?xml[^>]*?encoding=(["'])([^"']+)\1[^>]*\?>""")
_MULTI_BYTE = {
    b"gb2312": "gb18030",
    b"gbk": "gb18030",
    b"gb18030": "gb18030",
    b"big5": "big5hkscs",
    b"shift_jis": "cp932",
    b"euc-jp": "euc_jp",
    b"euc-kr": "cp949",
}
_COORDINATE = re.compile(r"[xy]\d*")

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
    rules: BoxRules,
) -> GroundTruth:
    """The truth in one file; none of its classes if it has no object.

    Args:
        path: the XML file.
        width, height: of the image; a stated size must be the same.
        label_of: `<name>` to class index; raises InputRejected for an unknown one.
        convention: pixel convention of the corners.
        rules: what becomes of bad boxes.

    Raises:
        InputRejected: missing, over 1 MiB or malformed, another image size, an unknown class, or
            bad boxes that cost the image. Names the file.
    """
    with naming(f"{path.parent.name}/{path.name}"):
        root = _parse(path)
        _check_size(root, width, height)
        objects = Objects(rules)
        for node in root.findall("object"):
            objects.add(
                label_of((node.findtext("name") or "").strip()),
                partial(_box, node, width, height, convention, clip=rules.clip),
                difficult=_flag(node, "difficult"),
                truncated=_flag(node, "truncated"),
            )
        return objects.truth()


def check_file(path: Path, width: int, height: int) -> None:
    """Compare the size that a file states with the image's; one that is not there says nothing.

    Raises:
        InputRejected: as `read_objects` does, its objects aside.
    """
    if is_file(path):
        with naming(f"{path.parent.name}/{path.name}"):
            _check_size(_parse(path), width, height)


def class_names(path: Path) -> list[str]:
    """Names of the objects in a file; none of one that cannot be read, which is said later."""
    try:
        root = _parse(path)
    except InputRejected:
        return []
    return [(node.findtext("name") or "").strip() for node in root.findall("object")]


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
        for tag, edge in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            SubElement(place, tag).text = as_text(edge)
    data: bytes = tostring(root, encoding="utf-8")
    return data


def as_text(value: float) -> str:
    """A number as annotation files have it: whole ones without a point."""
    return str(int(value)) if value == int(value) else repr(value)


def _parse(path: Path) -> Element:
    """The root; names are those without a namespace."""
    try:
        with open_bytes(path) as stream:
            data = stream.read(MAX_XML_BYTES + 1)
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        raise InputRejected("no such file; add it or unlist the image") from None
    if len(data) > MAX_XML_BYTES:
        raise TooLarge(f"over {MAX_XML_BYTES} bytes; an annotation is a few kilobytes")
    try:
        root: Element = fromstring(_readable(data), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise InputRejected(f"not well-formed XML ({reason}); repair it") from None
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
    return root


def _readable(data: bytes) -> bytes:
    """The file as UTF-8 if it declares an encoding of several bytes, which the parser lacks."""
    declared = _DECLARATION.match(data)
    if declared is None or declared[2].lower() not in _MULTI_BYTE:
        return data
    body = data[declared.end() :]
    try:
        body.decode("utf-8")  # some tools declare one and write the other
    except UnicodeDecodeError:
        body = body.decode(_MULTI_BYTE[declared[2].lower()]).encode()
    return body


def _check_size(root: Element, width: int, height: int) -> None:
    size = root.find("size")
    if size is not None:
        stated = (side(size.findtext("width")), side(size.findtext("height")))
        check_size(stated, width, height, "<size>")


def _box(node: Element, width: int, height: int, convention: Convention, *, clip: bool) -> Box:
    place = node.find("bndbox")
    if place is None:
        x0, y0, x1, y1 = _around(node)
    else:
        x0, y0, x1, y1 = (_number(place, tag) for tag in ("xmin", "ymin", "xmax", "ymax"))
    given = f"box xmin={x0:g} ymin={y0:g} xmax={x1:g} ymax={y1:g}"
    corners = convention.to_half_open((x0, y0, x1, y1))
    return checked_box(corners, width, height, clip=clip, given=given)


def _around(node: Element) -> Box:
    """The box around the points of an object's polygon, x1, y1, ... or x, y in each point."""
    without = BadBox("an <object> has no <bndbox>; add it")
    polygon = node.find("polygon")
    if polygon is None:
        raise without
    xs, ys = (
        [_number_of(p) for p in polygon.iter() if _COORDINATE.fullmatch(p.tag) and p.tag[0] == axis]
        for axis in "xy"
    )
    if not xs or not ys:
        raise without
    lenient(FROM_OUTLINE, without)
    return min(xs), min(ys), max(xs), max(ys)


def _flag(node: Element, tag: str) -> bool:
    text = (node.findtext(tag) or "0").strip()
    return text == "1" if text in ("0", "1") else odd_flag(text, f"<{tag}>")


def _number(node: Element, tag: str) -> float:
    return corner((node.findtext(tag) or "").strip(), f"<{tag}> in <{node.tag}>")


def _number_of(node: Element) -> float:
    return corner((node.text or "").strip(), f"<{node.tag}>")
