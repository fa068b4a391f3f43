"""The quarantine list: written, read back, damaged."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.artifacts import QUARANTINE
from workloads.errors import IntegrityError
from workloads.shards.quarantine import Quarantined, kind_of, quarantined, reasons, write_quarantine

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
ENTRIES = st.lists(st.builds(Quarantined, TEXTS, TEXTS, TEXTS, TEXTS), max_size=6)


@settings(max_examples=60, deadline=None)
@given(entries=ENTRIES)
def test_it_reads_back_whatever_the_names_are(entries: list[Quarantined]) -> None:
    """Even names that are no UTF-8, and reasons of several lines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_quarantine(folder / QUARANTINE, entries)
        read = list(quarantined(folder))
        assert (folder / QUARANTINE).read_bytes().isascii()
        assert (folder / QUARANTINE).read_bytes().count(b"\n") == len(entries)
    key = lambda e: (e.split, e.image_id, e.reason)  # noqa: E731
    assert [key(entry) for entry in read] == sorted(map(key, entries))
    assert sorted(map(repr, read)) == sorted(map(repr, entries))


def test_order_is_split_then_image_then_reason(tmp_path: Path) -> None:
    rows = [("b", "val", "x"), ("b", "train", "y"), ("b", "train", "x"), ("a", "train", "z")]
    entries = [Quarantined(image, "p", split, reason) for image, split, reason in rows]
    write_quarantine(tmp_path / QUARANTINE, entries)
    read = [(e.image_id, e.split, e.reason) for e in quarantined(tmp_path)]
    assert read == [rows[3], rows[2], rows[1], rows[0]]
    write_quarantine(tmp_path / "again", reversed(entries))
    assert (tmp_path / "again").read_bytes() == (tmp_path / QUARANTINE).read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[1, 2]\n",
        '{"image_id": "a"}\n',
        '{"image_id": "a", "path": "", "split": "", "reason": "", "more": 1}\n',
        "\n",
    ],
)
def test_a_damaged_list_is_one_line_that_names_the_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / QUARANTINE
    if text is not None:
        path.write_text(text)
    with pytest.raises(IntegrityError) as caught:
        list(quarantined(tmp_path))
    message = str(caught.value)
    assert message.startswith(f"{path}: missing or damaged (")
    assert message.endswith("); ingest again")
    assert "\n" not in message


def test_what_stands_before_the_damage_is_read_one_at_a_time(tmp_path: Path) -> None:
    good = Quarantined("a", "a.jpg", "train", "empty")
    write_quarantine(tmp_path / QUARANTINE, [good])
    with (tmp_path / QUARANTINE).open("a") as file:
        file.write('{"image_id": "b", "pa')
    entries = quarantined(tmp_path)
    assert next(entries) == good
    with pytest.raises(IntegrityError):
        next(entries)


def test_equal_counts_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    texts = ["empty", "cut off", "empty", "cut off", "not an image"]
    entries = [Quarantined(f"i{k}", "p", "train", text) for k, text in enumerate(texts)]
    write_quarantine(tmp_path / QUARANTINE, entries)
    found = reasons(tmp_path, "train")
    assert [(r.kind, r.count) for r in found] == [("cut off", 2), ("empty", 2), ("not an image", 1)]
    assert reasons(tmp_path, "no such split") == ()


@given(width=st.integers(1, 10**6), name=st.from_regex(r"[a-z]{5,9}\.jpg", fullmatch=True))
def test_what_differs_between_images_makes_no_new_kind(width: int, name: str) -> None:
    entry = Quarantined(name, f"images/{name}", "train", f"images/{name}: {width} pixels; crop it")
    assert kind_of(entry) == "… pixels"


def test_an_id_within_a_word_is_not_an_id() -> None:
    assert kind_of(Quarantined("a", "", "t", "a has a bad header")) == "… has … bad header"
    assert kind_of(Quarantined("head", "", "t", "a bad header")) == "a bad header"
