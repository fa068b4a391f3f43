"""A row of docs/fidelity.md: what was compared, how far apart, and what is allowed."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One comparison.

    Attributes:
        name: the metric, step or method, with its network.
        what: what was compared.
        difference: the largest one.
        tolerance: the largest one that is allowed.
    """

    name: str
    what: str
    difference: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether it is allowed; NaN is not."""
        return self.difference <= self.tolerance


def table(rows: list[Row]) -> str:
    """The rows as a table of Markdown."""
    lines = [f"| {r.name} | {r.what} | {r.difference:.1e} | {r.tolerance:g} |" for r in rows]
    head = ("| what | compared | largest difference | tolerance |", "| --- | --- | --- | --- |")
    return "\n".join([*head, *lines]) + "\n"


def parsed(page: str) -> list[Row]:
    """The rows that `table` wrote into a page's measured part.

    Raises:
        ValueError: a row has no figures.
    """
    _, _, rest = page.partition(START)
    lines = [line for line in rest.partition(END)[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [Row(name, what, float(value), float(allowed)) for name, what, value, allowed in cells]


START, END = "<!-- measured -->\n", "<!-- end of measured -->"
