"""What a training is: everything that decides its result, and the network that it starts from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config.settings import Settings
from workloads.artifacts import digest, read_manifest, sha256
from workloads.errors import ConfigError, NotFound, unknown_name
from workloads.images.decode import ImageLimits
from workloads.options import Options
from workloads.recipes import Recipe, load_recipe
from workloads.shards.manifest import read_shard_manifest

if TYPE_CHECKING:
    from workloads.backbones.base import Backbone
    from workloads.methods.base import Method

BACKBONE = "backbone"
PUBLISHED = "imagenet"
RANDOM = "random"
# What a recipe says about its row of a paper; the model is the same without it.
NOT_TRAINING = {"summary", "published", "row", "quoted", "splits", "metric"}


class InitialWeights(Options):
    """Where one pretrained network inside a method starts from.

    Attributes:
        part: its name among the method's `pretrained_parts`.
        path: a model folder or a weights file.
        digest: of its content.
    """

    part: str
    path: Path
    digest: str


class TrainSpec(Options):
    """Everything that decides the result of one training; its digest names it."""

    recipe: Recipe
    shards: Path
    shards_digest: str
    train_split: str
    val_split: str
    classes: tuple[str, ...]
    task: str
    workers: int
    limits: ImageLimits
    initial: tuple[InitialWeights, ...] = ()
    proposals: Path | None = None
    proposals_digest: str | None = None

    def identity(self) -> str:
        """Digest of what decides the result; where shards and weights lie does not."""
        values = self.model_dump(mode="json", exclude={"shards", "initial", "proposals"})
        recipe = {k: v for k, v in values["recipe"].items() if k not in NOT_TRAINING}
        initial = [[start.part, start.digest] for start in self.initial]
        return digest({**values, "recipe": recipe, "initial": initial})


def make_spec(
    settings: Settings,
    recipe: Recipe | str,
    shards: Path,
    epochs: int | None = None,
    initial: Mapping[str, str] | None = None,
    proposals: Path | None = None,
) -> TrainSpec:
    """What a training of `recipe` on `shards` would be.

    Args:
        epochs: instead of the recipe's.
        initial: part to what it starts from: a model folder, a weights file, "imagenet" for
            torchvision's weights placed in torch's folder, or "random".
        proposals: folder of `wsol proposals`, for methods that learn from them.

    Raises:
        ConfigError: a part's weights are neither given nor named by the recipe; an unknown part.
        NotFound: no such split, weights or proposals.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if epochs is not None:
        train = chosen.train.model_copy(update={"epochs": epochs})
        chosen = chosen.model_copy(update={"train": train})
    manifest = read_shard_manifest(shards)
    data = settings.job.data
    for key, split in (("train_split", data.train_split), ("val_split", data.val_split)):
        if split not in manifest.splits:
            raise NotFound(
                f"{shards}: {unknown_name('split', split, manifest.splits)}; "
                f"name one with --set job.data.{key}=NAME"
            )
    return TrainSpec(
        recipe=chosen,
        shards=shards.resolve(),
        shards_digest=read_manifest(shards, "shards")["digest"],
        train_split=data.train_split,
        val_split=data.val_split,
        classes=manifest.classes,
        task=manifest.task,
        workers=settings.resources.train.workers,
        limits=settings.images,
        initial=initial_weights(chosen, manifest.task, initial or {}),
        proposals=proposals.resolve() if proposals else None,
        proposals_digest=read_manifest(proposals, "proposals")["digest"] if proposals else None,
    )


def build(spec: TrainSpec) -> Method:
    """The network of a spec as its training starts."""
    import torch

    from workloads.backbones.weights import load_weights
    from workloads.training.checkpoints import load_initial

    torch.manual_seed(spec.recipe.train.seed)
    method = _network(spec.recipe, spec.task, len(spec.classes))
    parts = method.pretrained_parts()
    for start in spec.initial:
        load = load_initial if start.path.is_dir() else load_weights
        load(parts[start.part], start.path)
    return method


def pretraining(recipe: Recipe, given: Collection[str] = ()) -> dict[str, str]:
    """Part to the recipe whose backbone it starts from, for those parts that start from one.

    Args:
        given: parts whose weights are there, and which therefore start from no recipe.
    """
    from workloads.recipes import recipe_names

    named = {BACKBONE: recipe.initial, **recipe.parts}
    known = set(recipe_names())
    return {p: source for p, source in named.items() if source in known and p not in given}


def needs_proposals(recipe: Recipe, task: str) -> bool:
    """Whether a training learns from what `wsol proposals` makes."""
    return _network(recipe, task).needs_proposals


def image_size(recipe: Recipe) -> int:
    """Side of the network's input in pixels."""
    from workloads.backbones import BACKBONES

    return recipe.train.image_size or BACKBONES[recipe.backbone].input_size


def _network(recipe: Recipe, task: str, classes: int = 2) -> Method:
    """The default is for what does not depend on the classes; one alone has no softmax."""
    from workloads.methods import build_method

    return build_method(
        recipe.method, recipe.backbone, classes, task, recipe.preset, recipe.method_options
    )


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
    parts = _network(recipe, task).pretrained_parts()
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
    from workloads.recipes import recipe_names

    option = "--initial" if part == BACKBONE else f"--initial {part}="
    if source is None or source == RANDOM:
        return None
    if source == PUBLISHED:
        return published_file(backbone)
    if source in recipe_names():
        raise ConfigError(
            f"recipe '{recipe.name}' starts from weights of '{source}': train that first and "
            f"give its model folder with {option}, or let 'wsol run' do both"
        )
    if not source:
        raise ConfigError(
            f"recipe '{recipe.name}': part '{part}' needs weights; give {option} with a model "
            f"folder, a weights file, '{PUBLISHED}' or '{RANDOM}'"
        )
    return Path(source).expanduser().resolve()


def _content_digest(initial: Path) -> str:
    """Names the content of a model folder or of a weights file."""
    if initial.is_dir():
        return str(read_manifest(initial, "model")["digest"])
    if not initial.is_file():
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


def parameters(spec: TrainSpec) -> dict[str, Any]:
    """What the tracker is told about a training."""
    return {
        **spec.recipe.model_dump(mode="json", exclude={"summary", "published"}),
        "shards_digest": spec.shards_digest,
        "workers": spec.workers,
    }
