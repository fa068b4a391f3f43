"""`wsol promote`: a candidate becomes champion if it is better on the same images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import ConfigOption, OutputOption, SetOption, read_settings
from orchestrator.cli.output import Output, emit, make_table, note, plain, working
from workloads.errors import Conflict

if TYPE_CHECKING:
    from rich.table import Table


def promote(
    context: typer.Context,
    candidate: Annotated[
        str,
        typer.Argument(help="NAME/VERSION, NAME@ALIAS, a tuned run, or a model's folder."),
    ],
    shards: Annotated[Path, typer.Option(metavar="FOLDER", help="What `wsol ingest` wrote.")],
    split: Annotated[
        str | None, typer.Option(help="Else data.val_split.", show_default=False)
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="A name from `wsol list metrics` that decides; else registry.select_by.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move the alias whatever the comparison says.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the comparison and change nothing.")
    ] = False,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Show one row per class too.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare a candidate with the champion, and move the alias if the candidate is better.

    Both are measured on the same images. Better means that the interval of the difference (paired
    bootstrap over images) lies wholly on the candidate's side; else the command ends with code 5.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.promotion.promote import Decision
    from orchestrator.promotion.promote import promote as work
    from workloads.shards.shards import Shards

    with working():
        result = work(
            settings,
            candidate,
            Shards.open(shards),
            split or settings.data.val_split,
            metric or settings.registry.select_by,
            force=force,
            dry_run=dry_run,
        )
        value = plain(result)
    emit(value, output, lambda: _table(value["evidence"], per_class))
    if result.decision is Decision.NOT_BETTER:
        raise Conflict(_refusal(value))
    note(f"wsol: {_said(value)}")


def _table(evidence: dict[str, Any] | None, per_class: bool) -> Table:
    level = f"{evidence['confidence']:.0%} interval" if evidence else "interval"
    columns = ["metric", "class", "champion", "candidate", "difference", level, "better in"]
    rows = list(_rows(evidence, per_class)) if evidence else []
    if per_class:
        return make_table(columns, rows)
    return make_table([c for c in columns if c != "class"], [[r[0], *r[2:]] for r in rows])


def _rows(evidence: dict[str, Any], per_class: bool) -> Iterator[list[Any]]:
    for name, one in evidence["metrics"].items():
        low_high = one["interval"]
        interval = low_high and f"{low_high[0]:+.3f} to {low_high[1]:+.3f}"
        yield [name, "all", *_values(one), interval, f"{one['share_better']:.0%}"]
        for label, pair in one["per_class"].items() if per_class else ():
            yield [name, label, *_values(pair), None, None]


def _values(pair: dict[str, float]) -> list[str]:
    return [
        f"{pair['champion']:.3f}",
        f"{pair['candidate']:.3f}",
        f"{pair['difference']:+.3f}",
    ]


def _said(result: dict[str, Any]) -> str:
    """The decision in one line."""
    who, alias, before = result["candidate"], result["alias"], result["champion"]
    if result["decision"] == "same":
        return f"{who} is {alias} already; nothing to do"
    verb = "would become" if result["dry_run"] else "is now"
    reason = {
        "first": "there was none",
        "better": f"better than {before}",
        "forced": f"forced, though not better than {before}",
    }
    return f"{who} {verb} {alias}: {reason[result['decision']]}"


def _refusal(result: dict[str, Any]) -> str:
    evidence = result["evidence"]
    one = evidence["metrics"][evidence["metric"]]
    ends = "unknown" if one["interval"] is None else "{:+.4f} to {:+.4f}".format(*one["interval"])
    return (
        f"{result['candidate']} is not shown to be better than {result['champion']}, which stays "
        f"{result['alias']}: {evidence['metric']} {one['difference']:+.4f}, interval {ends} on "
        f"{evidence['images']} images of split {evidence['split']}; measure on more images, or "
        "move the alias with --force"
    )
