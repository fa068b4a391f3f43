"""`wsol detect`: images asked of a running endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import OutputOption
from orchestrator.cli.output import Output, emit, make_table, note
from workloads.errors import EXIT_QUARANTINED

if TYPE_CHECKING:
    from orchestrator.client import Client, EndpointError, Options, Result

KEY_VARIABLE = "WSOL_API_KEY"
UrlOption = Annotated[str, typer.Option(metavar="URL", help="Of the endpoint.")]
KeyOption = Annotated[
    str | None,
    typer.Option(envvar=KEY_VARIABLE, help="API key, if it wants one.", show_default=False),
]
_OF_IMAGE = (400, 413, 415, 422)  # statuses of errors that another image may not have


def detect(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    url: UrlOption = "http://127.0.0.1:8000",
    key: KeyOption = None,
    model: Annotated[
        str | None, typer.Option(help="A name of its models; else its default.", show_default=False)
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Of a class to be present; else the model's.", min=0)
    ] = None,
    cutoff: Annotated[
        float | None, typer.Option(help="Of maps; else the model's.", min=0, max=1)
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Only this one; repeat for more."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write pictures of boxes and heat there, as PNG."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Find objects in images with a model that is served somewhere.

    Exit code 3 if some of the images could not be used.
    """
    from orchestrator.client import Client

    given: dict[str, Any] = {"model": model, "min_score": min_score, "cutoff": cutoff}
    options: Any = {name: value for name, value in given.items() if value is not None}
    options |= {"classes": classes} if classes else {}
    options |= {"overlay": True} if save else {}
    client = _client(Client, url, key)
    answers = [_ask(client, image, options) for image in images]
    if save:
        _save(save, images, answers)
    pairs = list(zip(images, answers, strict=True))
    value = [_facts(image, answer) for image, answer in pairs]
    emit(value, output, lambda: _table(value))
    failed = sum("error" in one for one in value)
    if failed:
        note(f"wsol: {failed} of {len(images)} images could not be used")
        raise typer.Exit(EXIT_QUARANTINED)


def _client(kind: type[Client], url: str, key: str | None) -> Client:
    from workloads.errors import ConfigError

    try:
        return kind(url, key)
    except ValueError as error:
        raise ConfigError(f"--url: {error}") from None


def _ask(client: Client, image: Path, options: Options) -> Result | EndpointError:
    from orchestrator.client import EndpointError
    from workloads.errors import InputRejected

    try:
        return client.detect(image, **options)
    except EndpointError as error:
        if error.status in _OF_IMAGE and error.code != "invalid":
            return error
        raise as_known(error) from None
    except OSError as error:
        raise InputRejected(f"{image}: {error.strerror}; give an image file") from None


def as_known(error: EndpointError) -> Exception:
    """An endpoint's error as one of ours, with the exit code of its kind."""
    from workloads.errors import ClusterError, ConfigError, NotFound, Overloaded, WsolError

    kinds: dict[str, type[WsolError]] = {
        "unreachable": ClusterError,
        "unauthorized": ConfigError,
        "invalid": ConfigError,
        "unknown_model": NotFound,
    }
    passing = error.status in (429, 503)
    return kinds.get(error.code, Overloaded if passing else WsolError)(str(error))


def _save(folder: Path, images: list[Path], answers: list[Result | EndpointError]) -> None:
    from orchestrator.client import Result

    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for image, answer in zip(images, answers, strict=True):
        if isinstance(answer, Result) and answer.overlay:
            name, count = image.stem, 2
            while name in taken:  # images of the same name from several folders
                name, count = f"{image.stem}-{count}", count + 1
            taken.add(name)
            (folder / f"{name}.png").write_bytes(answer.overlay)


def _facts(image: Path, answer: Result | EndpointError) -> dict[str, Any]:
    from orchestrator.client import Result

    if not isinstance(answer, Result):
        said = {"code": answer.code, "message": answer.message, "hint": answer.hint}
        return {"image": str(image), "error": said}
    return {
        "image": str(image),
        "model": answer.model.name,
        "version": answer.model.version,
        "width": answer.width,
        "height": answer.height,
        "detections": [
            {
                "label": one.label,
                "class": one.class_name,
                "score": one.score,
                "class_score": one.class_score,
                "box": list(one.box),
                "point": list(one.point),
            }
            for one in answer.detections
        ],
    }


def _table(value: list[dict[str, Any]]) -> Any:
    rows = []
    for one in value:
        found = one.get("detections", [])
        for box in found:
            corners = ", ".join(f"{v:.1f}" for v in box["box"])
            rows.append([one["image"], box["class"], f"{box['score']:.3f}", corners])
        if not found:
            reason = one["error"]["message"] if "error" in one else "nothing found"
            rows.append([one["image"], reason, None, None])
    return make_table(["image", "class", "score", "box"], rows)
