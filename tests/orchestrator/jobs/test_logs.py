"""The log of a job: whatever is written is read once, in order, also behind several attempts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.jobs import logs
from orchestrator.jobs.logs import DRIVER, LogReader, LogWriter, last_lines, of_rank, sources


@given(st.lists(st.lists(st.binary(max_size=40), max_size=6), min_size=1, max_size=4))
def test_what_is_written_is_read_in_order(attempts: list[list[bytes]]) -> None:
    """With segments of 64 bytes; the reader looks after every write."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "SEGMENT_BYTES", 64)
        folder = Path(name)
        reader, read = LogReader(folder, DRIVER), b""
        for number, pieces in enumerate(attempts, 1):
            writer = LogWriter(folder, DRIVER, number)
            for piece in pieces:
                writer.write(piece)
                writer.flush()
                read += b"".join(reader.new())
        everything = b"".join(piece for pieces in attempts for piece in pieces)
        assert read == everything
        assert b"".join(LogReader(folder, DRIVER).new()) == everything


def test_a_failed_write_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, working = LogWriter(tmp_path, DRIVER, 1), logs.atomic_file

    def broken(path: Path) -> object:
        raise OSError("storage is gone")

    writer.write(b"one\n")
    monkeypatch.setattr(logs, "atomic_file", broken)
    with pytest.raises(OSError, match="storage is gone"):
        writer.flush()
    monkeypatch.setattr(logs, "atomic_file", working)
    writer.write(b"two\n")
    writer.flush()
    assert b"".join(LogReader(tmp_path, DRIVER).new()) == b"one\ntwo\n"


def test_the_end_of_the_block_writes_the_rest(tmp_path: Path) -> None:
    with LogWriter(tmp_path, of_rank(3), 1) as log:
        log.write(b"epoch 1\n")
    assert sources(tmp_path) == ["rank-3"]
    assert b"".join(LogReader(tmp_path, "rank-3").new()) == b"epoch 1\n"


@pytest.mark.parametrize(
    ("count", "expected"), [(0, b""), (1, b"c\n"), (2, b"b\nc\n"), (9, b"a\nb\nc\n")]
)
def test_the_last_lines_and_what_comes_behind_them(
    tmp_path: Path, count: int, expected: bytes
) -> None:
    writer = LogWriter(tmp_path, DRIVER, 1)
    writer.write(b"a\nb\nc\n")
    writer.flush()
    text, reader = last_lines(tmp_path, DRIVER, count)
    assert text == expected
    writer.write(b"d\n")
    writer.flush()
    assert b"".join(reader.new()) == b"d\n"


def test_a_job_without_a_log_has_nothing_to_read(tmp_path: Path) -> None:
    assert list(LogReader(tmp_path, DRIVER).new()) == []
    assert sources(tmp_path) == []
