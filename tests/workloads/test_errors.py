"""Errors: codes that scripts rely on, and messages on one line that give nothing away."""

from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads import errors
from workloads.errors import WsolError, one_line, says_disk_full, unknown_name

KINDS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WsolError)
]
ROW = re.compile(r"^\W*([A-Z]\w+)\s+(\d+)\s+(\d+)\s", re.MULTILINE)


def test_the_table_at_the_top_is_true() -> None:
    table = {name: (int(code), int(status)) for name, code, status in ROW.findall(errors.__doc__)}
    assert table == {kind.__name__: (kind.exit_code, kind.http_status) for kind in KINDS}


def test_no_error_looks_like_success_quarantine_or_ctrl_c() -> None:
    taken = {0, errors.EXIT_QUARANTINED, errors.EXIT_INTERRUPTED}
    assert not taken & {kind.exit_code for kind in KINDS}
    assert all(400 <= kind.http_status < 600 for kind in KINDS)


def test_errors_that_differ_in_code_differ_in_kind() -> None:
    """`except InputRejected` catches what a batch quarantines, and nothing else."""
    rejected = {kind for kind in KINDS if issubclass(kind, errors.InputRejected)}
    assert {kind.__name__ for kind in rejected} == {"InputRejected", "TooLarge", "NotAnImage"}


@pytest.mark.parametrize(
    ("given_", "allowed", "said"),
    [
        ("spm", ["spn", "cam"], "unknown method 'spm'; did you mean 'spn'? (allowed: cam, spn)"),
        ("zzz", ["spn", "cam"], "unknown method 'zzz' (allowed: cam, spn)"),
        ("", ["a"], "unknown method '' (allowed: a)"),
        ("a", [], "unknown method 'a' (allowed: )"),
    ],
)
def test_an_unknown_name(given_: str, allowed: list[str], said: str) -> None:
    assert unknown_name("method", given_, allowed) == said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  two\n\tlines ", "two lines"),
        ("see http://me:secret@host/x", "see http://***@host/x"),
        ("postgresql://u:p@db/a and s3://k:s@b", "postgresql://***@db/a and s3://***@b"),
        ("mail me@host", "mail me@host"),
        ("a//b@c", "a//***@c"),
        ("bell\x07 escape\x1b[31m", "bell\\x07 escape\\x1b[31m"),
        ("name \udce9.jpg", "name \\udce9.jpg"),
        ("ünïcode ✓", "ünïcode ✓"),
        ("", ""),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@given(text=st.text(st.characters(codec=None), max_size=300))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert one_line(line) == line


def test_very_long_text_is_cut_and_says_so() -> None:
    assert len(one_line("x" * 2000)) == 2000
    cut = one_line("x" * 2001)
    assert len(cut) == 2000
    assert cut.endswith("x…")


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("[Errno 28] No space left on device", True),
        ("sqlite3.OperationalError: database or DISK IS FULL", True),
        ("Disk quota exceeded (os error 122)", True),
        ("Permission denied: /space", False),
        ("", False),
    ],
)
def test_words_of_a_full_disk(text: str, full: bool) -> None:
    assert says_disk_full(text) is full
