"""Text in XML. It has no control characters but tab and newlines: those become `\\x01`."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def content(text: str) -> str:
    """Text between two tags."""
    return escape(_printable(text), {"\r": "&#13;"})  # a parser reads a bare one as a newline


def attribute(text: str) -> str:
    """The value of an attribute, with its quotes; newlines in it stay."""
    return quoteattr(_printable(text))


def _printable(text: str) -> str:
    return _NOT_IN_XML.sub(lambda found: ascii(found.group())[1:-1], text)
