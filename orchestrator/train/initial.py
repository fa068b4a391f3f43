"""Initial weights of the pretrained networks inside a method."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from workloads.artifacts import sha256
from workloads.errors import ConfigError, NotFound, unknown_name
from workloads.files import is_file, is_folder
from workloads.options import Options
from workloads.recipes.schema import Recipe
from workloads.storage.addresses import absolute

if TYPE_CHECKING:
    from workloads.backbones.base import Backbone


BACKBONE = "backbone"


PUBLISHED = "imagenet"


RANDOM = "random"


class InitialWeights(Options):
    """Initial weights of one pretrained network inside a method.

    Attributes:
        part: its name among the method's `pretrained_parts`.
        path: a model folder or a weights file.
        digest: of its content.
    """

    part: str
    path: Path
    digest: str


def pretraining(recipe: Recipe, given: Collection[str] = ()) -> dict[str, str]:
    """Part to the recipe whose backbone it starts from, for those parts that start from one.

    Args:
        given: parts whose weights are there, and which therefore start from no recipe.
    """
    from workloads.recipes.load import recipe_names

    named = {BACKBONE: recipe.initial, **recipe.parts}
    known = set(recipe_names())
    return {p: source for p, source in named.items() if source in known and p not in given}


def initial_weights(
    recipe: Recipe, task: str, given: Mapping[str, str], later: Collection[str] = ()
) -> tuple[InitialWeights, ...]:
    """The weights of every part that does not start from random ones.

    Args:
        given: as `initial` of `make_spec`.
        later: parts that are left out, because their weights are still to be made.

    Raises:
        ConfigError, NotFound: as `make_spec`.
        IntegrityError: a published file whose content is not what its name says.
    """
    from workloads.recipes.network import outline

    parts = outline(recipe, task).pretrained_parts()
    for part in given:
        if part not in parts:
            raise ConfigError(f"--initial: {unknown_name('part', part, parts)}")
    named: dict[str, str | None] = {**recipe.parts, BACKBONE: recipe.initial}
    found = []
    for part, backbone in parts.items():
        if part in later:
            continue
        path = _source(recipe, part, backbone, given.get(part) or named.get(part, ""))
        if path is not None:
            found.append(InitialWeights(part=part, path=path, digest=_content_digest(path)))
    return tuple(found)


def _source(recipe: Recipe, part: str, backbone: Backbone, source: str | None) -> Path | None:
    """The file or folder of a source; None for random weights, which have to be asked for."""
    from workloads.backbones.weights import published_file
    from workloads.recipes.load import recipe_names
    from workloads.recipes.shipped import shipped

    option = "--initial" if part == BACKBONE else f"--initial {part}="
    if source is None or source == RANDOM:
        return None
    if source == PUBLISHED:
        return published_file(backbone)
    if source in recipe_names():
        if folder := shipped(source):
            return folder
        raise ConfigError(
            f"recipe '{recipe.name}' starts from weights of '{source}': train that first and "
            f"give its model folder with {option}, or let 'wsol run' do both"
        )
    if not source:
        raise ConfigError(
            f"recipe '{recipe.name}': part '{part}' needs weights; give {option} with a model "
            f"folder, a weights file, '{PUBLISHED}' or '{RANDOM}'"
        )
    return absolute(Path(source))


def _content_digest(initial: Path) -> str:
    """Names the content of a model folder or of a weights file."""
    if is_folder(initial):
        from workloads.models.model import Model

        return Model.open(initial).digest
    if not is_file(initial):
        raise NotFound(f"{initial}: no such weights file or model folder")
    return sha256(initial)


def parse_initial(given: list[str]) -> dict[str, str]:
    """`PATH` and `PART=PATH` of the command line as part to source.

    Raises:
        ConfigError: a part is given twice.
    """
    sources: dict[str, str] = {}
    for text in given:
        part, equals, source = text.partition("=")
        if not equals or not part.isidentifier():
            part, source = BACKBONE, text
        if part in sources:
            raise ConfigError(f"--initial: part '{part}' is given twice; give it once")
        sources[part] = source
    return sources
