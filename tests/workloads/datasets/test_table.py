"""Tables of images and labels as people and Hugging Face write them, and what is wrong in some."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingesting import ingest_all, ingest_split
from PIL import Image

from workloads.datasets.registry import open_dataset
from workloads.datasets.remarks import reading
from workloads.errors import ConfigError, InputRejected, NotFound
from workloads.shards.manifest import read_shard_manifest

BOX = [1, 2, 3, 4]


def png(shade: int = 0, width: int = 12, height: int = 8) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 9, 200)).save(data, "PNG")
    return data.getvalue()


def pictures(root: Path, count: int, folder: str = "photos") -> Path:
    (root / folder).mkdir(parents=True)
    for n in range(count):
        (root / folder / f"{n}.png").write_bytes(png(n))
    return root


def labels_of(root: Path, out: Path, **options: Any) -> dict[str, tuple[str, ...]]:
    """Image id to the names of its labels, of all that is read."""
    dataset = open_dataset("table", root, options)
    found = ingest_all(dataset, out)
    return {k: tuple(dataset.classes[n] for n in r.truth.labels) for k, r in found.items()}


def faults(root: Path, **options: Any) -> dict[str, str]:
    dataset = open_dataset("table", root, options)
    items = (item for split in dataset.splits() for item in dataset.items(split))
    return {item.image_id: item.fault for item in items if item.fault}


def task_of(out: Path) -> str:
    return read_shard_manifest(out).task


def test_a_csv_with_many_labels_and_splits(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 3)
    (root / "labels.csv").write_bytes(
        "\ufeffFile_Name;Labels;Subset\r\n"
        "photos/0.png;cat| 小麦 ;Training\r\n"
        "photos\\1.png;dog;valid\r\n"
        "photos/2.png;dog|cat;fold 3\r\n".encode()
    )
    found = labels_of(root, tmp_path / "out")
    assert found == {
        "photos/0.png": ("cat", "小麦"),
        "photos/1.png": ("dog",),
        "photos/2.png": ("cat", "dog"),
    }
    dataset = open_dataset("table", root / "labels.csv")
    assert dataset.splits() == ("train", "val", "fold 3")
    assert task_of(tmp_path / "out") == "multilabel"


def test_one_label_each_is_a_task_of_its_own(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 2)
    (root / "labels.csv").write_text('path,class\nphotos/0.png,"a, b"\nphotos/1.png,c\n')
    assert labels_of(root, tmp_path / "out") == {"photos/0.png": ("a, b",), "photos/1.png": ("c",)}
    assert task_of(tmp_path / "out") == "singlelabel"
    labels_of(root, tmp_path / "many", task="multilabel")
    assert task_of(tmp_path / "many") == "multilabel"
    separated = labels_of(root, tmp_path / "comma", separator=",")
    assert separated["photos/0.png"] == ("a", "b")


def test_json_lines_with_lists_and_boxes(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 3)
    rows = [
        {"image": "0.png", "labels": ["cat", "dog"], "boxes": [{"bbox": BOX, "class": "dog"}]},
        {"image": "1.png", "labels": ["cat"], "boxes": [[0, 0, 12, 8], [1, 1, 2.5, 2]]},
        {"image": "2.png", "labels": []},
    ]  # fmt: skip
    (root / "all.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    dataset = open_dataset("table", root, {"folder": "photos", "val_share": 0, "test_share": 0})
    found = ingest_all(dataset, tmp_path / "out")
    assert dataset.classes == ("cat", "dog")
    assert [found[f"{n}.png"].truth.labels for n in range(3)] == [(0, 1), (0,), ()]
    assert [found[f"{n}.png"].truth.blacklisted for n in range(3)] == [False, False, True]
    np.testing.assert_array_equal(found["0.png"].truth.boxes_xyxy, [[1, 2, 4, 6]])
    np.testing.assert_array_equal(found["1.png"].truth.boxes_xyxy, [[0, 0, 12, 8], [1, 1, 3.5, 3]])
    assert found["0.png"].truth.box_labels.tolist() == [1]
    corners = open_dataset("table", root, {**dataset.options.model_dump(), "box_format": "xyxy"})
    truth = ingest_all(corners, tmp_path / "corners")["0.png"].truth
    np.testing.assert_array_equal(truth.boxes_xyxy, [[1, 2, 3, 4]])


def hugging_face(path: Path, rows: list[dict[str, Any]], features: dict[str, Any]) -> None:
    """A Parquet file as `datasets` writes it: two rows in each group, names in its metadata."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array([row.pop("image") for row in rows], image)})
    for name in rows[0]:
        table = table.append_column(name, pa.array([row[name] for row in rows]))
    said = json.dumps({"info": {"features": features}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": said}), path, row_group_size=2)


def test_hugging_faces_images_class_numbers_and_objects(tmp_path: Path) -> None:
    names = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    objects = {
        "objects": {"feature": {"category": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}
    }
    rows = [
        {
            "image": {"bytes": png(n), "path": f"{n}.png"},
            "label": n % 2,
            "objects": {
                "bbox": [[1.0, 2.0, 3.0, 4.0]] if n == 1 else [],
                "category": [1][: n == 1],
            },
        }
        for n in range(5)
    ]
    root = tmp_path / "raw"
    hugging_face(root / "data/train-00000-of-00001.parquet", rows, {**names, **objects})
    other = [{"image": {"bytes": png(9), "path": None}, "label": 1}]
    hugging_face(root / "data/test-00000-of-00001.parquet", other, names)
    dataset = open_dataset("table", root)
    assert dataset.splits() == ("train", "test")
    found = ingest_all(dataset, tmp_path / "out")
    assert [found[f"{n}.png"].image for n in range(5)] == [png(n) for n in range(5)]
    assert [found[f"{n}.png"].truth.labels for n in range(5)] == [(0,), (1,), (0,), (1,), (0,)]
    np.testing.assert_array_equal(found["1.png"].truth.boxes_xyxy, [[1, 2, 4, 6]])
    assert found["0.png"].truth.blacklisted
    last = found["test-00000-of-00001.parquet#1"]
    assert (last.image, last.truth.labels, last.split) == (png(9), (1,), "test")
    assert all(item.num_bytes > 0 for item in dataset.items("train"))


def test_parquet_with_paths_only_and_a_row_without_bytes(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 2)
    rows = [{"image": {"bytes": None, "path": f"photos/{n}.png"}, "label": "ab"[n]} for n in (0, 1)]
    hugging_face(root / "t.parquet", rows, {})
    assert labels_of(root, tmp_path / "out") == {"photos/0.png": ("a",), "photos/1.png": ("b",)}
    rows = [{"image": {"bytes": b, "path": None}, "label": "a"} for b in (png(), None)]
    hugging_face(root / "t.parquet", rows, {})
    dataset = open_dataset("table", root)
    found, bad = ingest_split(dataset, dataset.items("train"), tmp_path / "some")
    assert (len(found), [entry.reason for entry in bad]) == (
        1, ["the row has no image bytes; add them or remove the row"],
    )  # fmt: skip


def test_columns_that_are_not_found_are_listed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("foto,what\n0.png,cat\n")
    with pytest.raises(ConfigError, match=r"which column has the image.*columns: foto, what"):
        open_dataset("table", tmp_path)
    with pytest.raises(ConfigError, match=r"options\.label.*'wat'; did you mean 'what'.*foto"):
        open_dataset("table", tmp_path, {"image": "foto", "label": "wat"})
    assert open_dataset("table", tmp_path, {"image": "foto", "label": "what"}).classes == ("cat",)


def test_rows_that_cannot_be_used_have_their_reasons(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "image,label,split\n0.png,cat,train\n1.png,,train\n,cat,train\n3.png,cat\n"
        "4.png,cat,\nhttps://x/5.png,cat,train\n"
        "6.png,cat,train\n6.png,cat,val\n7.png,cat,train\n7.png,dog,train\n"
    )
    found = faults(tmp_path)
    assert {key: fault.split(";")[0] for key, fault in found.items()} == {
        "1.png": "row 2 has no label",
        "t.csv#3": "row 3 has no image in column 'image'",
        "3.png": "row 4 has 2 cells, the head has 3",
        "4.png": "column 'split' is empty",
        "https://x/5.png": "'https://x/5.png' is an address",
        "6.png": "listed in splits train and val",
        "7.png": "listed with different labels",
    }
    merged = faults(tmp_path, repeated="merge")
    assert "7.png" not in merged
    assert "6.png" in merged


def test_equal_rows_count_once_and_the_others_are_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 1)
    (root / "t.csv").write_text("image,label\nphotos/0.png,cat\nphotos/0.png,cat\n")
    dataset = open_dataset("table", root)
    found, bad = ingest_split(dataset, dataset.items("train"), tmp_path / "out")
    assert (len(found), [entry.reason for entry in bad]) == (1, ["listed twice in split 'train'"])


def test_negatives_and_labels_that_are_missing(tmp_path: Path) -> None:
    rows = [{"image": "0.png", "label": ["a", "b"]}, {"image": "1.png", "label": ["none"]}]
    more = [
        {"image": "2.png"},
        {"image": "3.png", "label": [None]},
        {"image": "4.png", "label": {}},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, [*rows, *more])) + "\n[1]\n{\n")
    assert set(faults(tmp_path, negative="none")) == {
        "2.png", "3.png", "4.png", "t.jsonl#6", "t.jsonl#7",
    }  # fmt: skip
    assert open_dataset("table", tmp_path, {"negative": "none"}).classes == ("a", "b")


