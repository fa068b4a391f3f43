"""Boxes drawn in the stored or in the upright image of a camera."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from peoples_files import (
    HALF_OPEN,
    HEIGHT,
    ORIENTATION,
    WIDTH,
    cat,
    coco,
    ingest,
    picture,
    put,
    voc,
    xml,
)
from PIL import Image


def stored_and_upright(orientation: int) -> tuple[np.ndarray, list[int]]:
    """Pixels as stored with a white rectangle, and the rectangle's box in the upright image.

    Worked out with Pillow's own transposition, independent of the reader.
    """
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[5:15, 7:31] = 255
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }[orientation]
    upright = np.asarray(Image.fromarray(pixels).transpose(turn))[..., 0]
    ys, xs = np.nonzero(upright)
    return pixels, [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("layout", ["coco2017", "voc2007", "wsolevaluation"])
def test_boxes_are_turned_with_the_image(tmp_path: Path, orientation: int, layout: str) -> None:
    pixels, expected = stored_and_upright(orientation)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    stream = io.BytesIO()
    image.save(stream, "JPEG", exif=exif)
    root = tmp_path / "tree"
    if layout == "coco2017":
        note = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [7, 5, 24, 10], "iscrowd": 0}
        coco(
            root,
            images=[{"id": 1, "file_name": "1.jpg", "width": 64, "height": 48}],
            annotations=[note],
        )
        put(root / "train2017/1.jpg", stream.getvalue())
    elif layout == "voc2007":
        voc(root, xml(cat(box=(8, 6, 31, 15))))
        put(root / "JPEGImages/1.jpg", stream.getvalue())
    else:
        put(root / "train/image_ids.txt", "a.jpg\n")
        put(root / "train/class_labels.txt", "a.jpg,0\n")
        put(root / "train/localization.txt", "a.jpg,m.png,\n")
        put(root / "images/a.jpg", stream.getvalue())
        mask = io.BytesIO()
        Image.fromarray(pixels[..., 0]).save(mask, "PNG")
        put(root / "images/m.png", mask.getvalue())
    found = ingest(layout, root, strict=True)
    (record,) = found.records
    if layout == "wsolevaluation":
        assert record.truth.mask is not None
        ys, xs = np.nonzero(np.asarray(Image.open(io.BytesIO(record.truth.mask))))
        assert [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] == expected
    else:
        assert record.truth.boxes_xyxy.tolist() == [expected]
    assert [text for text in found.remarks if "EXIF orientation" in text]


def test_boxes_in_the_upright_image(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat(), size=(HEIGHT, WIDTH)), xml(cat()))
    put(root / "JPEGImages/1.jpg", picture(orientation=6))
    put(root / "JPEGImages/2.jpg", picture(orientation=3))
    found = ingest("voc2007", root)
    assert "boxes_frame=upright" in found.quarantined[0].reason
    assert ingest("voc2007", root, {"boxes_frame": "upright"}).boxes() == [[HALF_OPEN]] * 2


def test_swapped_sides_without_exif_say_nothing_of_a_frame(tmp_path: Path) -> None:
    found = ingest("voc2007", voc(tmp_path / "voc", xml(cat(), size=(HEIGHT, WIDTH)), xml(cat())))
    assert "as if written height first" in found.quarantined[0].reason
    assert "frame" not in found.quarantined[0].reason
