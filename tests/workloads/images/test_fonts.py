"""Class names of any script can be read in pictures, with the fonts that a machine has."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from workloads.images import fonts
from workloads.images.fonts import lettering


@pytest.fixture
def alone(monkeypatch):
    """A machine without fonts of its own."""
    lettering.cache_clear()
    monkeypatch.setattr(fonts, "_outlines", tuple)
    yield
    lettering.cache_clear()


@pytest.mark.parametrize("text", ["cat", "Größe ½", "пшеница", "σίτος", ""])
def test_what_the_own_font_has_is_left_as_it_is(alone, text):
    assert lettering(text, 11).text == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("小麦", "[5C0F][9EA6]"),
        ("🐻 cub", "[bear face] cub"),
        ("👍🏽", "[thumbs up sign][emoji modifier fitzpatrick type-4]"),
        ("밀", "[BC00]"),
        ("\U0001f9d1\u200d🌾", "[adult][ear of rice]"),
    ],
)
def test_letters_that_no_font_has_are_spelt_out(alone, text, shown):
    found = lettering(text, 11)
    assert found.text == shown
    assert found.font.getlength(found.text) > 0


def test_a_font_of_the_system_is_taken_if_it_has_more(monkeypatch):
    own, other = fonts._own_font(), fonts._own_font().replace("DejaVuSans.", "DejaVuSans-Bold.")
    letters = {own: frozenset(map(ord, "ab ")), other: frozenset(map(ord, "ab 小麦"))}
    monkeypatch.setattr(fonts, "_letters", letters.__getitem__)
    monkeypatch.setattr(fonts, "_outlines", lambda: (other,))
    lettering.cache_clear()
    found = {text: lettering(text, 11) for text in ("a b", "小麦 a", "小麦茶", "c")}
    lettering.cache_clear()
    assert {text: one.text for text, one in found.items()} == {
        "a b": "a b", "小麦 a": "小麦 a", "小麦茶": "小麦[8336]", "c": "[latin small letter c]"
    }  # fmt: skip
    bold = {text for text, one in found.items() if one.font.getname()[1] == "Bold"}
    assert bold == {"小麦 a", "小麦茶"}


def test_different_names_are_different_pictures(alone):
    """A font draws what it lacks as the same empty box."""

    def drawn(text: str) -> bytes:
        font, shown = lettering(text, 11)
        canvas = Image.new("L", (300, 20))
        ImageDraw.Draw(canvas).text((0, 0), shown, font=font, fill=255)
        return canvas.tobytes()

    assert len({drawn(text) for text in ("小麦", "大麦", "👍", "👎", "玉米")}) == 5


def test_a_file_that_is_no_font_has_no_letters(tmp_path):
    (tmp_path / "x.ttf").write_bytes(b"not a font")
    assert fonts._letters(str(tmp_path / "x.ttf")) == frozenset()
    assert ord("a") in fonts._letters(fonts._own_font())
