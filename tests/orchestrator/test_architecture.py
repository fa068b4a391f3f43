"""The arrow goes one way: workloads know no cluster, the orchestrator knows no method."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
import workloads
from orchestrator.config.settings import Settings
from workloads.backbones.registry import BACKBONES
from workloads.methods.registry import METHODS
from workloads.recipes.load import recipe_names

ROOT = Path(orchestrator.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
TEMPLATES = sorted(p for p in ROOT.rglob("*") if p.suffix in (".j2", ".html", ".css", ".js"))
FORBIDDEN = {*METHODS, *BACKBONES}

PLAIN_LIBRARY = """
import importlib, pkgutil, sys, tempfile
from importlib.abc import MetaPathFinder
from pathlib import Path

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray", "mlflow", "orchestrator"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())

import numpy as np
import workloads
for module in pkgutil.walk_packages(workloads.__path__, "workloads."):
    importlib.import_module(module.name)
    print(module.name)
# It takes a second to import; only a network that is built from it does.
assert "torchvision" not in sys.modules

from workloads.backbones.registry import BACKBONES
from workloads.localization.cutoffs import Cutoffs
from workloads.methods.registry import METHODS, build_method
from workloads.models.card import ModelCard, Preprocessing
from workloads.models.localizer import Localizer
from workloads.models.version import save_model

backbone = min(BACKBONES, key=lambda name: BACKBONES[name].input_size)
size = BACKBONES[backbone].input_size
image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
for name in METHODS:
    method = build_method(name, backbone, 2, "multilabel")
    card = ModelCard(
        method=name,
        method_options=method.options.model_dump(mode="json"),
        backbone=backbone,
        task="multilabel",
        classes=("cat", "dog"),
        preprocessing=Preprocessing(
            size=size, mean=method.backbone.mean, std=method.backbone.std
        ),
        cutoffs=Cutoffs(score_threshold=0.0),
        cooccurrence=((1.0, 0.0), (0.0, 1.0)),
        provenance={},
    )
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model", method, card)
        (found,) = Localizer.load(Path(folder) / "model").detect([image])
    assert (found.width, found.height) == (64, 48)
    assert len(found.boxes_xyxy) <= 2, found  # a rectified map may be 0 everywhere
assert not {"ray", "mlflow", "orchestrator"} & {m.partition(".")[0] for m in sys.modules}
"""


def test_workloads_are_a_plain_library():
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_LIBRARY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "workloads.models.localizer" in done.stdout.split()


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string and identifier of a module with its line; prose for readers left out."""
    prose = set(map(id, docstrings(tree)))
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in prose:
                yield line, node.value
            continue
        for field in ("id", "attr", "arg", "name", "asname", "module", "kwd_attrs"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield line, value


def named_in(text: str) -> set[str]:
    """Methods and backbones that stand in a text as a word."""
    words = set(re.split(r"[^a-z0-9]+", text.lower()))
    whole = {name for name in FORBIDDEN if "-" in name and name in text.lower()}
    return (words & FORBIDDEN) | whole


def offences(path: Path, allowed: frozenset[str] = frozenset()) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.name}:{line}: {sorted(named_in(text))} in {text!r}"
        for line, text in texts(tree)
        if named_in(text) and text not in allowed
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_orchestrator_names_no_method(path):
    # A recipe's name is the name of a file; the default job has to name some.
    names_some = path == ROOT / "config" / "settings.py"
    recipes = frozenset(Settings().pipeline.recipes) if names_some else frozenset()
    assert recipes <= set(recipe_names())
    assert offences(path, recipes) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_no_template_names_a_method(path):
    assert not named_in(path.read_text(encoding="utf-8")) & set(METHODS)


@pytest.mark.parametrize(
    "code",
    [
        'x = "{}"',
        'x = {{"{}": 1}}',
        'x = "the {} network"',
        "from workloads.methods.{} import thing",
        "def fit_{}(): pass",
        "model.{}()",
        "f({}=1)",
        'match x:\n    case "{}": pass',
    ],
)
def test_the_check_itself_sees(code, tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""A docstring may talk of anything."""\n' + code.format(next(iter(METHODS))))
    assert offences(path)


def test_every_method_is_on_the_list_of_the_import_check():
    with (ROOT.parent / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (listed,) = (c["forbidden_modules"] for c in contracts if "no particular method" in c["name"])
    # A method with parts is a folder, and all of it is meant.
    assert set(listed) == {".".join(m.__module__.split(".")[:3]) for m in METHODS.values()}


HALVES = (ROOT, Path(workloads.__file__).parent)
FACES = sorted(p for half in HALVES for p in half.rglob("__init__.py"))
# The environment must be set before Ray is imported; the library's face names its objects.
FACES_WITH_CODE = {half / "__init__.py" for half in HALVES}


@pytest.mark.parametrize("path", FACES, ids=lambda p: str(p.relative_to(ROOT.parent)))
def test_a_face_says_what_its_room_is_and_holds_no_code(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(body[0], ast.Expr), "a docstring"
    assert path in FACES_WITH_CODE or len(body) == 1


@pytest.mark.parametrize(("half", "most"), [(HALVES[0], 10), (HALVES[1], 12)], ids=["o", "w"])
def test_a_newcomer_finds_rooms_not_a_floor_of_loose_files(half, most):
    assert len(list(half.glob("*.py"))) <= most


def test_tests_stand_in_the_rooms_of_what_they_test():
    tests = ROOT.parent / "tests"
    for half in HALVES:
        rooms = {p.name for p in (tests / half.name).iterdir() if p.is_dir()} - {"__pycache__"}
        assert rooms <= {p.name for p in half.iterdir() if p.is_dir()}
