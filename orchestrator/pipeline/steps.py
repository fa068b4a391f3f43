"""Idempotent steps shared by `wsol run` and `wsol reproduce`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from orchestrator.config.places import stored
from orchestrator.config.settings import Data, Evaluate, Settings, Tune
from orchestrator.config.workspace import PipelinePaths, Workspace
from orchestrator.data.make import MadeData, make
from orchestrator.engine.connect import connect
from orchestrator.ingest import IngestResult, ingest
from orchestrator.pipeline.stages import Stages
from orchestrator.proposals import propose
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.initial import initial_weights, pretraining
from orchestrator.train.spec import make_spec, needs_proposals, proposals_of
from orchestrator.train.train import TrainResult, train
from orchestrator.tune.stored_maps import Tuned
from orchestrator.tune.tune import tune_run
from workloads.artifacts import digest
from workloads.datasets.registry import DATASETS
from workloads.errors import ConfigError
from workloads.recipes.load import load_recipe
from workloads.recipes.schema import Recipe
from workloads.recipes.shipped import shipped
from workloads.shards.shards import Shards
from workloads.storage.addresses import absolute


class Steps:
    """From a data set to tuned models; a step that was done before is not repeated.

    Args:
        settings: the machine, and what embedded data and proposals are made of.
        data: the data set and its splits.
        leaving: what ends with the pipeline.
    """

    def __init__(
        self, settings: Settings, data: Data, paths: PipelinePaths, leaving: ExitStack
    ) -> None:
        self.settings, self.data, self.paths, self.leaving = settings, data, paths, leaving
        self.stages = Stages(paths, self.prepare)
        self.parent: str | None = None

    def prepare(self) -> None:
        """Start the engine and the tracker for all steps; a finished pipeline needs neither."""
        self.leaving.enter_context(connect(self.settings))
        self.tracker = Tracker(self.settings)

    def make(self, dataset: str, layout: str | None = None) -> Path:
        """The folder of the data set: the user's, or one that is made now."""
        if self.data.root is not None:
            return absolute(self.data.root)
        return self.stages.run("data", MadeData, partial(self._made, dataset, layout)).root

    def ingest(self, root: Path, splits: Sequence[str] = ()) -> IngestResult:
        """Shards of the data set."""
        work = partial(self._ingested, self.data.dataset, root, splits)
        return self.stages.run("ingest", IngestResult, work)

    def pretrain(self, starts: Iterable[str], epochs: int | None = None) -> dict[str, Path]:
        """Recipe name to the model that others start from: the shipped one, else trained now."""
        return {
            name: shipped(name)
            or self.stages.run(
                f"pretrain-{name}", TrainResult, partial(self._pretrained, name, epochs)
            ).model
            for name in sorted(set(starts))
        }

    def train(
        self,
        stage: str,
        recipe: Recipe,
        shards: Shards,
        starts: Mapping[str, Path],
        initial: Mapping[str, str],
        epochs: int | None = None,
    ) -> TrainResult:
        """A model of a recipe.

        Args:
            starts: what `pretrain` gave.
            initial: as in `make_spec`; it wins.
        """
        started = {p: str(starts[name]) for p, name in pretraining(recipe, initial).items()}
        splits = (self.data.train_split, self.data.val_split)
        given = {**started, **initial}
        work = partial(self._trained, recipe, shards, splits, given, epochs)
        return self.stages.run(stage, TrainResult, work)

    def tune(self, stage: str, recipe: str, search: Tune, measure: Evaluate) -> Tuned:
        """The cut-offs of a trained recipe."""
        run = self.paths.run(recipe)

        def work() -> Tuned:
            return tune_run(self.settings, run, search, measure, self.tracker).best

        return self.stages.run(stage, Tuned, work)

    def _made(self, dataset: str, layout: str | None) -> MadeData:
        return make(self.settings, dataset, self.data.embedded, layout=layout)

    def _ingested(self, dataset: str, root: Path, splits: Sequence[str]) -> IngestResult:
        """Shards in the workspace, one folder for each data set on disk and choice of splits."""
        place = stored(str(root), self.paths.place)  # a workspace that moved has the same
        key = digest({"root": place, "dataset": dataset, "splits": list(splits)})[:12]
        out = Workspace(self.settings.workspace).shards(f"{dataset}-{key}")
        how = self.settings.ingest
        return ingest(
            self.settings, dataset, root, out, splits, how.options,
            max_quarantined=how.max_quarantined,
        )  # fmt: skip

    def _pretrained(self, name: str, epochs: int | None) -> TrainResult:
        """The model of a recipe that others start from, on a data set that the project makes."""
        recipe = pretrainable(name, self.data)
        root = self._made(recipe.dataset, None).root
        shards = Shards.open(self._ingested(recipe.dataset, root, ()).folder)
        own = Data()  # an embedded data set has its own splits
        return self._trained(recipe, shards, (own.train_split, own.val_split), {}, epochs)

    def _trained(
        self,
        recipe: Recipe,
        shards: Shards,
        splits: tuple[str, str],
        initial: Mapping[str, str],
        epochs: int | None,
    ) -> TrainResult:
        """A finished training, continued if it was stopped.

        Object proposals are made first if the recipe learns from them, once for all that do.
        """
        proposals = None
        if needs_proposals(recipe, shards.task):
            options = proposals_of(recipe, self.settings.proposals)
            proposals = propose(self.settings, shards, options, [splits[0]])
        spec = make_spec(
            self.settings, recipe, shards, splits,
            epochs=epochs, initial=initial, proposals=proposals,
        )  # fmt: skip
        run = self.paths.run(recipe.name)
        return train(
            self.settings, spec, run, resume=True, parent=self.parent, tracker=self.tracker
        )


def check_weights(recipe: Recipe, data: Data, initial: Mapping[str, str]) -> None:
    """Look for all weights that a training starts from, before hours are spent on images.

    Args:
        data: what it is trained on.
        initial: as in `make_spec`.

    Raises:
        ConfigError, NotFound, IntegrityError: as `initial_weights` and `pretrainable`.
    """
    later = pretraining(recipe, initial)
    for start in later.values():
        if shipped(start) is None:
            pretrainable(start, data)
    initial_weights(recipe, DATASETS[data.dataset].task, initial, later)


def pretrainable(name: str, data: Data) -> Recipe:
    """A recipe that others start from and that is trained on the way.

    Raises:
        ConfigError: it is trained on a real data set.
    """
    recipe = load_recipe(name)
    if recipe.dataset not in data.embedded:
        raise ConfigError(
            f"weights of recipe '{name}' are needed, which is trained on {recipe.dataset}: train "
            "or reproduce that first, and give its model folder with --initial"
        )
    return recipe
