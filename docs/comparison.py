"""Write what `wsol bench methods` found into README, comparison.md and images."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.settings import load_settings
from orchestrator.config.workspace import Workspace
from workloads.artifacts import read_json

PAGE = Path(__file__).parent / "comparison.md"
README = Path(__file__).parents[1] / "README.md"
IMAGES = Path(__file__).parent / "images"
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"
# The claims are about these; the report has all metrics of the plan.
COLUMNS = {
    "several": ("pointing", "pointing_diff", "pointing_map", "classification_map", "gt_known"),
    "single": ("gt_known", "max_box_acc_v2", "top1_loc", "top1_error"),
    "marks": ("gt_known", "max_box_acc_v2", "top1_loc", "top1_error"),
    "pairs": ("classification_map", "pointing_map", "pointing"),
}


def sections(report: Mapping[str, Any]) -> Iterator[str]:
    """Claims, then one table and one picture for each data set."""
    head = ["paper", "expected", "on", "metric", "seen", "seeds", "holds"]
    yield table(head, list(claims(report)))
    for data, metrics in COLUMNS.items():
        rows = [
            [f"`{row['reading']}`", *(spread(row[metric]) for metric in metrics)]
            for row in report["table"]
            if row["data"] == data
        ]
        yield f"## {data}\n\n" + table(["", *metrics], rows)
        yield f"![The same images of {data} by every method](images/methods-{data}.jpg)\n"


def claims(report: Mapping[str, Any]) -> Iterator[list[str]]:
    """What became of each."""
    for claim in report["claims"]:
        pair = f"{spread(claim['better'])} against {spread(claim['than'])}"
        seeds = f"{claim['seeds_for']} of {claim['seeds']}"
        holds = "yes" if claim["holds"] else "**no**"
        yield [*(claim[k] for k in ("paper", "text", "data", "metric")), pair, seeds, holds]


def summary(report: Mapping[str, Any]) -> str:
    """The claims for readers in a hurry."""
    wanted = (1, 2, 4, 5, 6)
    head = ["expected", "on", "seen, mean ± deviation", "seeds", "holds"]
    return table(head, [[claim[i] for i in wanted] for claim in claims(report)])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spread(value: Mapping[str, float | None]) -> str:
    """Mean and standard deviation over seeds."""
    mean, deviation = value["mean"], value["deviation"]
    if mean is None or mean != mean:
        return "–"
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"


def main() -> None:
    """Replace what stands between the marks, and the pictures."""
    folder = Workspace(load_settings().workspace).folder / "bench" / "methods"
    if not (folder / "report.json").exists():
        sys.exit(f"{folder / 'report.json'}: not there yet; run wsol bench methods first")
    report = read_json(folder / "report.json")
    replace(PAGE, "\n".join(sections(report)))
    replace(README, summary(report))
    for data in COLUMNS:
        shutil.copyfile(folder / f"{data}.jpg", IMAGES / f"methods-{data}.jpg")


def replace(page: Path, measured: str) -> None:
    """Put new text between the marks of a page."""
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}{measured}{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
