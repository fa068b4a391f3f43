"""Shell of all pages: templates with escaped values, and numbers as people read them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jinja2


def template(name: str) -> jinja2.Template:
    """A template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orchestrator.pages", ""),
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


TASKS = {"multilabel": "several labels per image", "singlelabel": "one label per image"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A named fact, with smaller lines below it."""

    name: str
    value: str
    more: tuple[str, ...] = ()


def percent(value: float | None, decimals: int = 1) -> str:
    """A value in [0, 1] in percent; an en dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{decimals}f}"
