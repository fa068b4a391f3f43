"""Files as people's tools write them: read as they are meant, counted, and refused if strict."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingesting import read_rows
from PIL import Image

from workloads.datasets.base import Dataset
from workloads.datasets.image_files import ImageFiles, image_ids
from workloads.datasets.registry import open_dataset
from workloads.datasets.remarks import is_lenient, reading
from workloads.errors import InputRejected
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


# --- one odd value, one bad box ---------------------------------------------------------------


@pytest.mark.parametrize("tag", ["truncated", "difficult"])
@pytest.mark.parametrize(("value", "flag"), [("Unspecified", False), ("True", True), ("no", False)])
def test_flags_in_words(tmp_path: Path, tag: str, value: str, flag: bool) -> None:
    root = voc(tmp_path / "voc", xml(cat(extra=f"<{tag}>{value}</{tag}>")), xml(cat()))
    found = ingest("voc2007", root)
    assert found.boxes() == [[HALF_OPEN]] * 2
    assert getattr(found.records[0].truth, f"box_{tag}").tolist() == [flag]
    assert found.lenient() == 1
    strict = ingest("voc2007", root, strict=True)
    assert [entry.image_id for entry in strict.quarantined] == ["1"]
    assert f"<{tag}> is '{value}'" in strict.quarantined[0].reason


@pytest.mark.parametrize("size", [(0, 0), ("", ""), (WIDTH, 0), ("", HEIGHT), ("?", HEIGHT)])
def test_stated_sizes_that_say_nothing(tmp_path: Path, size: tuple) -> None:
    voc(tmp_path / "voc", xml(cat(), size=size))
    images = [{"id": 1, "file_name": "1.jpg", "width": size[0] or None, "height": size[1]}]
    content = coco(tmp_path / "coco", images=images)
    coco(tmp_path / "coco", images=images, annotations=content["annotations"][:1])
    pictures(tmp_path / "coco/train2017", "1.jpg")
    for name in ("voc2007", "coco2017"):
        found = ingest(name, tmp_path / name[:-4])
        assert (found.boxes(), found.lenient()) == ([[HALF_OPEN]], 1)
        assert len(ingest(name, tmp_path / name[:-4], strict=True).quarantined) == 1


def test_sides_as_text_are_compared(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "1.jpg", "width": "64", "height": "48"}]
    images.append({"id": 2, "file_name": "2.jpg", "width": "65", "height": "48"})
    content = coco(tmp_path / "coco", images=images, annotations=[])
    assert content["images"] == images
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert [record.image_id for record in found.records] == ["1"]
    assert "says 65x48, the upright image is 64x48" in found.quarantined[0].reason


@pytest.mark.parametrize("bad", [[7, 9, 10, 0], [0, 0, 0, 0], [7, 9, -1, 3], ["x", 1, 2, 3], None])
def test_a_bad_box_costs_the_box(tmp_path: Path, bad: Any) -> None:
    more = {"image_id": 1, "iscrowd": 0}
    notes = [
        {"id": 1, "category_id": 1, "bbox": BOX, **more},
        {"id": 2, "category_id": 2, "bbox": bad, **more},
    ]
    coco(tmp_path / "coco", annotations=notes)
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert not found.quarantined
    assert found.boxes() == [[HALF_OPEN], [], [], []]
    assert found.records[0].truth.labels == (0, 1)  # the dog is there, wherever it is
    assert found.lenient() == 1
    assert len(ingest("coco2017", tmp_path / "coco", {"bad_boxes": "refuse"}).quarantined) == 1
    assert len(ingest("coco2017", tmp_path / "coco", strict=True).quarantined) == 1
    kept = ingest("coco2017", tmp_path / "coco", {"bad_boxes": "drop"}, strict=True)
    assert (kept.boxes()[0], kept.quarantined) == ([HALF_OPEN], [])


def test_a_bad_box_costs_the_box_in_every_layout(tmp_path: Path) -> None:
    voc(tmp_path / "voc", xml(cat(box=(6, 6, 25, 6 - 1)), cat()))
    tree, synset = tmp_path / "ilsvrc", "n01440764"
    for split in ("train", "val"):
        name = f"{synset}/a" if split == "train" else "a"
        put(
            tree / f"ImageSets/CLS-LOC/{'train_cls' if split == 'train' else 'val'}.txt",
            f"{name} 1",
        )
        put(tree / f"Data/CLS-LOC/{split}/{name}.JPEG", picture())
    boxes = (cat(synset, box=(5, 5, 5, 9)), cat(synset, box=(5, 5, 25, 25)))
    put(tree / f"Annotations/CLS-LOC/train/{synset}/a.xml", xml(*boxes))
    put(tree / "LOC_synset_mapping.txt", f"{synset} tench")
    put(tree / "LOC_val_solution.csv", f"a,{synset} 5 5 5 9 {synset} 5 5 25 25")
    kit = tmp_path / "kit"
    put(kit / "train/image_ids.txt", "a.jpg\n")
    put(kit / "train/class_labels.txt", "a.jpg,0\n")
    put(kit / "train/localization.txt", "a.jpg,5,5,5,9\na.jpg,5,5,25,25\n")
    put(kit / "images/a.jpg", picture())
    cases = [("voc2007", "voc", "train"), ("wsolevaluation", "kit", "train")]
    for name, folder, split in [*cases, ("ilsvrc", "ilsvrc", "train"), ("ilsvrc", "ilsvrc", "val")]:
        found = ingest(name, tmp_path / folder, split=split)
        assert (found.boxes(), found.lenient()) == ([[HALF_OPEN]], 1), name
        assert len(ingest(name, tmp_path / folder, split=split, strict=True).quarantined) == 1


def test_an_image_of_which_every_box_is_outside_is_left_out(tmp_path: Path) -> None:
    root = voc(
        tmp_path / "voc", xml(cat(box=(60, 6, 90, 25))), xml(cat(box=(60, 6, 90, 25)), cat())
    )
    found = ingest("voc2007", root)
    assert found.boxes() == [[HALF_OPEN]]
    assert "outside the upright image of 64x48" in found.quarantined[0].reason
    assert ingest("voc2007", root, {"clip_boxes": True}).boxes()[0] == [[59, 5, 64, 25]]


def test_an_xml_without_objects_is_a_negative(tmp_path: Path) -> None:
    found = ingest("voc2007", voc(tmp_path / "voc", xml(), xml(cat())), strict=True)
    assert [record.truth.labels for record in found.records] == [(), (7,)]


def test_numbers_as_text_null_flags_and_outlines(tmp_path: Path) -> None:
    outline = [[5, 5, 25, 6], [6, 25, 7, 20, 5, 5]]
    given = [
        {"bbox": ["5", "5", "20.0", 20], "iscrowd": None},
        {"segmentation": outline},
        {"bbox": None, "segmentation": outline, "iscrowd": False},
        {"bbox": [], "segmentation": {"counts": [1]}},
    ]
    notes = [{"id": n, "image_id": n, "category_id": 1, **g} for n, g in enumerate(given, 1)]
    coco(tmp_path / "coco", annotations=notes)
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert found.boxes() == [[HALF_OPEN]] * 3
    assert not any(record.truth.box_crowd.any() for record in found.records)
    assert "bbox is []; give four numbers" in found.quarantined[0].reason
    assert len(ingest("coco2017", tmp_path / "coco", strict=True).quarantined) == 4


@pytest.mark.parametrize(
    "points",
    [
        "<x1>6</x1><y1>6</y1><x2>25</x2><y2>25</y2>",
        "<pt><x>6</x><y>25</y></pt><pt><x>25</x><y>6</y></pt>",
    ],
)
def test_a_polygon_in_xml(tmp_path: Path, points: str) -> None:
    body = f"<object><name>cat</name><polygon>{points}</polygon></object>"
    assert ingest("voc2007", voc(tmp_path / "voc", xml(body))).boxes() == [[HALF_OPEN]]


@pytest.mark.parametrize("token", ["NaN", "-Infinity"])
def test_words_that_json_has_not(tmp_path: Path, token: str) -> None:
    coco(tmp_path / "coco")
    path = tmp_path / "coco/annotations/instances_train2017.json"
    text = path.read_text().replace('"iscrowd": 0', f'"iscrowd": 0, "area": {token}')
    path.write_text(text.replace('"cat"', f'"a {token}, \\" [{token}] cat"'))
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert found.boxes() == [[HALF_OPEN]] * 4
    assert found.classes[0] == f'a {token}, " [{token}] cat'
    with pytest.raises(InputRejected, match="not JSON before byte"):
        ingest("coco2017", tmp_path / "coco", strict=True)


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ("<?xml version='1.0' encoding='GB2312'?><annotation>", "gbk"),
        ("<?xml version='1.0' encoding='gb2312'?><annotation>", "utf-8"),
        ("<annotation xmlns='http://tempuri.org/a'>", "utf-8"),
    ],
)
def test_encodings_and_namespaces(tmp_path: Path, head: str, codec: str) -> None:
    body = xml(cat("小麦"), head=head).encode(codec)
    found = ingest("voc2007", voc(tmp_path / "voc", body), {"class_names": "files"})
    assert (found.classes, found.boxes()) == (("小麦",), [[HALF_OPEN]])


def test_boxes_of_another_scale(tmp_path: Path) -> None:
    half = xml(cat(box=(3, 3, 12, 12)), size=(32, 24))  # (2, 2, 12, 12), half-open
    root = voc(tmp_path / "voc", half, xml(cat(), size=(32, 26)), xml(cat()))
    found = ingest("voc2007", root)
    assert ["scale_boxes" in entry.reason for entry in found.quarantined] == [True, False]
    assert "option scale_boxes" in found.quarantined[0].reason
    found = ingest("voc2007", root, {"scale_boxes": True})
    assert found.boxes()[0] == [[4, 4, 24, 24]]


# --- ids and categories -----------------------------------------------------------------------


@pytest.mark.parametrize("image_id", [str, lambda n: f" {n} ", float, lambda n: f"{n:012d}"])
def test_ids_are_matched_by_value(tmp_path: Path, image_id: Any) -> None:
    content = coco(tmp_path / "coco")
    for entry in content["images"]:
        entry["id"] = image_id(entry["id"])
    coco(tmp_path / "coco", images=content["images"])
    pictures(tmp_path / "coco/train2017")
    assert ingest("coco2017", tmp_path / "coco").boxes() == [[HALF_OPEN]] * 4
    if image_id is not float:
        with pytest.raises(InputRejected, match="numbers in one place and text in another"):
            ingest("coco2017", tmp_path / "coco", strict=True)


def test_categories_of_another_type(tmp_path: Path) -> None:
    coco(tmp_path / "coco", categories=[{"id": "1", "name": "cat"}, {"id": "b", "name": "dog"}])
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert (found.classes, found.boxes()) == (("cat", "dog"), [[HALF_OPEN]] * 4)


def test_annotations_of_other_images_make_no_negatives(tmp_path: Path) -> None:
    content = coco(tmp_path / "coco")
    for note in content["annotations"]:
        note["image_id"] = f"image-{note['image_id']}"
    coco(tmp_path / "coco", annotations=content["annotations"])
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert (len(found.records), len(found.quarantined)) == (0, 8)
    assert "nothing says what is in the images" in found.quarantined[0].reason


@pytest.mark.parametrize("name", ["fish", "fish-and-more"])
def test_the_root_category_of_an_export(tmp_path: Path, name: str) -> None:
    above = {"id": 0, "name": name, "supercategory": "none"}
    kinds = [above, {"id": 1, "name": "fish", "supercategory": name}]
    for split in ("train", "val"):
        coco(tmp_path / "coco", file=f"annotations/instances_{split}2017.json", categories=kinds)
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert (found.classes, found.boxes()) == (("fish",), [[HALF_OPEN]] * 4)
    assert any("stand above all others" in text for text in found.remarks)


def test_a_root_category_that_objects_are_of_is_a_class(tmp_path: Path) -> None:
    kinds = [{"id": 1, "name": "animal", "supercategory": "none"}]
    kinds.append({"id": 2, "name": "cat", "supercategory": "animal"})
    coco(tmp_path / "coco", categories=kinds)
    coco(
        tmp_path / "coco",
        file="annotations/instances_val2017.json",
        categories=kinds,
        annotations=[],
    )
    assert open_dataset("coco2017", tmp_path / "coco").classes == ("animal", "cat")


# --- the frame of boxes ----------------------------------------------------------------------


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


# --- files that are there ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpeg"])
def test_images_of_voc_are_found_by_their_id(tmp_path: Path, suffix: str) -> None:
    found = ingest("voc2007", voc(tmp_path / "voc", xml(cat()), suffix=suffix), strict=True)
    assert found.boxes() == [[HALF_OPEN]]


@pytest.mark.parametrize(
    "line", ["1.jpg", "1  1", "1 -1", "JPEGImages/1.jpg", "C:\\data\\1.jpg", "/home/a b/1.jpg"]
)
def test_lines_of_voc_lists(tmp_path: Path, line: str) -> None:
    root = voc(tmp_path / "voc", xml(cat()))
    put(root / "ImageSets/Main/train.txt", f"{line}\n")
    found = ingest("voc2007", root)
    assert ([r.image_id for r in found.records], found.lenient()) == (["1"], 1)


@pytest.mark.parametrize("lines", ["a.jpg, 0", " a.jpg ,0 "])
def test_blanks_in_lines_of_the_toolkit(tmp_path: Path, lines: str) -> None:
    put(tmp_path / "kit/train/image_ids.txt", "a.jpg\n")
    put(tmp_path / "kit/train/class_labels.txt", f"{lines}\n")
    put(tmp_path / "kit/train/image_sizes.txt", "a.jpg, 64, 48\n")
    put(tmp_path / "kit/train/localization.txt", "a.jpg, 5, 5, 25, 25\n")
    put(tmp_path / "kit/images/a.jpg", picture())
    assert ingest("wsolevaluation", tmp_path / "kit").boxes() == [[HALF_OPEN]]


def test_own_classes_of_a_voc_tree(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat("weed")), xml(cat("麦")))
    found = ingest("voc2007", root)
    assert "--set ingest.options.class_names=files" in found.quarantined[0].reason
    assert ingest("voc2007", root, {"class_names": "files"}).classes == ("weed", "麦")
    path = put(tmp_path / "names.txt", "麦\nweed\ntree\n")
    found = ingest("voc2007", root, {"class_names": str(path)})
    assert [record.truth.labels for record in found.records] == [(1,), (0,)]


@pytest.mark.parametrize(
    ("xmls", "images", "split"),
    [
        ("Annotations", "JPEGImages", "train"),
        ("Annotations", "images", "train"),
        ("", "", "train"),
        ("valid", "valid", "valid"),
    ],
)
def test_trees_of_xml_without_lists(tmp_path: Path, xmls: str, images: str, split: str) -> None:
    for name in ("a", "b 1"):
        put(tmp_path / "tree" / xmls / f"{name}.xml", xml(cat("weed")))
        put(tmp_path / "tree" / images / f"{name}.png", picture())
    options = {"class_names": "files"}
    found = ingest("voc2007", tmp_path / "tree", options, split=split, strict=True)
    assert [record.image_id for record in found.records] == ["a", "b 1"]
    assert (found.classes, found.boxes()) == (("weed",), [[HALF_OPEN]] * 2)


def test_class_names_are_matched_as_people_see_them(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat("Cat ")), xml(cat("cafe\u0301")))
    path = put(tmp_path / "names.txt", "cat\ncaf\u00e9\n")
    found = ingest("voc2007", root, {"class_names": str(path)})
    assert [record.truth.labels for record in found.records] == [(0,), (1,)]
    assert len(ingest("voc2007", root, {"class_names": str(path)}, strict=True).quarantined) == 2


def test_lists_of_voc_that_begin_with_a_class(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat()))
    for name in ("train_aug", "train_val", "cat_train", "cat_fold1"):
        put(root / f"ImageSets/Main/{name}.txt", "1\n")
    assert open_dataset("voc2012", root).splits() == ("cat_fold1", "train", "train_aug")


@pytest.mark.parametrize(
    "name",
    [
        "images\\{}.jpg",
        "train2017/{}.jpg",
        "C:\\photos\\{}.jpg",
        "/home/me/train2017/{}.jpg",
        "../x/{}.jpg",
        "http://localhost:8080/data/upload/{}.jpg?x=1",
        "/data/local-files/?d=images/{}.jpg",
    ],
)
def test_paths_of_other_machines(tmp_path: Path, name: str) -> None:
    content = coco(tmp_path / "coco")
    for entry in content["images"]:
        entry["file_name"] = name.format(entry["id"])
    coco(tmp_path / "coco", images=content["images"])
    pictures(tmp_path / "coco/train2017")
    found = ingest("coco2017", tmp_path / "coco")
    assert [record.image_id for record in found.records] == ["1", "2", "3", "4"]
    assert found.boxes() == [[HALF_OPEN]] * 4
    if name != "train2017/{}.jpg":  # which is there, below the root
        with pytest.raises(InputRejected, match="no such file; correct the list"):
            ingest("coco2017", tmp_path / "coco", strict=True)


def test_no_image_stands_for_two(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "b/1.jpg"}]
    coco(tmp_path / "coco", images=images, annotations=[])
    pictures(tmp_path / "coco/train2017", "1.jpg")
    found = ingest("coco2017", tmp_path / "coco")
    assert (found.records, len(found.quarantined)) == ([], 2)
    assert "one that is like it is another's" in found.quarantined[0].reason


def test_images_that_differ_in_their_ending(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": name} for n, name in enumerate(("a.jpg", "a.png", "b.jpg"))]
    coco(tmp_path / "coco", images=images, annotations=[])
    pictures(tmp_path / "coco/train2017", "a.jpg", "a.png", "b.jpg")
    found = ingest("coco2017", tmp_path / "coco", strict=True)
    assert [record.image_id for record in found.records] == ["a.jpg", "a.png", "b"]
    assert image_ids(["a.jpg", "a.jpg", "x.y/a.jpg"]) == ["a", "a", "x.y/a"]


def test_coco_url_instead_of_a_file_name(tmp_path: Path) -> None:
    url = "http://images.cocodataset.org/val2017/000000000001.jpg"
    coco(tmp_path / "coco", images=[{"id": 1, "coco_url": url}], annotations=[])
    pictures(tmp_path / "coco/train2017", "7.jpg")
    pictures(tmp_path / "coco/val2017", "000000000001.jpg")
    found = ingest("coco2017", tmp_path / "coco")
    assert [record.image_id for record in found.records] == ["val2017/000000000001"]


def test_a_split_whose_images_are_in_the_folder_of_another(tmp_path: Path) -> None:
    coco(tmp_path / "coco", file="annotations/instances_minival2014.json")
    pictures(tmp_path / "coco/train2014", "9.jpg")
    pictures(tmp_path / "coco/val2014")
    found = ingest("coco2014", tmp_path / "coco", split="minival", strict=True)
    assert found.boxes() == [[HALF_OPEN]] * 4


@pytest.mark.parametrize(
    ("file", "images", "split"),
    [
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "valid"),
        ("result.json", "images", "train"),
        ("annotations/instances_default.json", "images/default", "train"),
    ],
)
@pytest.mark.parametrize("said", [False, True])
def test_exports_of_labelling_tools(
    tmp_path: Path, file: str, images: str, split: str, said: bool
) -> None:
    coco(tmp_path / "export", file=file)
    pictures(tmp_path / "export" / images)
    options = {"annotations": file.replace(f"{split}/", "*/"), "images": images} if said else {}
    found = ingest("coco2017", tmp_path / "export", options, split=split, strict=True)
    assert found.boxes() == [[HALF_OPEN]] * 4


def test_validation_images_in_folders_of_synsets(tmp_path: Path) -> None:
    tree, synset = tmp_path / "ILSVRC", "n01440764"
    put(tree / "ImageSets/CLS-LOC/val.txt", "ILSVRC2012_val_00000001 1\n")
    put(tree / f"Data/CLS-LOC/val/{synset}/ILSVRC2012_val_00000001.JPEG", picture())
    put(tree / "LOC_synset_mapping.txt", f"{synset} tench")
    put(tree / "LOC_val_solution.csv", f"ILSVRC2012_val_00000001,{synset} 5 5 25 25")
    assert ingest("ilsvrc", tree, split="val", strict=True).boxes() == [[HALF_OPEN]]


def test_a_size_beside_the_solution_is_compared(tmp_path: Path) -> None:
    tree, synset = tmp_path / "ILSVRC", "n01440764"
    for name in ("a", "b"):
        put(tree / f"Data/CLS-LOC/val/{name}.JPEG", picture())
    put(tree / "LOC_synset_mapping.txt", f"{synset} tench")
    put(tree / "LOC_val_solution.csv", f"a,{synset} 3 3 12 12\nb,{synset} 5 5 25 25")
    put(tree / "Annotations/CLS-LOC/val/a.xml", xml(size=(32, 24)))
    found = ingest("ilsvrc", tree, split="val")
    assert "val/a.xml: <size> says 32x24" in found.quarantined[0].reason
    found = ingest("ilsvrc", tree, {"scale_boxes": True}, split="val")
    assert found.boxes() == [[[6, 6, 24, 24]], [HALF_OPEN]]


def test_files_of_the_toolkit_with_other_names(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    put(kit / "val/image_ids.txt", "val2/0/0.jpeg\nval2/0/1.jpeg\n")
    put(kit / "val/class_labels.txt", "val2/0/0.jpeg,0\nval2/0/1.jpeg,0\n")
    for name in ("5f3a", "77cd"):
        put(kit / f"images/val2/0/{name}.jpeg", picture())
    found = ingest("wsolevaluation", kit, split="val")
    assert "2 images of other names" in found.quarantined[0].reason
    names = put(
        tmp_path / "map", "val2/0/0.jpeg,val2/0/77cd.jpeg\nval2/0/1.jpeg,val2/0/5f3a.jpeg\n"
    )
    found = ingest("wsolevaluation", kit, {"renamed": str(names)}, split="val")
    assert [record.image_id for record in found.records] == ["val2/0/0.jpeg", "val2/0/1.jpeg"]


def test_a_name_that_fits_several_files_finds_none(tmp_path: Path) -> None:
    for name in ("a.PNG", "a.bmp", "B.jpg", "x/c.jpg"):
        put(tmp_path / "f" / name, "1")
    files = ImageFiles(tmp_path, ("f",))
    assert files.find("a.jpg") is None
    assert [files.find(name).path for name in ("b.jpg", "x\\c.jpg")] == ["f/B.jpg", "f/x/c.jpg"]
    assert files.find("..") is None


# --- changed truth ----------------------------------------------------------------------------


def test_changed_truth_changes_the_item(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc", xml(cat(extra="<difficult>1</difficult>")))
    before = open_dataset("voc2007", root).items("train")
    assert open_dataset("voc2007", root).items("train") == before
    path = root / "Annotations/1.xml"
    put(path, path.read_text().replace("<difficult>1", "<difficult>0"))  # as many bytes
    assert open_dataset("voc2007", root).items("train") != before


def test_changed_masks_change_the_item(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    put(kit / "val/image_ids.txt", "a.jpg\n")
    put(kit / "val/class_labels.txt", "a.jpg,0\n")
    put(kit / "val/localization.txt", "a.jpg,m.png,\n")
    put(kit / "images/a.jpg", picture())
    put(kit / "images/m.png", "one")
    before = open_dataset("wsolevaluation", kit).items("val")
    put(kit / "images/m.png", "two")
    assert open_dataset("wsolevaluation", kit).items("val") != before


def test_other_ids_of_the_same_names_are_other_classes(tmp_path: Path) -> None:
    coco(tmp_path / "coco")
    before = open_dataset("coco2017", tmp_path / "coco").class_keys
    coco(tmp_path / "coco", categories=[{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}])
    found = open_dataset("coco2017", tmp_path / "coco")
    assert (found.classes, before, found.class_keys) == (("cat", "dog"), ("1", "2"), ("1", "3"))
