"""`wsol reproduce`: one row of a paper, from images on disk to our number beside the paper's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.config.settings import Settings
from orchestrator.config.workspace import JobPaths, Workspace
from orchestrator.data.make import make
from orchestrator.engine.cluster import connect
from orchestrator.evaluate import evaluate
from orchestrator.pipeline.smoke import Scale, smoke_settings
from orchestrator.pipeline.stages import Stages
from orchestrator.pipeline.steps import check_weights, ingested, pretrained, trained
from orchestrator.tracking.tracker import Tracker
from orchestrator.train.initial import pretraining
from orchestrator.tune.tune import tune_run
from workloads.artifacts import digest, read_json, write_json
from workloads.datasets.registry import open_dataset
from workloads.errors import ConfigError, Conflict
from workloads.metrics.options import MetricOptions
from workloads.recipes.load import load_recipe
from workloads.recipes.miniature import PIXELS, miniature
from workloads.recipes.schema import Published, Recipe

DIGITS = "digits"
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
class Reproduction:
    """A reproduced row.

    Attributes:
        data: where the images came from.
        comparable: whether ours was measured on what the paper measured; false for the
            embedded data and for a miniature.
        lines: one for each published number.
        folder: everything that was made on the way.
        seconds: time of each stage.
    """

    recipe: str
    data: str
    scale: Scale
    comparable: bool
    lines: tuple[Line, ...]
    folder: Path
    seconds: dict[str, float]


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
        scale: "smoke" for the miniature of `scaling`, on made digits only.
        initial: as in `make_spec`.

    Raises:
        ConfigError: no such recipe, it only quotes a number, or a miniature of real data.
        NotFound: weights are not on this machine; said before any image is read.
    """
    recipe = load_recipe(name)
    if scale == "smoke" and data != DIGITS:
        raise ConfigError(f"--scale smoke runs on made digits; use --data {DIGITS}")
    if scale == "smoke":
        recipe, settings = miniature(recipe), smoke_settings(settings)
    with ExitStack() as leaving:
        return _Reproduction(settings, recipe, data, scale, initial or {}, leaving).run()


