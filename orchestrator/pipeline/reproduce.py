"""`wsol reproduce`: one row of a paper, from images on disk to our number beside the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Data, Evaluate, Settings, Tune
from orchestrator.config.workspace import PipelinePaths, Workspace
from orchestrator.engine.claims import Verb, claim
from orchestrator.evaluate import evaluate
from orchestrator.pipeline.deviations import deviations
from orchestrator.pipeline.smoke import Scale, smoke_settings
from orchestrator.pipeline.steps import Steps, check_weights
from orchestrator.train.initial import pretraining
from workloads.addresses import absolute
from workloads.artifacts import digest, write_json
from workloads.datasets.registry import open_dataset
from workloads.errors import ConfigError
from workloads.metrics.options import MetricOptions
from workloads.recipes.load import load_recipe
from workloads.recipes.miniature import PIXELS, miniature
from workloads.recipes.schema import Published, Recipe
from workloads.shards.shards import Shards

DIGITS = "digits"
VERB = Verb("reproduce", "a reproduction", "remove the folder to start over")
# What the search of cut-offs maximises for the metric of a row; boxes of known classes otherwise.
SEARCHED = {
    "classification_map": "classification_map",
    "top1_error": "classification_map",
    "top5_error": "classification_map",
    "box_f1": "box_f1",
    "voc_ap": "box_f1",
    "voc_ap_11pt": "box_f1",
    "coco_ap": "box_f1",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One published number and ours, both in the paper's unit (percent).

    Attributes:
        what: the metric, with what tells it from the others of its row.
        interval: of ours, by the bootstrap over images; None without one.
        difference: ours minus the paper's.
    """

    what: str
    ours: float | None
    interval: tuple[float, float] | None
    paper: float
    difference: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """All numbers of a row."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A reproduced row.

    Attributes:
        data: where the images came from.
        comparable: whether ours was measured on what the paper measured; false for the
            embedded data and for a miniature.
        lines: one for each published number.
        folder: everything that was made on the way.
        seconds: time of each stage.
        deviations: subject to how ours was not made as the paper's was.
    """

    recipe: str
    data: str
    scale: Scale
    comparable: bool
    lines: tuple[Line, ...]
    folder: Path
    seconds: dict[str, float]
    deviations: dict[str, str]


def reproduce(
    settings: Settings,
    name: str,
    data: str,
    scale: Scale = "full",
    initial: dict[str, str] | None = None,
) -> Reproduction:
    """Do everything for one recipe, or continue it; finished stages are not repeated.

    Args:
        data: folder of the recipe's data set, or "digits": digits made in its layout.
        scale: "smoke" for a miniature, on made digits only.
        initial: as in `make_spec`.

    Raises:
        ConfigError: no such recipe, it only quotes a number, or a miniature of real data.
        NotFound: weights are not on this machine; said before any image is read.
    """
    asked = recipe = load_recipe(name)
    if scale == "smoke" and data != DIGITS:
        raise ConfigError(f"--scale smoke runs on made digits; use --data {DIGITS}")
    if scale == "smoke":
        recipe, settings = miniature(recipe), smoke_settings(settings)
    source = None if data == DIGITS else absolute(Path(data))
    request = {
        "recipe": recipe.model_dump(mode="json", exclude={"deviations"}),
        "data": str(source or DIGITS),
        "scale": scale,
        "initial": dict(initial or {}),
    }
    name = f"{recipe.name}-{digest(request)[:8]}"
    paths = Workspace(settings.workspace).reproduction(name)
    with claim(paths.folder, request, VERB), ExitStack() as leaving:
        wanted = settings.data.model_copy(update={"dataset": recipe.dataset, "root": source})
        given = initial or {}
        work = _Reproduction(settings, wanted, paths, leaving, recipe, scale, given)
        return work.run(asked)


