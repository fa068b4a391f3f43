"""`wsol evaluate`: metrics of a model on a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    SetOption,
    note_unmeasured,
    read_settings,
)
from orchestrator.cli.output import Output, emit, make_table, note, plain, working

if TYPE_CHECKING:
    from rich.table import Table


def evaluate(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="A model's folder, or NAME@ALIAS or NAME/VERSION (registered).")
    ],
    shards: Annotated[Path, typer.Option(metavar="FOLDER", help="What `wsol ingest` wrote.")],
    split: Annotated[
        str | None, typer.Option(help="Else data.test_split.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where metrics.json and per_image.parquet go; else a folder in the workspace.",
            show_default=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where scores and maps are stored; else a folder in the workspace.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A name from `wsol list metrics`, repeatable; else all.", show_default=False
        ),
    ] = None,
    ranking: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASSIFIER",
            help="A model's folder or 'torchvision:NAME[=FILE]' whose class probabilities take the "
            "place of the model's; repeat for an ensemble.",
            show_default=False,
        ),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Show one row per class too.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Measure a model on a split with every metric that its data allow.

    Scores and maps are stored once; measuring the same model again needs no network. What the
    metrics say about single images is written too, so that the worst ones can be looked at.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.evaluate import evaluate as work
    from workloads.shards.shards import Shards

    with working():
        used = split or settings.data.test_split
        result = work(
            settings, model, Shards.open(shards), used, settings.evaluate, out, predictions,
            metric or (), ranking or (),
        )  # fmt: skip
        value = plain(result)
    subject = f"{value['method']} on {value['backbone']}"
    note(f"{subject}: {value['images']} images of split {value['split']}")
    emit(value, output, lambda: _table(value, per_class))
    note(f"single images: {Path(value['out']) / 'per_image.parquet'}")


def _table(result: dict[str, Any], per_class: bool) -> Table:
    metrics = {name: m for name, m in result["metrics"].items() if m["counted"]}
    note_unmeasured(sorted(result["metrics"].keys() - metrics.keys()))
    interval = _interval_head(metrics)
    columns = ["metric", "class", "value", interval, "centre", "counted", "skipped"]
    rows = [row for name, metric in metrics.items() for row in _rows(name, metric, result)]
    if per_class:
        return make_table(columns, rows)
    kept = [row for row in rows if row[1] == "all"]
    return make_table([c for c in columns if c != "class"], [[r[0], *r[2:]] for r in kept])


def _interval_head(metrics: dict[str, Any]) -> str:
    levels = {metric["options"]["confidence"] for metric in metrics.values()}
    return " ".join(f"{level:.0%}" for level in sorted(levels)) + " interval"


def _rows(name: str, metric: dict[str, Any], result: dict[str, Any]) -> Iterator[list[Any]]:
    low_high = metric["interval"]
    interval = None if low_high is None else f"{low_high[0]:.3f} - {low_high[1]:.3f}"
    value, centre = _decimals(metric["value"]), _decimals(metric["centre"])
    yield [name, "all", value, interval, centre, metric["counted"], metric["skipped"]]
    for label, of_class in metric["per_class"].items():
        yield [name, result["classes"][int(label)], _decimals(of_class), *[None] * 4]


def _decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
