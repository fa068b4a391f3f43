"""Specification of a sweep: everything that decides what is tried and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.config.settings import Machine, Settings, Tune
from orchestrator.sweep.trial import SweepJob, TrialsSpec
from orchestrator.sweep.trials import Trial, best_of
from orchestrator.train.spec import make_spec
from workloads.errors import ConfigError
from workloads.localization.cutoffs import CUTOFFS_SPACE, FOUND_EXACTLY
from workloads.methods.base import SearchSpace
from workloads.proposals.proposals import Proposals
from workloads.recipes.schema import Recipe
from workloads.recipes.space import recipe_space, start, varied
from workloads.registry import Registry
from workloads.search.grid_search import SCORES_ALONE
from workloads.search.suggestions import SUGGESTIONS, Suggestions
from workloads.search.sweep_options import SweepMetric, SweepOptions
from workloads.shards.shards import Shards
from workloads.space import Choice, Range, Space, Value

PROTOCOLS: Registry[dict[str, Any]] = Registry(
    "protocol",
    {
        # Choe et al. 2020, section 4: 30 random trials, judged on a small split with boxes; the
        # weights after the last epoch; test images are looked at once.
        "wsol30": {"search": "random", "trials": 30, "metric": "max_box_acc_v2", "stop": "none"},
    },
)


class SweepSpec(TrialsSpec):
    """A sweep.

    Attributes:
        space: as `SearchSpace.training` describes itself.
        start: the recipe's own values, which are tried first; None where they are outside.
    """

    job: SweepJob
    space: dict[str, Any]
    start: dict[str, Any] | None
    protocol: str | None = None

    @property
    def metric(self) -> str:
        """The metric that is maximised."""
        return self.options.metric

    def parameters(self) -> dict[str, Any]:
        """The recipe, the space, and the options."""
        return {
            "recipe": self.job.spec.recipe.name,
            "protocol": self.protocol,
            "space": self.space,
            **self.options.model_dump(mode="json"),
        }

    def summary(self, trials: Mapping[int, Trial]) -> dict[str, float]:
        """Metrics of the best trial."""
        best = best_of(dict(trials))
        return best.measured if best else {}

    def deciding(self) -> dict[str, Any]:
        """Everything that decides the result; places, and how long it may take, do not."""
        options = self.options.model_dump(mode="json", exclude={"trials", "minutes", "max_failed"})
        return {
            "training": self.job.spec.deciding(),
            "search": self.job.search.model_dump(mode="json"),
            "measure": self.job.measure.model_dump(mode="json"),
            "options": options,
            "space": self.space,
            "start": self.start,
            "protocol": self.protocol,
        }


def make_sweep(
    settings: Settings,
    recipe: Recipe,
    shards: Shards,
    *,
    changes: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    protocol: str | None = None,
    initial: Mapping[str, str] | None = None,
    proposals: Proposals | None = None,
) -> tuple[SweepSpec, Suggestions]:
    """A sweep over trainings of a recipe, and what it will try.

    Args:
        changes, only: as `recipe_space` takes them.
        protocol: a name of `PROTOCOLS`, whose options win over the settings'.

    Raises:
        ConfigError: as `recipe_space` and `make_spec`; or a package is missing.
    """
    options = settings.sweep
    if protocol is not None:
        options = options.model_copy(update=PROTOCOLS[protocol])
        recipe = recipe.model_copy(
            update={"train": recipe.train.model_copy(update={"model": "last"})}
        )
    space = recipe_space(recipe, changes, only)
    first = None if protocol else start(recipe, space.training)
    suggestions = SUGGESTIONS[options.search](
        space.training, options.seed, first, options.values_each
    )
    _check_grid(options, space.training)
    for metric in (options.metric, *options.at_least):
        _check_metric(metric, shards, settings.data.val_split)
    _check_stop(options, recipe)
    machine = trial_machine(settings)
    splits = (settings.data.train_split, settings.data.val_split)
    spec = make_spec(machine, recipe, shards, splits, initial=initial, proposals=proposals)
    job = SweepJob(
        machine=machine,
        spec=spec,
        search=_search(settings.tune, options, space),
        measure=settings.evaluate,
        metric=options.metric,
        at_least={str(name): floor for name, floor in options.at_least.items()},
    )
    described = space.training.describe()
    sweep = SweepSpec(job=job, options=options, space=described, start=first, protocol=protocol)
    return sweep, suggestions


def trial_machine(settings: Settings) -> Machine:
    """The machine as a trial uses it: its own process, without Ray."""
    values = {name: getattr(settings, name) for name in Machine.model_fields}
    return Machine(**{**values, "cluster": "inline"})


def _check_metric(metric: SweepMetric, shards: Shards, split: str) -> None:
    """Refuse to judge boxes on images without any, before anything is trained."""
    if metric == SCORES_ALONE or split not in shards.splits:
        return
    if not any(len(record.truth.boxes_xyxy) for record in shards.records(split)):
        raise ConfigError(
            f"{shards.folder}: no image of split '{split}' has a box, which {metric} needs; set "
            f"sweep.metric to {SCORES_ALONE}, or data.val_split to another split"
        )


def _check_stop(options: SweepOptions, recipe: Recipe) -> None:
    """Refuse to end trials early by a curve that they do not have."""
    if options.stop != "none" and not recipe.train.validation_images:
        raise ConfigError(
            f"sweep.stop is {options.stop}, which needs a validation curve, and "
            "train.validation_images is 0; raise it with --recipe-set, or set sweep.stop to none"
        )


def _check_grid(options: SweepOptions, space: Space) -> None:
    """Refuse a grid of which most would never be tried."""
    if options.search != "grid":
        return
    points = 1
    for name in varied(space):
        points *= len(space[name].grid(options.values_each))
    if points > options.trials:
        raise ConfigError(
            f"a grid of {options.values_each} values each has {points} points, and sweep.trials is "
            f"{options.trials}; search fewer parameters (--only), lower sweep.values_each, or "
            "raise sweep.trials"
        )


def _search(search: Tune, options: SweepOptions, space: SearchSpace) -> Tune:
    """The search of a trial's cut-offs in a user's ranges, and over a user's rules."""
    changed: dict[str, Any] = {}
    rules = {
        name: _values(name, p) for name, p in space.stored_maps.items() if name not in FOUND_EXACTLY
    }
    for name in ("cutoff", "alpha"):
        parameter = space.stored_maps[name]
        if parameter != CUTOFFS_SPACE[name]:
            changed[f"{name}_range"] = _ends(parameter)
    if options.metric != "max_box_acc_v2":
        changed["metric"] = options.metric
    return type(search).parse(
        {**search.model_dump(), "rules": {**search.rules, **rules}, **changed}, "search space"
    )


def _values(name: str, parameter: Range | Choice) -> tuple[Value, ...]:
    if isinstance(parameter, Choice):
        return parameter.values
    if parameter.low == parameter.high:
        return (parameter.low,)
    raise ConfigError(
        f"search space: {name} is tried by values, not in a range; list some, as in "
        f"{name}: [{parameter.low:g}, {parameter.high:g}]"
    )


def _ends(parameter: Range | Choice) -> tuple[float, float]:
    if isinstance(parameter, Range):
        return parameter.low, parameter.high
    numbers = [v for v in parameter.values if isinstance(v, int | float)]
    if len(numbers) != 1:
        raise ConfigError(
            "search space: cutoff and alpha are searched in ranges; give {low, high} or one number"
        )
    return numbers[0], numbers[0]
