"""Messages of errors: one printable line, without secrets, with the nearest name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads import errors
from workloads.errors import WsolError, one_line, says_disk_full, unknown_name

TREE = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WsolError)
}


def documented() -> dict[str, tuple[int, int]]:
    """Name to exit code and HTTP status, from the table on top of the module."""
    lines = [line.strip("│├└─ ").split() for line in (errors.__doc__ or "").splitlines()]
    rows = [words for words in lines if len(words) > 3 and words[1].isdigit()]
    return {name: (int(code), int(status)) for name, code, status, *_ in rows}


def test_the_table_of_errors_is_what_the_classes_say() -> None:
    assert documented() == {n: (kind.exit_code, kind.http_status) for n, kind in TREE.items()}


def test_no_error_ends_like_quarantine_an_interruption_or_success() -> None:
    taken = {0, errors.EXIT_QUARANTINED, errors.EXIT_INTERRUPTED}
    assert not taken & {kind.exit_code for kind in TREE.values()}


@pytest.mark.parametrize(
    ("given_name", "message"),
    [
        ("rign", "unknown shape 'rign'; did you mean 'ring'? (allowed: bar, disc, ring)"),
        ("zzzz", "unknown shape 'zzzz' (allowed: bar, disc, ring)"),
        ("", "unknown shape '' (allowed: bar, disc, ring)"),
    ],
)
def test_an_unknown_name_has_a_hint_only_if_one_is_near(given_name: str, message: str) -> None:
    assert unknown_name("shape", given_name, ["ring", "disc", "bar"]) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two\n  lines\tand\r\nmore ", "two lines and more"),
        ("at https://me:secret@host/a failed", "at https://***@host/a failed"),
        ("http://a:b@h and s3://c:d@k", "http://***@h and s3://***@k"),
        ("mail me@host about //host/a@b", "mail me@host about //host/a@b"),
        ("a\x1b[31mred\x00", r"a\x1b[31mred\x00"),
        ("\u202eevil", r"\u202eevil"),
        ("Zürich 東京", "Zürich 東京"),
        ("name \udcff", r"name \udcff"),
    ],
)
def test_one_line_by_hand(text: str, expected: str) -> None:
    assert one_line(text) == expected


@given(st.text(max_size=60))
def test_any_text_becomes_one_printable_line_and_stays_so(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line


@pytest.mark.parametrize("length", [1999, 2000, 2001, 9000])
def test_a_very_long_line_is_cut_and_shows_it(length: int) -> None:
    line = one_line("x" * length)
    assert len(line) == min(length, 2000)
    assert line.endswith("…") == (length > 2000)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("[Errno 28] No space left on device: '/x'", True),
        ("I/O error: Disk quota exceeded (os error 122)", True),
        ("database or DISK IS FULL", True),
        ("no such file", False),
    ],
)
def test_the_words_of_a_full_disk(text: str, full: bool) -> None:
    assert says_disk_full(text) is full
