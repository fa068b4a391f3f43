"""Text for one line of a terminal or a log."""

from __future__ import annotations

import re

_MAX_CHARACTERS = 2000


def one_line(text: str) -> str:
    """Printable text on one line, without passwords of addresses, cut if it is very long."""
    flat = " ".join(text.split())
    flat = re.sub(r"(?<=//)[^/\s]+@", "***@", flat)
    flat = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in flat)
    return flat if len(flat) <= _MAX_CHARACTERS else flat[: _MAX_CHARACTERS - 1] + "…"
