"""Everything that can be named in a setting, with typed facts: the answers of `wsol list`.

Each kind is imported only when it is asked for: methods and backbones bring torch with them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workloads.options import Options, descriptions

if TYPE_CHECKING:
    from workloads.recipes.schema import Quotation, Recipe

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One named thing.

    Attributes:
        facts: typed values, JSON all of them; the keys are the same for all of a kind.
    """

    name: str
    summary: str
    facts: Facts

    def as_json(self) -> Facts:
        """One flat object."""
        return {"name": self.name, "summary": self.summary, **self.facts}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of things and how to list them.

    Attributes:
        shown: the facts of a table for people; empty: all. JSON always has all.
    """

    summary: str
    entries: Callable[[], list[Entry]]
    shown: tuple[str, ...] = ()


def methods() -> list[Entry]:
    """Localization methods with their presets, options and searchable parameters."""
    from workloads.methods.registry import METHODS

    return [
        Entry(
            name,
            summary_of(sys.modules[method.__module__]),  # one file each, its head says more
            {
                "presets": {preset: dict(values) for preset, values in method.presets.items()},
                "options": option_facts(method.options_type),
                "searched": {
                    tier: space.describe() for tier, space in method.search_space._asdict().items()
                },
            },
        )
        for name, method in METHODS.items()
    ]


def backbones() -> list[Entry]:
    """Networks with the input they were published with."""
    from workloads.backbones.registry import BACKBONES

    return [
        Entry(
            name,
            summary_of(backbone),
            {
                "input_size": backbone.input_size,
                "stride": backbone.stride,
                "out_channels": backbone.out_channels,
            },
        )
        for name, backbone in BACKBONES.items()
    ]


def datasets() -> list[Entry]:
    """Data sets by the layout in which they are distributed."""
    from workloads.datasets.registry import DATASETS

    return [
        Entry(n, summary_of(d), {"task": d.task, "options": option_facts(d.options_type)})
        for n, d in DATASETS.items()
    ]


def metrics() -> list[Entry]:
    """Metrics of `wsol evaluate`."""
    from workloads.metrics.registry import METRICS

    return [Entry(n, summary_of(m), {"title": m.title}) for n, m in METRICS.items()]


def collections() -> list[Entry]:
    """Kinds of collections of images."""
    from workloads.annotation.sources.registry import SOURCES

    return [Entry(name, source.summary, {}) for name, source in SOURCES.items()]


def formats() -> list[Entry]:
    """Export formats of annotations."""
    from workloads.formats.registry import FORMATS

    return [
        Entry(n, summary_of(f), {"writes": f.path, "needs_maps": f.needs_maps})
        for n, f in FORMATS.items()
    ]


def recipes() -> list[Entry]:
    """Trainings that have a name, and numbers that are only quoted."""
    from workloads.recipes.load import load_entries

    return [Entry(recipe.name, recipe.summary, _recipe_facts(recipe)) for recipe in load_entries()]


def recipe_file(name: str) -> Facts:
    """All keys of a recipe and its bases, as they would stand in a file of one's own.

    Raises:
        ConfigError: as `load_recipe`.
    """
    from workloads.recipes.load import load_recipe, recipe_values
    from workloads.recipes.own import without_paper
    from workloads.recipes.schema import Recipe

    load_recipe(name)  # whether it is right
    values = without_paper(recipe_values(name), {})
    return {key: values[key] for key in Recipe.model_fields if key in values}


def _recipe_facts(recipe: Recipe | Quotation) -> Facts:
    """The row of a paper, what is trained for it, and the paper's numbers by what they are."""
    from workloads.recipes.describe import chooses_on_reported

    row = recipe.row
    return {
        "paper": row and row.paper,
        "table": row and row.table,
        "row": row and row.row,
        "column": row and row.column,
        "quoted": recipe.quoted,
        "method": None if recipe.quoted else recipe.method,
        "preset": None if recipe.quoted else recipe.preset,
        "backbone": None if recipe.quoted else recipe.backbone,
        "initial": None if recipe.quoted else recipe.initial,
        "dataset": recipe.dataset,
        "metric": recipe.published[0].metric if recipe.quoted else recipe.metric,
        "cutoff_from_reported": None if recipe.quoted else chooses_on_reported(recipe),
        "epochs": None if recipe.quoted else recipe.train.epochs,
        "published": {number.label: number.value for number in recipe.published},
    }


def clusters() -> list[Entry]:
    """Places where verbs run."""
    from clusters.cluster import cluster_names, load_cluster

    return [
        Entry(
            c.name,
            c.summary,
            {
                "kind": c.kind,
                "most": c.most(),
                "settings": c.model_dump(mode="json", exclude={"name", "summary", "kind"}),
            },
        )
        for c in map(load_cluster, cluster_names())
    ]


def benchmarks() -> list[Entry]:
    """Measurements that `wsol bench` runs."""
    from orchestrator.benchmarks.registry import BENCHMARKS

    return [Entry(name, summary_of(function), {}) for name, function in BENCHMARKS.items()]


KINDS: dict[str, Kind] = {
    "methods": Kind("localization methods, for recipes", methods),
    "backbones": Kind("networks that methods are built on, for recipes", backbones),
    "datasets": Kind("data sets, for data.dataset and wsol ingest", datasets),
    "metrics": Kind("what wsol evaluate measures", metrics),
    "collections": Kind("what wsol annotate reads", collections),
    "formats": Kind("export formats of wsol export and wsol annotate", formats),
    "recipes": Kind(
        "trainings and rows of the papers, for pipeline.recipes, wsol train and wsol reproduce",
        recipes,
        ("method", "backbone", "dataset", "published", "cutoff_from_reported", "quoted"),
    ),
    "clusters": Kind("where verbs run, for cluster", clusters, ("kind",)),
    "benchmarks": Kind("measurements, for wsol bench", benchmarks),
}


def summary_of(thing: object) -> str:
    """The first sentence of a docstring, without its full stop."""
    first = (inspect.getdoc(thing) or "").split("\n\n", 1)[0]
    return " ".join(first.split()).removesuffix(".")


def option_facts(options: type[Options]) -> list[Facts]:
    """Name, type, default (null if required) and description of each option."""
    schema = options.model_json_schema()["properties"] if options.model_fields else {}
    said = descriptions(options)
    return [
        {
            "name": name,
            "type": _type_of(schema[name]),
            "default": schema[name].get("default"),
            "description": said.get(name),
        }
        for name in options.model_fields
    ]


def _type_of(schema: Facts) -> str:
    """A type as people read it: `number`, `integer or null`, or the allowed values."""
    if "enum" in schema or "const" in schema:
        return " | ".join(str(v) for v in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(_type_of(one) for one in schema["anyOf"])
    return str(schema.get("type", "object"))
