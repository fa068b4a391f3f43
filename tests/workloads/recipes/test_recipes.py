"""Every recipe names things that exist and can be built; the rows of the papers are all there."""

from __future__ import annotations

import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from workloads.backbones.registry import BACKBONES
from workloads.datasets.registry import DATASETS
from workloads.errors import ConfigError
from workloads.methods.registry import METHODS, build_method
from workloads.metrics.registry import METRICS
from workloads.options import Options
from workloads.recipes.describe import WITHOUT_CUTOFF, chooses_on_reported, given_cutoffs
from workloads.recipes.load import (
    load_entries,
    load_quotation,
    load_recipe,
    merged,
    quotation_names,
    recipe_names,
    with_bases,
)
from workloads.recipes.miniature import miniature
from workloads.recipes.schema import Published, Quotation, Recipe

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "workloads/recipes"
FILES = sorted(FOLDER.glob("*/*.yaml"))
ENTRIES = load_entries()
ROWS = [entry for entry in ENTRIES if entry.row]
RUNNABLE = [entry for entry in ENTRIES if isinstance(entry, Recipe)]
OF_LAYOUT = {
    "digits": {"train", "val", "test"},
    "single-digits": {"train", "val", "test"},
    "voc2007": {"train", "val", "trainval", "test"},
    "voc2012": {"train", "val", "trainval", "test"},
    "coco2014": {"train", "val"},
    "ilsvrc": {"train", "val"},
    "cub": {"train", "test"},
    "wsolevaluation": {"train", "val", "test"},
}
# Rows times the columns that are trainings of their own. Some are read twice, as text and as code.
ROWS_IN_THE_PAPERS = {
    ("spn", "1"): 4,
    ("spn", "2"): 1 + 3 + 3 + 2 + 1 + 3 + 3 + 3 + 1,
    ("spn", "3"): 4 * 2,
    ("spn", "4"): 6 + 1,
    ("spn", "5"): 5 + 1,
    ("spn", "6"): 2 * 3,
    ("spg", "1"): 11 + 3,
    ("spg", "2"): 5,
    ("spg", "3"): 8,
    ("spg", "4"): 12,
    ("spg", "text"): 3,
    ("saliency-aware", "1"): 5,
    ("saliency-aware", "2"): 5,
    ("oquab", "1"): 7,
    ("oquab", "2"): 5 + 4,
    ("oquab", "text"): 1 + 2,
    ("bency", "1"): 5,
    ("bency", "2"): 2,
    ("bency", "3"): 4,
    ("bency", "4"): 2,
    ("bency", "text"): 1,
    ("toolkit", "2"): 6 * 3 * 2,
}
READ_TWICE = {
    "spn-t2-vgg16",
    "spn-t4-vgg16",
    "spn-t5-googlenet",
    "spg-t1-spg",
    "spg-t1-spg-star",
    "spg-t1-plain",
}
# Where the papers' own means are not those of their classes: Bency prints the number of one class
# twice, in SPN's row of Wang et al. it is not clear what is wrong.
OFF_IN_PRINT = {
    ("bency-t1-vgg16", "pointing_map"): 0.14,
    ("bency-t1-alexnet", "pointing_map"): 0.27,
    ("bency-t1-oquab", "pointing_map"): 0.23,
    ("spn-t4-wang", "corloc"): 0.83,
}
# From the papers' abstracts and texts where they repeat their tables.
KNOWN = {
    "spn-t1-spn": (62.2,),
    "spn-t2-vgg16": (87.5, 78.1),
    "spn-t2-c-mwp-googlenet": (85.1, 72.3),
    "spn-t3-voc2012": (82.9,),
    "spn-t3-coco2014": (55.3,),
    "spn-t4-vgg16": (60.6,),
    "spg-t1-spg-star": (51.40, 35.05),
    "spg-t2-spg": (53.36, 42.28),
    "spg-t3-dpn-ensemble-star": (43.83, 29.36, 15.47, 2.70),
    "spg-t4-unshared": (36.31,),
    "spg-t4-no-c": (36.06,),
    "saliency-t1-alexnet": (67.23, 44.16, 62.01),
    "saliency-t2-googlenet": (66.23, 51.30, 74.56),
    "oquab-t2-voc-extents": (11.74, 27.47, 43.54),
    "oquab-t2-voc-weak-sup": (74.5, 81.8),
    "bency-t2-vgg16": (49.2, 54.1),
    "toolkit-t2-cam-resnet50-cub": (63.0,),
    "toolkit-t2-spg-inception-ilsvrc": (63.3,),
}