class _Reproduction:
    """One stage per method; each stage takes what it needs from the outputs before it."""

    def __init__(
        self,
        settings: Settings,
        recipe: Recipe,
        data: str,
        scale: Scale,
        initial: dict[str, str],
        leaving: ExitStack,
    ) -> None:
        self.recipe, self.data, self.scale = recipe, data, scale
        self.initial, self.leaving = initial, leaving
        self.base = settings
        self.paths = _claim(settings, recipe, data, scale, initial)
        self.stages = Stages(self.paths, self.prepare)

    def prepare(self) -> None:
        """Start Ray and the tracker once for all stages."""
        self.leaving.enter_context(connect(self.base))
        self.tracker = Tracker(self.base)

    def run(self) -> Reproduction:
        self.check_weights()
        root = Path(self.stages.run("data", self.make_data)["root"])
        self.settings = _settings_of(self.base, self.recipe, root)
        shards = Path(self.stages.run("ingest", partial(self.ingest, root))["folder"])
        for start in pretraining(self.recipe, self.initial).values():
            self.stages.run(f"pretrain-{start}", partial(self.pretrain, start))
        self.stages.run("train", partial(self.train, shards))
        self.stages.run("search", self.search)
        measured = self.stages.run("evaluate", partial(self.evaluate, shards))
        lines = tuple(Line(**line) for line in measured["lines"])
        result = Reproduction(
            recipe=self.recipe.name,
            data=self.data,
            scale=self.scale,
            comparable=self.data != DIGITS,
            lines=lines,
            folder=self.paths.folder,
            seconds=self.stages.seconds,
        )
        write_json(self.paths.folder / "reproduction.json", {**asdict(result), "folder": "."})
        return result

    def check_weights(self) -> None:
        """Look for all weights that are still needed, before hours are spent on images."""
        from workloads.backbones.torchvision_classifier import published_weights

        if not self.paths.stage("train").exists():
            check_weights(self.recipe, self.recipe.dataset, self.initial)
        if self.scale == "full" and not self.paths.stage("evaluate").exists():
            for classifier in self.recipe.evaluation.ranking:
                published_weights(classifier)

    @property
    def ranking(self) -> tuple[str, ...]:
        """What ranks the classes; a miniature has no published classifier, but itself."""
        wanted = self.recipe.evaluation.ranking
        itself = str(self.paths.run(self.recipe.name).model)
        return (itself,) if wanted and self.scale == "smoke" else wanted

    def make_data(self) -> dict[str, Any]:
        if self.data != DIGITS:
            return {"root": str(Path(self.data).expanduser().resolve())}
        layout = None if self.recipe.dataset == DIGITS else self.recipe.dataset
        return {"root": str(make(self.base, DIGITS, layout=layout).root)}

    def ingest(self, root: Path) -> dict[str, Any]:
        data = self.settings.job.data
        splits = tuple(dict.fromkeys((data.train_split, data.val_split, data.test_split)))
        return ingested(self.settings, self.recipe.dataset, root, splits)

    def pretrain(self, name: str) -> dict[str, Any]:
        """What the recipe starts from."""
        return pretrained(self.base, name, self.paths.run(name), self.tracker)

    def train(self, shards: Path) -> dict[str, Any]:
        started = {
            part: str(self.stages.outputs[f"pretrain-{start}"]["model"])
            for part, start in pretraining(self.recipe, self.initial).items()
        }
        return trained(
            self.settings,
            self.recipe,
            shards,
            self.paths.run(self.recipe.name),
            self.tracker,
            {**started, **self.initial},
        )

    def search(self) -> dict[str, Any]:
        return tune_run(self.settings, self.paths.run(self.recipe.name), self.tracker).best()

    def evaluate(self, shards: Path) -> dict[str, Any]:
        return {"lines": [asdict(line) for line in self._lines(shards)]}

    def _lines(self, shards: Path) -> Iterator[Line]:
        paths, split = self.paths.run(self.recipe.name), self.settings.job.data.test_split
        for published in self.recipe.published:
            result = evaluate(
                _measured_with(self.settings, self.recipe, published, self.scale),
                str(paths.tuned_model),
                shards,
                split,
                out=paths.evaluation(split) / digest(published.model_dump(mode="json"))[:8],
                predictions=paths.predictions(split),
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


def _settings_of(settings: Settings, recipe: Recipe, root: Path) -> Settings:
    """The settings with the recipe's data set and splits, and with what it leaves to search."""
    data = settings.job.data.model_copy(
        update={"dataset": recipe.dataset, "root": root, **_splits(recipe, root)}
    )
    fixed = recipe.evaluation.cutoffs
    ranges = {f"{name}_range": (fixed[name],) * 2 for name in ("cutoff", "alpha") if name in fixed}
    search = settings.job.search.model_copy(
        update={"metric": SEARCHED.get(recipe.metric, "gt_known"), **ranges}
    )
    job = settings.job.model_copy(update={"data": data, "search": search})
    return settings.model_copy(update={"job": job})


def _splits(recipe: Recipe, root: Path) -> dict[str, str]:
    """The recipe's splits; made digits lack some of them, and then have their own."""
    there = open_dataset(recipe.dataset, root).splits()
    own = {"train": "train", "val": "val", "test": "test" if "test" in there else "val"}
    if "val" not in there:
        own["val"] = "test"
    wanted = recipe.splits.model_dump()
    return {f"{part}_split": wanted[part] if wanted[part] in there else own[part] for part in own}


def _measured_with(
    settings: Settings, recipe: Recipe, published: Published, scale: Scale
) -> Settings:
    """The settings with the metric options of one published number.

    What neither it nor its recipe says is the literature's, not what the settings have for small
    images; in a miniature, what is in pixels is smaller by as much as the images.
    """
    own = settings.job.metrics
    options = MetricOptions(
        bootstrap=own.bootstrap, bootstrap_seed=own.bootstrap_seed, confidence=own.confidence
    ).model_dump()
    options |= {**recipe.evaluation.metrics, **published.options}
    if scale == "smoke":
        options |= {k: v * PIXELS for k, v in options.items() if k.endswith("_px")}
    metrics = MetricOptions.parse(options, f"metric {published.metric}")
    job = settings.job.model_copy(update={"metrics": metrics})
    return settings.model_copy(update={"job": job})


def _claim(
    settings: Settings, recipe: Recipe, data: str, scale: Scale, initial: dict[str, str]
) -> JobPaths:
    """The folder of this reproduction; another request of that name is refused."""
    source = DIGITS if data == DIGITS else str(Path(data).expanduser().resolve())
    request = {
        "recipe": recipe.model_dump(mode="json"),
        "data": source,
        "scale": scale,
        "initial": initial,
    }
    name = f"{recipe.name}-{digest(request)[:8]}"
    paths = JobPaths(Workspace(settings.workspace).folder / "reproductions" / name)
    if paths.settings.exists() and read_json(paths.settings) != request:
        raise Conflict(f"{paths.folder}: holds another reproduction; remove it")
    write_json(paths.settings, request)
    return paths
