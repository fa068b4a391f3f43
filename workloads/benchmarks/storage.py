"""Local files through the storage seam against direct calls of Python."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from workloads.benchmarks.extent import Extent
from workloads.benchmarks.interleaved import interleaved
from workloads.parquet import open_parquet
from workloads.storage.storage import storage_of

FILES, FILE_BYTES = 1_000, 85_000  # as many bytes as a photograph of 500x375 has
ROWS, ROWS_IN_GROUP = 4_096, 256
REPEATS: dict[Extent, int] = {"quick": 3, "usual": 9, "full": 25}


def compare_storage(extent: Extent = "usual") -> dict[str, object]:
    """Time of direct calls over that through the seam, for local files; 1: it costs nothing.

    1,000 files of 85 kB are looked for and read one by one, and a Parquet file of 4,096 rows of
    60 kB by row groups, from a warm cache, where what the seam adds weighs most. The ways take
    turns; times are medians of the rounds, in CPU time of the thread.

    Returns:
        `ratio` direct / seam of all together; ratio and milliseconds of each part.
    """
    with tempfile.TemporaryDirectory(prefix="wsol-bench-") as scratch:
        folder = Path(scratch)
        files, table = _make_files(folder), _make_table(folder)
        parts = {
            "look": (lambda: _look(files), lambda: [path.is_file() for path in files]),
            "read": (lambda: _read(files), lambda: _read_directly(files)),
            "rows": (lambda: _read_rows(table), lambda: _read_rows_directly(table)),
        }
        # Each part by itself: what ran before decides how warm the processor's caches are.
        found = {
            part: interleaved({"seam": seam, "direct": direct}, REPEATS[extent]).ms()
            for part, (seam, direct) in parts.items()
        }
    seam, direct = (sum(ms[way] for ms in found.values()) for way in ("seam", "direct"))
    return {
        "name": "storage",
        "ratio": direct / seam,
        **{f"{part}_ratio": ms["direct"] / ms["seam"] for part, ms in found.items()},
        **{f"{part}_{way}_ms": ms[way] for part, ms in found.items() for way in ms},
    }


def _look(files: list[Path]) -> list[bool]:
    return [storage_of(path).exists(path) for path in files]


def _read(files: list[Path]) -> int:
    total = 0
    for path in files:
        with storage_of(path).open(path) as stream:
            total += len(stream.read())
    return total


def _read_directly(files: list[Path]) -> int:
    total = 0
    for path in files:
        with path.open("rb") as stream:
            total += len(stream.read())
    return total


def _read_rows(path: Path) -> int:
    with open_parquet(path) as file:
        return _rows_of(file)


def _read_rows_directly(path: Path) -> int:
    with pq.ParquetFile(path) as file:
        return _rows_of(file)


def _rows_of(file: pq.ParquetFile) -> int:
    groups = range(file.num_row_groups)  # on this thread, whose time is taken
    return sum(file.read_row_group(group, use_threads=False).num_rows for group in groups)


def _make_files(folder: Path) -> list[Path]:
    files = [folder / f"{index:04d}.jpg" for index in range(FILES)]
    for path in files:
        path.write_bytes(os.urandom(FILE_BYTES))
    return files


def _make_table(folder: Path) -> Path:
    rows = [os.urandom(60_000) for _ in range(ROWS_IN_GROUP)]
    table = pa.table({"image": rows})
    with pq.ParquetWriter(folder / "rows.parquet", table.schema, compression="NONE") as writer:
        for _ in range(ROWS // ROWS_IN_GROUP):
            writer.write_table(table)
    return folder / "rows.parquet"