def options_of(recipe: Recipe, **changes: Any) -> Options:
    kind = METHODS[recipe.method]
    preset = kind.presets[recipe.preset] if recipe.preset else {}
    return kind.options_type.parse({**preset, **recipe.method_options, **changes}, recipe.name)


def build(recipe: Recipe) -> Any:
    task = DATASETS[recipe.dataset].task
    return build_method(
        recipe.method, recipe.backbone, 3, task, recipe.preset, recipe.method_options
    )


@cache
def built(method: str, preset: str | None, backbone: str, options: str) -> Any:
    fitting = (method, preset, backbone, options)
    return build(next(recipe for recipe in RUNNABLE if network_of(recipe) == fitting))


def network_of(recipe: Recipe) -> tuple[str, str | None, str, str]:
    return recipe.method, recipe.preset, recipe.backbone, str(recipe.method_options)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights, of fully connected layers above all, take most of the time of building."""
    for backbone in BACKBONES.values():
        if backbone.has_fully_connected:
            monkeypatch.setattr(backbone, "hidden_channels", 32)
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize("recipe", RUNNABLE, ids=lambda r: r.name)
def test_a_recipe_names_things_that_exist(recipe: Recipe) -> None:
    assert recipe.backbone in BACKBONES
    assert recipe.metric in METRICS
    assert {recipe.splits.train, recipe.splits.val, recipe.splits.test} <= OF_LAYOUT[recipe.dataset]
    options_of(recipe)


@pytest.mark.parametrize("recipe", [r for r in RUNNABLE if r.method_options], ids=lambda r: r.name)
def test_an_option_of_a_recipe_makes_a_difference(recipe: Recipe) -> None:
    without = recipe.model_copy(update={"method_options": {}})
    assert options_of(recipe) != options_of(without)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("network", sorted({network_of(r) for r in RUNNABLE}, key=str), ids=str)
def test_its_network_can_be_built(network: tuple[str, str | None, str, str]) -> None:
    method = built(*network)
    parts = set(method.pretrained_parts()) - {"backbone"}
    for recipe in RUNNABLE:
        if network_of(recipe) == network:
            assert set(recipe.parts) == parts, f"{recipe.name}: every part starts from something"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("recipe", RUNNABLE, ids=lambda r: r.name)
def test_what_a_recipe_starts_from_fits(recipe: Recipe) -> None:
    parts = built(*network_of(recipe)).pretrained_parts()
    for part, source in {"backbone": recipe.initial, **recipe.parts}.items():
        if source in (None, "imagenet"):
            continue
        start = built(*network_of(load_recipe(source))).backbone
        assert start.name == parts[part].name
        assert start.fully_connected >= parts[part].fully_connected


@pytest.mark.parametrize("entry", ROWS, ids=lambda e: e.name)
def test_a_row_has_numbers_of_known_metrics(entry: Recipe | Quotation) -> None:
    assert entry.dataset in DATASETS
    assert entry.published
    for number in entry.published:
        assert number.metric in METRICS
        assert 0 < number.value < 100
    labels = [number.label for number in entry.published]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("entry", ROWS, ids=lambda e: e.name)
def test_the_mean_over_classes_is_the_number(entry: Recipe | Quotation) -> None:
    for number in entry.published:
        if number.per_class:
            assert len(number.per_class) == len(DATASETS[entry.dataset].class_names)
            mean = sum(number.per_class) / len(number.per_class)
            off = OFF_IN_PRINT.get((entry.name, number.metric), 0.07)  # all are rounded
            assert mean == pytest.approx(number.value, abs=off)


def test_every_row_of_every_table_is_there() -> None:
    assert Counter((e.row.paper, e.row.table) for e in ROWS) == ROWS_IN_THE_PAPERS
    twice = {key for key, n in Counter(str(entry.row) for entry in ROWS).items() if n > 1}
    assert twice == {str(load_recipe(name).row) for name in READ_TWICE}


@pytest.mark.parametrize("name", sorted(READ_TWICE))
def test_a_row_of_released_code_stands_beside_that_of_the_text(name: str) -> None:
    text, code = load_recipe(name), load_recipe(f"{name}-authors")
    assert (text.row, text.dataset) == (code.row, code.dataset)
    assert text.preset == "paper"
    assert code.preset is not None
    assert code.preset.startswith("authors")
    assert [n.value for n in text.published] == [n.value for n in code.published]


def test_spg_is_trained_as_its_released_code_has_it() -> None:
    recipe = load_recipe("spg-t1-spg-authors")
    train = recipe.train
    assert (train.image_size, train.crop_margin, train.resize) == (321, 356 - 321, "short_side")
    assert (train.learning_rate, train.new_layer_factor, train.bias_factor) == (0.001, 1, 2)
    assert (train.nesterov, train.decay_biases, train.step_epochs) == (True, False, ())
    assert (train.epochs, train.batch_size, recipe.backbone) == (5, 20, "inception_v3_spg")
    assert recipe.evaluation.ten_crop_margin == 35


def test_sp_googlenet_drops_nothing() -> None:
    networks = [r for r in RUNNABLE if r.method == "spn" and r.backbone == "googlenet"]
    assert len(networks) > 5
    assert {options_of(recipe).model_dump()["dropout"] for recipe in networks} == {0}


@pytest.mark.parametrize(("name", "values"), KNOWN.items())
def test_numbers_that_the_papers_repeat(name: str, values: tuple[float, ...]) -> None:
    entry = next(entry for entry in ENTRIES if entry.name == name)
    assert tuple(number.value for number in entry.published) == values


@pytest.mark.parametrize("entry", ROWS, ids=lambda e: e.name)
def test_a_name_says_where_the_row_stands(entry: Recipe | Quotation) -> None:
    paper, table = entry.row.paper.removesuffix("-aware"), entry.row.table
    assert entry.name.startswith(f"{paper}-t" if table == "text" else f"{paper}-t{table}-")
    assert (FOLDER / paper / f"{entry.name}.yaml").is_file()


def test_no_two_folders_have_a_recipe_of_one_name() -> None:
    names = [file.stem for file in FILES if file.parent.name != "bases"]
    assert sorted(names) == [entry.name for entry in ENTRIES]
    assert sorted(recipe_names() + quotation_names()) == sorted(names)


def test_every_base_is_used() -> None:
    bases = {file.stem for file in FILES if file.parent.name == "bases"}
    lines = [line for file in FILES for line in file.read_text("utf-8").splitlines()]
    used = {line.removeprefix("base: ") for line in lines if line.startswith("base: ")}
    assert used == bases


def test_the_folders_are_packaged() -> None:
    """`pip install` takes folders without modules along only as namespaces."""
    from setuptools import find_namespace_packages

    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert config["packages"]["find"].get("namespaces", True)
    assert "*.yaml" in config["package-data"]["*"]
    found = {f"workloads.recipes.load.{name}" for name in find_namespace_packages(str(FOLDER))}
    assert found >= {f"workloads.recipes.load.{file.parent.name}" for file in FILES}


@pytest.mark.parametrize("recipe", RUNNABLE, ids=lambda r: r.name)
def test_what_evaluation_needs_is_said(recipe: Recipe) -> None:
    evaluation = recipe.evaluation
    known = torchvision.models.list_models()
    for classifier in evaluation.ranking:
        assert classifier.removeprefix("torchvision:") in known


def test_the_digits_methods_have_one_budget() -> None:
    names = [f"digits-{method}-tiny" for method in METHODS]
    assert {load_recipe(name).train.model_dump_json() for name in names} == {
        load_recipe("digits-cam-tiny").train.model_dump_json()
    }
    assert {load_recipe(name).method for name in names} == set(METHODS)


def test_keys_of_a_file_win_over_its_base_at_any_depth() -> None:
    bases = {
        "low": {"metric": "pxap", "train": {"epochs": 3, "step_epochs": [1, 2]}, "initial": "a"},
        "high": {"base": "low", "train": {"epochs": 4}},
    }
    values = {"base": "high", "initial": None, "train": {"step_epochs": [5]}}
    assert with_bases(values, bases, "recipe x") == {
        "metric": "pxap",
        "initial": None,
        "train": {"epochs": 4, "step_epochs": [5]},
    }
    assert bases["low"]["train"] == {"epochs": 3, "step_epochs": [1, 2]}


def test_a_value_replaces_a_mapping_and_the_other_way_round() -> None:
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}
    assert merged({"a": 2}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_an_unknown_base_has_a_nearest_match() -> None:
    with pytest.raises(ConfigError, match="recipe x: unknown base 'sbn'; did you mean 'spn'"):
        with_bases({"base": "sbn"}, {"spn": {}}, "recipe x")


def test_bases_in_a_circle_are_refused() -> None:
    with pytest.raises(ConfigError, match="circle: a -> b -> a"):
        with_bases({"base": "a"}, {"a": {"base": "b"}, "b": {"base": "a"}}, "recipe x")


def test_an_unknown_recipe_has_a_nearest_match() -> None:
    with pytest.raises(ConfigError, match="did you mean 'digits-cam-tiny'") as raised:
        load_recipe("digits-cam-tinny")
    assert len(str(raised.value)) < 200


def test_a_quoted_row_cannot_be_trained() -> None:
    with pytest.raises(ConfigError, match=r"'spn-t1-rpn' quotes 63\.3 from a system that is not"):
        load_recipe("spn-t1-rpn")
    assert load_quotation("spn-t1-rpn").row.row == "RPN (supervised)"


MINIMAL = {
    "name": "x",
    "summary": "x",
    "method": "cam",
    "backbone": "tiny",
    "dataset": "digits",
    "metric": "pxap",
}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"splitz": {}}, "did you mean 'splits'"),
        ({"evaluation": {"metrics": {"iuo": 0.3}}}, "did you mean 'iou'"),
        ({"evaluation": {"cutoffs": {"cutoff": 2}}}, "cutoff: Input should be less than 1"),
        ({"published": [{"metric": "pxap", "value": 1, "options": {"iuo": 1}}]}, "'iou'"),
        ({"published": [{"metric": "gt_known", "value": 1}]}, "must be one of those published"),
        ({"row": {"paper": "spm", "table": "1", "row": "SPN"}}, "row.paper"),
        ({"quoted": True}, "quoted"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said_in_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        Recipe.parse({**MINIMAL, **keys}, "recipe x")
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("recipe x")


def test_a_quotation_needs_a_row_and_a_number() -> None:
    facts = {"name": "x", "summary": "x", "dataset": "digits", "quoted": True}
    with pytest.raises(ConfigError, match="row"):
        Quotation.parse({**facts, "published": [{"metric": "pxap", "value": 1}]}, "recipe x")
    row = {"paper": "spn", "table": "1", "row": "RPN"}
    with pytest.raises(ConfigError, match="published"):
        Quotation.parse({**facts, "row": row, "published": []}, "recipe x")


def test_the_label_of_a_number_tells_it_from_the_others() -> None:
    assert Published(metric="pointing", value=1).label == "pointing"
    assert Published(metric="gt_known", value=1, error=True).label == "100 - gt_known"
    options = {"iou": 0.3}
    assert Published(metric="voc_ap", value=1, options=options).label == "voc_ap iou=0.3"


def test_our_value_is_shown_as_the_paper_prints_it() -> None:
    assert Published(metric="gt_known", value=1).ours(0.25) == 25
    assert Published(metric="gt_known", value=1, error=True).ours(0.25) == 75


def test_a_preset_says_how_maps_are_resized_unless_the_recipe_does() -> None:
    paper, authors = (load_recipe(name) for name in ("spn-t4-vgg16", "spn-t4-vgg16-authors"))
    assert given_cutoffs(paper) == paper.evaluation.cutoffs
    assert given_cutoffs(authors) == {"align_corners": True, **authors.evaluation.cutoffs}
    assert given_cutoffs(miniature(authors))["align_corners"] is True
    own = authors.evaluation.model_copy(update={"cutoffs": {"align_corners": False}})
    assert given_cutoffs(authors.model_copy(update={"evaluation": own})) == own.cutoffs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spg-t1-spg", True),  # the layout has no third split
        ("spg-t1-gap-vgg16", False),  # a fifth of the maximum
        ("spn-t5-googlenet", False),  # the mean
        ("spn-t3-voc2012", False),  # a point
        ("bency-t3-vgg16", False),  # searched on val, reported on test
    ],
)
def test_a_row_says_whether_its_cutoff_comes_from_where_it_is_reported(
    name: str, expected: bool
) -> None:
    assert chooses_on_reported(load_recipe(name)) is expected


def test_metrics_without_a_cutoff_are_metrics() -> None:
    assert set(METRICS) >= WITHOUT_CUTOFF


def test_saliency_rows_learn_the_plain_mean_of_masks() -> None:
    rows = [r for r in RUNNABLE if r.row and r.row.paper == "saliency-aware"]
    assert rows
    assert all(row.proposals == {"peak": "mean"} for row in rows)
    with pytest.raises(ConfigError, match="did you mean 'peak'"):
        Recipe.parse({**rows[0].model_dump(), "proposals": {"peek": "mean"}}, "recipe")


def test_a_recipe_survives_json() -> None:
    """Runs keep it that way. Overrides must not come back with defaults beside them."""
    recipe = load_recipe("spn-t4-vgg16-authors")
    assert Recipe.parse(recipe.model_dump(mode="json"), "recipe") == recipe
