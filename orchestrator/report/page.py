"""What makes a page: templates whose values are escaped, and numbers as people read them."""

from __future__ import annotations

import jinja2

from orchestrator.report.tables import percent


def template(name: str) -> jinja2.Template:
    """A template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orchestrator.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["counted"] = counted
    return environment.get_template(name)


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun: `counted(1, "box", "boxes")` is "1 box"."""
    return f"{number:,} {one if number == 1 else many}"