@pytest.mark.parametrize(
    ("name", "data", "error", "words"),
    [
        ("t.csv", b"", ConfigError, "columns: none"),
        ("t.csv", b"image,label\n", NotFound, "no rows"),
        ("t.csv", b"image,label\na.png,\n", NotFound, "no row can be used: row 1 has no label"),
        ("t.csv", b"image,label\na.png,\xff\n", InputRejected, "not UTF-8"),
        ("t.parquet", b"PAR1", InputRejected, "cannot be read"),
        ("t.xlsx", b"", NotFound, "no table there"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, data, error, words) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=words):
        open_dataset("table", tmp_path)


def test_several_tables_are_not_guessed_from(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("image,label\n0.png,cat\n")
    with pytest.raises(ConfigError, match=r"several tables \(a.csv, b.csv\)"):
        open_dataset("table", tmp_path)
    assert open_dataset("table", tmp_path / "a.csv").root == tmp_path


CORNERS = ["xmin,ymin,xmax,ymax", "X1,Y1,X2,Y2", "left,top,right,bottom"]
SIDES = ["x,y,w,h", "x,y,width,height"]


def boxes_of(root: Path, out: Path, **options: Any) -> dict[str, list[tuple[str, list[float]]]]:
    """Image id to the class and corners of each of its boxes."""
    dataset = open_dataset("table", root, options)
    found = ingest_all(dataset, out)
    return {
        k: [
            (dataset.classes[n], box.tolist())
            for n, box in zip(r.truth.box_labels, r.truth.boxes_xyxy, strict=True)
        ]
        for k, r in found.items()
    }


@pytest.mark.parametrize("columns", CORNERS + SIDES)
def test_a_row_for_each_box(tmp_path: Path, columns: str) -> None:
    root = pictures(tmp_path / "raw", 3)
    first, second, third = ("1,2,5,6", "0,0,12,8", "3,1,4,8")  # corners in images of 12x8
    if columns in SIDES:
        first, second, third = ("1,2,4,4", "0,0,12,8", "3,1,1,7")
    (root / "labels.csv").write_text(
        f"filename,class,{columns}\n"
        f"photos/0.png,cat,{first}\n"
        f"photos/1.png,dog,{second}\n"
        f"photos/0.png,dog,{third}\n"
        "photos/2.png,,,,,\n"
    )
    with reading() as remarks:
        found = boxes_of(root, tmp_path / "out")
    assert found == {
        "photos/0.png": [("cat", [1, 2, 5, 6]), ("dog", [3, 1, 4, 8])],
        "photos/1.png": [("dog", [0, 0, 12, 8])],
        "photos/2.png": [],
    }
    meaning = "two corners" if columns in CORNERS else "a corner, width and height"
    (said,) = remarks
    assert said == (
        f"boxes were read from the columns {columns.replace(',', ', ')} ({meaning}), and rows of "
        "one image joined"
    )
    assert task_of(tmp_path / "out") == "multilabel"


def test_box_columns_in_parquet_beside_the_size_of_the_image(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 1)
    row = {"filename": "photos/0.png", "width": 12, "height": 8, "class": "cat"}
    row |= {"xmin": 1, "ymin": 2, "xmax": 5, "ymax": 6}
    pq.write_table(pa.Table.from_pylist([row]), root / "labels.parquet")
    assert boxes_of(root, tmp_path / "out") == {"photos/0.png": [("cat", [1, 2, 5, 6])]}


def test_boxes_that_can_be_read_in_two_ways_are_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 1)
    (root / "labels.csv").write_text(
        "image,class,x1,y1,x2,y2,x,y,w,h\nphotos/0.png,cat,1,2,5,6,1,2,3,3\n"
    )
    with pytest.raises(ConfigError, match=r"box_column=x1,y1,x2,y2, or '' for no boxes"):
        open_dataset("table", root)
    named = boxes_of(root, tmp_path / "corners", box_column="x1,y1,x2,y2")
    assert named == {"photos/0.png": [("cat", [1, 2, 5, 6])]}
    named = boxes_of(root, tmp_path / "sides", box_column="x,y,w,h")
    assert named == {"photos/0.png": [("cat", [1, 2, 4, 5])]}
    assert boxes_of(root, tmp_path / "none", box_column="") == {"photos/0.png": []}


def test_half_a_box_costs_its_image(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 2)
    (root / "labels.csv").write_text(
        "image,class,x,y,w,h\nphotos/0.png,cat,1,2,,3\nphotos/1.png,cat,1,2,3,3\n"
    )
    (fault,) = faults(root).values()
    assert fault == "row 1: box ['1', '2', '', '3']: give four numbers, or none"


def test_a_column_for_each_class(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 3)
    (root / "labels.csv").write_text(
        "image,split,cat,a dog\nphotos/0.png,train,1,1\nphotos/1.png,train,0,1\n"
        "photos/2.png,train,0,0\n"
    )
    with reading() as remarks:
        assert labels_of(root, tmp_path / "out") == {
            "photos/0.png": ("a dog", "cat"),
            "photos/1.png": ("a dog",),
            "photos/2.png": (),
        }
    (said,) = remarks
    assert said == "classes were read from the columns cat, a dog, 1 where one is there"
    assert task_of(tmp_path / "out") == "multilabel"


def test_class_columns_beside_others_have_to_be_named(tmp_path: Path) -> None:
    root = pictures(tmp_path / "raw", 2)
    rows = [
        {"image": "photos/0.png", "cat": 1, "dog": 0, "age": 3.5},
        {"image": "photos/1.png", "cat": 0, "dog": 1, "age": 1.0},
    ]
    (root / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match=r"cat, dog hold 0 and 1, age .*options.label=cat,dog"):
        open_dataset("table", root)
    found = labels_of(root, tmp_path / "out", label="cat,dog")
    assert found == {"photos/0.png": ("cat",), "photos/1.png": ("dog",)}
    assert faults(root, label="cat,age") == {
        "photos/0.png": "row 1: column 'age' has 3.5; give 0 or 1"
    }