class _Reproduction(Steps):
    """One method for each stage."""

    def __init__(
        self,
        settings: Settings,
        data: Data,
        paths: PipelinePaths,
        leaving: ExitStack,
        recipe: Recipe,
        scale: Scale,
        initial: Mapping[str, str],
    ) -> None:
        super().__init__(settings, data, paths, leaving)
        self.recipe, self.scale, self.initial = recipe, scale, initial

    def run(self, asked: Recipe) -> Reproduction:
        """Every stage in its order.

        Args:
            asked: the recipe as it is written; what is run may be its miniature.
        """
        self.check_weights()
        layout = None if self.recipe.dataset == DIGITS else self.recipe.dataset
        root = self.make(DIGITS, layout)
        self.data = self.data.model_copy(update=_splits(self.recipe, root))
        data, recipe = self.data, self.recipe
        splits = tuple(dict.fromkeys((data.train_split, data.val_split, data.test_split)))
        shards = Shards.open(self.ingest(root, splits).folder)
        starts = self.pretrain(pretraining(recipe, self.initial).values())
        self.train("train", recipe, shards, starts, self.initial)
        self.tune("search", recipe.name, _search_of(recipe, self.settings.tune), self.measure)
        measured = self.stages.run("evaluate", Measured, partial(self.evaluate, shards))
        result = Reproduction(
            recipe=recipe.name,
            data=str(data.root or DIGITS),
            scale=self.scale,
            comparable=data.root is not None,
            lines=measured.lines,
            folder=self.paths.folder,
            seconds=self.stages.seconds,
            deviations=deviations(asked, recipe, data, self.initial),
        )
        write_json(self.paths.folder / "reproduction.json", {**asdict(result), "folder": "."})
        return result

    @property
    def measure(self) -> Evaluate:
        """Maps stored of each image, and the settings' own options of metrics."""
        return self.settings.evaluate

    def check_weights(self) -> None:
        """Look for all weights that are still needed, before hours are spent on images."""
        from workloads.backbones.torchvision_classifier import published_weights

        if not self.stages.has("train"):
            check_weights(self.recipe, self.data, self.initial)
        if self.scale == "full" and not self.stages.has("evaluate"):
            for classifier in self.recipe.evaluation.ranking:
                published_weights(classifier)

    @property
    def ranking(self) -> tuple[str, ...]:
        """Classifiers that rank the classes; a miniature has no published one, but itself."""
        wanted = self.recipe.evaluation.ranking
        itself = str(self.paths.run(self.recipe.name).model)
        return (itself,) if wanted and self.scale == "smoke" else wanted

    def evaluate(self, shards: Shards) -> Measured:
        """Every published number, measured as it was published."""
        return Measured(tuple(self._lines(shards)))

    def _lines(self, shards: Shards) -> Iterator[Line]:
        run, split = self.paths.run(self.recipe.name), self.data.test_split
        for published in self.recipe.published:
            options = _metric_options(self.measure.metrics, self.recipe, published, self.scale)
            result = evaluate(
                self.settings,
                str(run.tuned_model),
                shards,
                split,
                self.measure.model_copy(update={"metrics": options}),
                out=run.evaluation(split) / digest(published.model_dump(mode="json"))[:8],
                predictions=run.predictions(split),
                names=[published.metric],
                ranking=self.ranking,
            )
            yield compare(published, result.metrics[published.metric])


def compare(published: Published, measured: dict[str, Any]) -> Line:
    """Our value and interval in the paper's unit, beside the paper's."""
    value, interval = measured["value"], measured["interval"]
    ours = None if value is None else published.ours(value)
    ends = None if interval is None else sorted(map(published.ours, interval))
    return _line(published, ours, None if ends is None else (ends[0], ends[1]))


def _line(published: Published, ours: float | None, interval: tuple[float, float] | None) -> Line:
    return Line(
        what=published.label,
        ours=ours,
        interval=interval,
        paper=published.value,
        difference=None if ours is None else ours - published.value,
    )


def _search_of(recipe: Recipe, search: Tune) -> Tune:
    """The search of what a recipe leaves open."""
    fixed = recipe.evaluation.cutoffs
    ranges = {f"{name}_range": (fixed[name],) * 2 for name in ("cutoff", "alpha") if name in fixed}
    return search.model_copy(update={"metric": SEARCHED.get(recipe.metric, "gt_known"), **ranges})


def _splits(recipe: Recipe, root: Path) -> dict[str, str]:
    """The recipe's splits; made digits lack some of them, and then have their own."""
    there = open_dataset(recipe.dataset, root).splits()
    own = {"train": "train", "val": "val", "test": "test" if "test" in there else "val"}
    if "val" not in there:
        own["val"] = "test"
    wanted = recipe.splits.model_dump()
    return {f"{part}_split": wanted[part] if wanted[part] in there else own[part] for part in own}


def _metric_options(
    own: MetricOptions, recipe: Recipe, published: Published, scale: Scale
) -> MetricOptions:
    """The metric options of one published number.

    What neither it nor its recipe says is the literature's, not what the settings have for small
    images; in a miniature, what is in pixels is smaller by as much as the images.
    """
    options = MetricOptions(
        bootstrap=own.bootstrap, bootstrap_seed=own.bootstrap_seed, confidence=own.confidence
    ).model_dump()
    options |= {**recipe.evaluation.metrics, **published.options}
    if scale == "smoke":
        options |= {k: v * PIXELS for k, v in options.items() if k.endswith("_px")}
    return MetricOptions.parse(options, f"metric {published.metric}")
