"""`wsol annotate`: boxes for a collection of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import (
    ConfigOption,
    OutputOption,
    QuarantinedOption,
    SetOption,
    champion,
    exit_if_quarantined,
    read_settings,
)
from orchestrator.cli.output import (
    Output,
    bars,
    cell,
    emit,
    facts_table,
    make_table,
    note,
    plain,
    working,
)

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.annotate.annotate import AnnotateResult


def annotate(
    context: typer.Context,
    images: Annotated[
        Path,
        typer.Argument(
            help="A folder, a 'pattern/**/*.jpg', a list (.txt), tar files ('x-{000..063}.tar'), "
            "or Parquet with bytes or paths; also in a bucket."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the annotations go.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME@ALIAS",
            help="Also NAME/VERSION or a model's folder; else the settings' champion. Several, "
            "repeated, look at each image in turn; each has a folder in --out.",
            show_default=False,
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="See `wsol list formats`; repeat for more.",
            show_default="coco and parquet",
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Take in new images, and leave out those that are gone."),
    ] = False,
    teach: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the boxes of classes that the model is sure of (annotate.teach_score) as "
            "COCO and YOLO, to train a detector on.",
            show_default=False,
        ),
    ] = None,
    max_quarantined: QuarantinedOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Annotate a whole image collection with a registered model.

    A stopped annotation continues where it was; a finished one is a no-op, unless --update finds
    new images. Exit code 3 if any image
    was quarantined, 2 if none could be read or more than --max-quarantined were.
    """
    settings = read_settings(context, config, overrides)
    from orchestrator.annotate.annotate import annotate_with, places

    with working():
        share = settings.annotate.max_quarantined if max_quarantined is None else max_quarantined
        found = annotate_with(
            settings, images, places(out, model or [champion(settings)]),
            formats=formats, kept=settings.annotate.kept, max_quarantined=share, update=update,
        )  # fmt: skip
        if teach:
            _teach(found, teach, settings.annotate.teach_score)
    if len(found) == 1:
        emit(found[0], output, lambda: facts_table(_shown(found[0])))
        exit_if_quarantined(plain(found[0]))
        return
    emit(found, output, lambda: _table(found))
    if any(result.quarantined for result in found):
        exit_if_quarantined(plain(found[0]))


_SHOWN_CLASSES = 10


def _teach(found: list[AnnotateResult], folder: Path, min_score: float) -> None:
    """Write what a detector may learn from, and say how much that is."""
    from workloads.annotation.store import AnnotationStore
    from workloads.annotation.teach import write_lesson
    from workloads.storage.addresses import check_address

    check_address(folder, "--teach")
    for one in found:
        place = folder / one.out.name if len(found) > 1 else folder
        lesson = write_lesson(AnnotationStore.open(one.out), place, min_score)
        note(
            f"wsol: {place}: {lesson.boxes} boxes of {lesson.images} images to learn from, "
            f"{lesson.left_out} left out ({lesson.rule})"
        )


def _shown(found: AnnotateResult) -> dict[str, object]:
    """The facts for people: the commonest classes, and the histogram as a picture."""
    facts: dict[str, object] = dict(plain(found))
    best = sorted(found.classes.items(), key=lambda one: -one[1])
    more = f" and {len(best) - _SHOWN_CLASSES} more" if len(best) > _SHOWN_CLASSES else ""
    facts["classes"] = f"{cell(dict(best[:_SHOWN_CLASSES]))}{more}"
    facts["score_histogram"] = f"0 {bars(found.score_histogram)} 1"
    return facts


def _table(found: list[AnnotateResult]) -> Table:
    columns = ["out", "read", "quarantined", "boxes", "images_per_s"]
    return make_table(columns, [[getattr(one, name) for name in columns] for one in found])
