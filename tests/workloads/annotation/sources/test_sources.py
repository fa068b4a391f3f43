"""Kinds of collections: each is listed in order, read one by one; damage costs only itself."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_shards import made_record, made_truth, plain_image, write_shards
from s3_endpoint import upload

from workloads.annotation.sources.base import Source
from workloads.annotation.sources.registry import SOURCES, open_source
from workloads.errors import ConfigError, InputRejected, NotFound, TooLarge
from workloads.images.decode import ImageLimits

LIMITS = ImageLimits()
IMAGES = {f"{place}/{n}.png": plain_image((5 + n, 4)) for place in "ab" for n in range(3)}


def write(folder: Path) -> Path:
    for name, data in IMAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def read(source: Source) -> dict[str, bytes]:
    """Name to the bytes of each image, or to the reason why there are none."""
    found = {}
    for file in source.files():
        try:
            if file.refused:
                raise InputRejected(file.refused)
            found[file.name] = source.read(file, LIMITS)
        except InputRejected as error:
            found[file.name] = str(error).encode()
    return found


def make_collection(kind: str, folder: Path) -> tuple[Path, dict[str, bytes]]:
    """A collection of each kind, and what it shall hold."""
    if kind == "folder":
        return write(folder / "images"), IMAGES
    if kind == "glob":
        write(folder / "images")
        (folder / "images" / "a" / "notes.txt").write_text("no image")
        return folder / "images" / "**" / "[0-1].png", {
            name: data for name, data in IMAGES.items() if "2" not in name
        }
    if kind == "list":
        write(folder)
        (folder / "some.txt").write_text("# mine\nb/1.png\n\n./a/0.png\n")
        return folder / "some.txt", {name: IMAGES[name] for name in ("b/1.png", "a/0.png")}
    if kind == "tar":
        labels = {"a/0.cls": b"3", "a/0.json": b"{}"}
        tar(folder / "x-00.tar", {k: v for k, v in IMAGES.items() if k[0] == "a"} | labels)
        tar(folder / "x-01.tar", {k: v for k, v in IMAGES.items() if k[0] == "b"})
        names = {f"x-{'ab'.index(k[0]):02}.tar/{k}": v for k, v in IMAGES.items()}
        return folder / "x-{00..01}.tar", names
    assert kind == "parquet"
    rows = [{"image": v, "other": len(k)} for k, v in IMAGES.items()]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "x.parquet", row_group_size=4)
    return folder / "x.parquet", {f"x.parquet#{i}": v for i, v in enumerate(IMAGES.values())}


@pytest.mark.parametrize("kind", SOURCES)
def test_each_kind_is_listed_and_read_wherever_it_is(
    kind: str, tmp_path: Path, bucket: Path
) -> None:
    path, expected = make_collection(kind, tmp_path / "here")
    source = open_source(path)
    assert source.kind == kind
    found = read(source)
    assert found == expected
    assert list(found) == list(expected), "in the same order"
    assert list(source.files()) == list(source.files())
    for file in source.files():
        assert source.is_there(file, None)
        assert source.content(file)
    upload(tmp_path / "here", bucket)
    far = open_source(bucket / path.relative_to(tmp_path / "here"))
    assert far.kind == kind
    assert read(far) == expected


def test_shards_of_ingest_are_a_collection(tmp_path: Path) -> None:
    records = [made_record(f"i{n}", made_truth(), (5 + n, 4)) for n in range(5)]
    shards = write_shards(tmp_path / "shards", records, ["cat"], rows_per_file=2)
    assert read(open_source(shards)) == {record.image_id: record.image for record in records}


@pytest.mark.parametrize("row", [{"file": "a/0.png"}, {"image": {"path": "a/0.png"}}])
def test_parquet_may_hold_paths(tmp_path: Path, row: dict) -> None:
    write(tmp_path)
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    assert list(read(open_source(tmp_path / "x.parquet")).values()) == [IMAGES["a/0.png"]]


def test_a_tar_that_was_cut_costs_what_is_behind_the_cut(tmp_path: Path) -> None:
    whole = tar(tmp_path / "x.tar", IMAGES).read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[:2100])  # in the third member
    found = read(open_source(tmp_path / "x.tar"))
    assert [found[f"x.tar/{name}"] for name in list(IMAGES)[:2]] == list(IMAGES.values())[:2]
    (said,) = (value for name, value in found.items() if name == "x.tar")
    assert b"damaged behind its first" in said
    (tmp_path / "y.tar").write_bytes(b"no tar at all" * 100)
    (said,) = read(open_source(tmp_path / "y.tar")).values()
    assert b"damaged behind its first 0 members" in said


def test_parquet_that_is_damaged_costs_what_cannot_be_read(tmp_path: Path) -> None:
    path, expected = make_collection("parquet", tmp_path)
    listed = list(open_source(path).files())
    data = bytearray(path.read_bytes())
    at = data.index(next(iter(IMAGES.values()))[:40])
    data[4 : at - 8] = bytes(at - 12)  # the header of the first page
    path.write_bytes(data)
    source = open_source(path)
    for file in listed[:4]:  # of the first row group
        with pytest.raises(InputRejected, match="its row cannot be read"):
            source.read(file, LIMITS)
    assert [source.read(file, LIMITS) for file in listed[4:]] == list(expected.values())[4:]
    path.write_bytes(b"PAR1 but no more")
    (said,) = read(open_source(path)).values()
    assert b"damaged behind its first 0 rows" in said


def test_lines_of_a_list_that_name_nothing_cost_only_themselves(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "x.lst").write_text("a/0.png\na/9.png\n../secret.png\n/etc/passwd\n")
    found = read(open_source(tmp_path / "x.lst"))
    assert found["a/0.png"] == IMAGES["a/0.png"]
    assert b"line 2 names no file" in found["a/9.png"]
    assert b"line 3 leads out of the folder" in found["../secret.png"]
    assert b"line 4 leads out of the folder" in found["/etc/passwd"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.tar", "no such tar file"),
        ("none-*.tar", "see that the pattern is right"),
        ("x-{0..2}.parquet", "x-0.parquet: no such Parquet file"),
        ("none.txt", "no such list"),
        ("none/*.jpg", "no such folder"),
        ("none", "no such folder"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(NotFound, match=said):
        list(open_source(tmp_path / name).files())


def test_parquet_without_images_names_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1], "label": ["cat"]}), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match=r"no column with images \(columns: x, label\)"):
        list(open_source(tmp_path / "x.parquet").files())


def test_limits_hold_inside_of_other_files(tmp_path: Path) -> None:
    for kind in ("tar", "parquet"):
        path, _ = make_collection(kind, tmp_path / kind)
        source = open_source(path)
        with pytest.raises(TooLarge, match="at most 9 are allowed"):
            source.read(next(source.files()), ImageLimits(max_bytes=9))


def test_a_source_that_changed_is_not_there_unless_its_content_is(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", IMAGES)
    source = open_source(path)
    first = next(source.files())
    content = source.content(first)
    os.utime(path, ns=(1, 1))
    assert not source.is_there(first, None)
    assert source.is_there(first, content)
    tar(path, dict(reversed(IMAGES.items())))
    assert not source.is_there(first, content)
    path.unlink()
    assert not source.is_there(first, content)
