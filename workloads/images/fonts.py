"""A font for any text, and the text as that font can write it.

The font that comes with Matplotlib has Latin, Greek, Cyrillic and more, but no Chinese and few
pictographs. Where it lacks a letter, fonts of the system are asked; where none has it, the letter
is written as its name.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

_JOINERS = {0x200D, 0xFE0E, 0xFE0F}  # between or behind pictographs, without a shape of their own


class Lettering(NamedTuple):
    """A font, and a text that it can write."""

    font: ImageFont.FreeTypeFont
    text: str


@cache
def lettering(text: str, size_px: int) -> Lettering:
    """The font that has the most letters of a text; those that it lacks are spelt out."""
    needed = {ord(letter) for letter in text} - _JOINERS
    path = _own_font()
    if needed - _letters(path):
        found = min(_outlines(), key=lambda other: len(needed - _letters(other)), default=path)
        if len(needed - _letters(found)) < len(needed - _letters(path)):
            path = found
    font = ImageFont.truetype(path, size_px)
    if needed <= _letters(path):
        return Lettering(font, text)
    return Lettering(font, "".join(_spelt(letter, _letters(path)) for letter in text))


def _spelt(letter: str, letters: frozenset[int]) -> str:
    """A letter, or its name: [thumbs up sign], [5C0F] of one that is only numbered."""
    if ord(letter) in _JOINERS:
        return ""
    if ord(letter) in letters:
        return letter
    name = unicodedata.name(letter, "")
    numbered = not name or "IDEOGRAPH" in name or "HANGUL SYLLABLE" in name
    return f"[{ord(letter):04X}]" if numbered else f"[{name.lower()}]"


def _own_font() -> str:
    return str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@cache
def _outlines() -> tuple[str, ...]:
    """Fonts of the system in a fixed order, those without fixed sizes."""
    return tuple(path for path in sorted(font_manager.findSystemFonts()) if _letters(path))


@cache
def _letters(path: str) -> frozenset[int]:
    """Code points that a font has; none of one that cannot be used."""
    try:
        face = FT2Font(path)
        return frozenset(face.get_charmap()) if face.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()
