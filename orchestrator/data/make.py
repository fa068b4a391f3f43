"""`wsol data make`: an embedded data set, in the workspace or where the user wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.settings import Machine
from orchestrator.config.workspace import Workspace
from orchestrator.engine.progress import Progress
from workloads.artifacts import digest
from workloads.datasets.base import Dataset
from workloads.datasets.digit_options import SPLITS, DigitsOptions
from workloads.datasets.digits import Digits, made_with, make_digits, options_for
from workloads.datasets.registry import DATASETS
from workloads.errors import ConfigError, Conflict, unknown_name
from workloads.files import there
from workloads.storage.addresses import absolute


@dataclass(frozen=True, slots=True)
class MadeData:
    """A data set that the project made.

    Attributes:
        dataset: its name for `wsol ingest --dataset`.
        images: how many, per split.
    """

    dataset: str
    root: Path
    images: dict[str, int]


def make(
    machine: Machine,
    dataset: str,
    embedded: Mapping[str, DigitsOptions],
    out: Path | None = None,
    layout: str | None = None,
) -> MadeData:
    """Make an embedded data set; an equal one that is there already is kept.

    Args:
        embedded: what each embedded data set is made of, see `Data.embedded`.
        layout: the real data set in whose layout it is written, to try that one's reader; else
            its own, which is VOC's.

    Raises:
        ConfigError: the project does not make this data set, or there is no such layout.
        Conflict: `out` holds something else.
    """
    kind = DATASETS[layout or dataset]
    options = options_for(kind, _options(embedded, dataset))
    root = absolute(out) if out else _default_root(machine, dataset, kind, options)
    if not there(root):
        total = sum(options.count(split) for split in SPLITS)
        with Progress(total, "images", f"make {dataset}") as progress:
            make_digits(root, options, lambda done, _: progress.advance_to(done), kind)
    elif not _is_made_with(root, kind, options):
        raise Conflict(f"{root}: holds something else; choose another --out or remove it")
    source = kind(root)
    return MadeData(kind.name, root, {s: len(source.items(s)) for s in source.splits()})


def made_names() -> list[str]:
    """Names of the data sets that the project makes."""
    return [name for name, kind in DATASETS.items() if issubclass(kind, Digits)]


def _options(embedded: Mapping[str, DigitsOptions], dataset: str) -> DigitsOptions:
    if dataset not in embedded:
        raise ConfigError(unknown_name("embedded data set", dataset, embedded))
    return embedded[dataset]


def _default_root(
    machine: Machine, dataset: str, kind: type[Dataset], options: DigitsOptions
) -> Path:
    """In the workspace, one folder for each choice of options."""
    key = digest({"layout": kind.name, **options.model_dump(mode="json")})[:12]
    return Workspace(machine.workspace).made_data(f"{dataset}-{key}")


def _is_made_with(root: Path, kind: type[Dataset], options: DigitsOptions) -> bool:
    made = made_with(root)
    return made is not None and (made[0], made[1].model_dump()) == (
        kind.name,
        options.model_dump(),
    )
