"""Specification of a training: everything that decides its result, and its initial network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config.places import restored, stored
from orchestrator.config.settings import LoaderName, Machine
from orchestrator.config.workspace import RunPaths
from orchestrator.engine.connect import training_loader, training_workers
from orchestrator.train.initial import InitialWeights, initial_weights
from workloads.artifacts import digest, exists, is_sealed, read_json, write_json
from workloads.errors import ConfigError, NotFound, unknown_name
from workloads.images.decode import ImageLimits
from workloads.options import Options
from workloads.proposals.options import ProposalOptions
from workloads.proposals.proposals import Proposals
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe
from workloads.shards.shards import Shards
from workloads.storage.storage import storage_of

if TYPE_CHECKING:
    from workloads.methods.base import Method

# What a recipe says about its row of a paper; the model is the same without it.
NOT_TRAINING = {"summary", "published", "row", "quoted", "splits", "metric", "deviations"}


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
    loader: LoaderName = "shards"
    limits: ImageLimits
    initial: tuple[InitialWeights, ...] = ()
    proposals: Path | None = None
    proposals_digest: str | None = None

    def identity(self) -> str:
        """Digest of what decides the result."""
        return digest(self.deciding())

    def deciding(self) -> dict[str, Any]:
        """Everything that decides the result; places of shards and weights do not."""
        values = self.model_dump(mode="json", exclude={"shards", "initial", "proposals"})
        recipe = {k: v for k, v in values["recipe"].items() if k not in NOT_TRAINING}
        initial = [[start.part, start.digest] for start in self.initial]
        return {**values, "recipe": recipe, "initial": initial}


def make_spec(
    machine: Machine,
    recipe: Recipe | str,
    shards: Shards,
    splits: tuple[str, str],
    *,
    epochs: int | None = None,
    initial: Mapping[str, str] | None = None,
    proposals: Proposals | None = None,
) -> TrainSpec:
    """The specification of a training of `recipe` on `shards`.

    Args:
        splits: to learn from, and to validate on.
        epochs: instead of the recipe's.
        initial: part to what it starts from: a model folder, a weights file, "imagenet" for
            torchvision's weights placed in torch's folder, or "random".
        proposals: for methods that learn from them.

    Raises:
        ConfigError: a part's weights are neither given nor named by the recipe; an unknown part; no
            image to learn from has a class; or the proposals are not those that the recipe wants.
        NotFound: no such split or weights.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if epochs is not None:
        train = chosen.train.model_copy(update={"epochs": epochs})
        chosen = chosen.model_copy(update={"train": train})
    for key, split in zip(("train_split", "val_split"), splits, strict=True):
        if split not in shards.splits:
            raise NotFound(
                f"{shards.folder}: {unknown_name('split', split, shards.splits)}; "
                f"name one with --set data.{key}=NAME"
            )
    shards.require_positives(splits[0])
    if proposals is not None:
        _check_proposals(chosen, proposals, shards)
    return TrainSpec(
        recipe=chosen,
        shards=shards.folder,
        shards_digest=shards.digest,
        train_split=splits[0],
        val_split=splits[1],
        classes=shards.classes,
        task=shards.task,
        workers=training_workers(machine),
        loader=training_loader(machine),
        limits=machine.images,
        initial=initial_weights(chosen, shards.task, initial or {}),
        proposals=proposals.folder if proposals else None,
        proposals_digest=proposals.digest if proposals else None,
    )


def _check_proposals(recipe: Recipe, proposals: Proposals, shards: Shards) -> None:
    """Refuse proposals that were made with other options than the recipe's own.

    Raises:
        ConfigError: the first option, with both values and the command that makes the right ones.
    """
    wanted = ProposalOptions.parse(recipe.proposals, f"proposals of recipe {recipe.name}")
    for name in recipe.proposals:
        value, found = getattr(wanted, name), proposals.options.get(name)
        if found != value:
            sets = " ".join(f"--set proposals.{key}={v}" for key, v in recipe.proposals.items())
            raise ConfigError(
                f"{proposals.folder}: made with {name} {found}, recipe '{recipe.name}' wants "
                f"{value}; make them with: wsol proposals {shards.folder} {sets}"
            )


def build(spec: TrainSpec) -> Method:
    """The network of a spec as its training starts."""
    from workloads.recipes.network import new_network

    initial = {start.part: start.path for start in spec.initial}
    return new_network(spec.recipe, spec.task, len(spec.classes), initial)


def check_enough_images(spec: TrainSpec) -> None:
    """Refuse a training without one batch, before workers start for it.

    Raises:
        ConfigError: the split to learn from has too few images.
    """
    from workloads.training.shard_source import Pace, check_images

    train = spec.recipe.train
    if train.balance:  # repeats images; how often, the loader finds out
        return
    images = Shards.open(spec.shards).splits[spec.train_split].read
    pace = Pace(train.batch_size, train.last_batch)
    check_images(spec.shards, spec.train_split, images, spec.workers, pace)


def unseen_classes(spec: TrainSpec) -> tuple[str, ...]:
    """Classes of which no image to learn from has an object that is not difficult."""
    counts = Shards.open(spec.shards).splits[spec.train_split].label_counts
    return tuple(name for name, count in zip(spec.classes, counts, strict=True) if not count)


def proposals_of(recipe: Recipe, settings: ProposalOptions) -> ProposalOptions:
    """Options of the object proposals of a recipe: its own over those of the settings."""
    return ProposalOptions.parse({**settings.model_dump(), **recipe.proposals}, "proposals")


def needs_proposals(recipe: Recipe, task: str) -> bool:
    """Whether a training learns from what `wsol proposals` makes."""
    from workloads.recipes.network import outline

    return outline(recipe, task).needs_proposals


def parameters(spec: TrainSpec) -> dict[str, Any]:
    """Parameters of a training for the tracker."""
    return {
        **spec.recipe.model_dump(mode="json", exclude={"summary", "published"}),
        "shards_digest": spec.shards_digest,
        "workers": spec.workers,
    }


def save_spec(paths: RunPaths, spec: TrainSpec) -> None:
    """Write what a run was asked for; places in its workspace are those of wherever that is."""
    values = {"identity": spec.identity(), **spec.model_dump(mode="json")}
    write_json(paths.spec, stored(values, paths.place))


def spec_of(paths: RunPaths) -> TrainSpec:
    """The specification of a finished run."""
    if not exists(paths.spec):
        found = storage_of(paths.folder).entries(paths.folder.parent)
        known = ", ".join(sorted(p.name for p in found if exists(RunPaths(p).spec))) or "none"
        raise NotFound(f"no run '{paths.name}' in {paths.folder.parent} (there: {known})")
    if not is_sealed(paths.model):
        raise NotFound(f"run '{paths.name}' is not finished; continue it: wsol train ... --resume")
    values = restored(read_json(paths.spec), paths.place)
    values.pop("identity")
    return TrainSpec.parse(values, str(paths.spec))
