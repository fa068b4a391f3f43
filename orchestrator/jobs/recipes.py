"""Recipe files of the user's own: a job has them as they were when it was submitted.

They are copied into the job's folder, which its cluster reads, so that it neither needs to see the
user's files nor notices that they are changed while it waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.jobs.record import Job
from workloads.errors import ConfigError, IntegrityError
from workloads.files import read_bytes, size
from workloads.recipes.load import load_recipes
from workloads.recipes.own import is_file
from workloads.recipes.schema import Recipe

MOST_BYTES = 256 * 2**10


@dataclass(frozen=True, slots=True)
class OwnRecipe:
    """A recipe's file, read.

    Attributes:
        given: its path as the user wrote it.
    """

    given: str
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of its content."""
        return hashlib.sha256(self.content).hexdigest()


def chosen_recipes(
    names: Iterable[str], changes: Sequence[str]
) -> tuple[list[Recipe], tuple[OwnRecipe, ...]]:
    """The recipes of a command, and the files of those that are the user's own.

    Args:
        names: as on the command line: a name, or the path of a file.
        changes: as of `load_recipe`.

    Raises:
        ConfigError, NotFound: as `load_recipes`, or a file is larger than a recipe can be.
    """
    wanted = tuple(names)
    for name in filter(is_file, wanted):
        _check_size(Path(name).expanduser())
    recipes = list(load_recipes(wanted, changes).values())
    own = (OwnRecipe(name, read_bytes(Path(name).expanduser())) for name in wanted if is_file(name))
    return recipes, tuple(own)


def starts_of(recipes: Iterable[Recipe]) -> list[str]:
    """Names, or places of files, that recipes start from and take their ranking from."""
    return [
        text
        for recipe in recipes
        for text in (recipe.initial, *recipe.parts.values(), *recipe.evaluation.ranking)
        if text
    ]


def check_unchanged(job: Job, digests: Mapping[str, str]) -> None:
    """Refuse to go on with other recipes than those that were submitted.

    Args:
        digests: SHA-256 by the path that the user gave.

    Raises:
        IntegrityError: one is missing or was changed.
    """
    for given, digest in digests.items():
        path = job.recipe(given)
        try:
            found = OwnRecipe(given, read_bytes(path)).digest
        except FileNotFoundError:
            found = ""
        if found != digest:
            raise IntegrityError(
                f"{path}: {'was changed' if found else 'is gone'} since job '{job.name}' was "
                "submitted with it; submit the command again under another name"
            )


def _check_size(path: Path) -> None:
    try:
        found = size(path)
    except OSError:  # the reader says what is wrong with it
        return
    if found > MOST_BYTES:
        raise ConfigError(
            f"{path}: has {found / 2**10:.0f} KiB, a recipe that travels with its job at most "
            f"{MOST_BYTES // 2**10}; is it a recipe? Take out what is none"
        )
