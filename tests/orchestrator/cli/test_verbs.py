"""Each verb hands what the user typed to its function, and its result to stdout."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.config.settings import Evaluate, Settings, Tune, load_settings
from orchestrator.config.workspace import RunPaths, Workspace
from orchestrator.pages.review.review import ReviewOptions
from orchestrator.register import register_run
from orchestrator.tune.tune import tune_run
from workloads.annotation.options import Kept
from workloads.artifacts import write_json
from workloads.errors import ConfigError, NotFound
from workloads.proposals.proposals import Proposals
from workloads.shards.shards import Shards


@dataclass(frozen=True)
class Result:
    """As results are: a dataclass with paths."""

    folder: Path
    quarantined: int = 0
    unmeasured: tuple[str, ...] = ()


class Recorder:
    """Stands where a verb's function stands, prints as libraries do, and remembers the call."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.settings = Settings()
        self.arguments: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    def __call__(self, settings: Settings, *arguments: Any, **options: Any) -> Any:
        print("chatter")  # noqa: T201 - what must not reach stdout
        self.settings, self.arguments, self.options = settings, arguments, options
        return self.result


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)


@pytest.fixture
def shards(monkeypatch):
    """Shards and proposals are opened by their paths alone."""
    for kind in (Shards, Proposals):
        monkeypatch.setattr(kind, "open", lambda folder: folder)


@pytest.fixture
def stand_in(monkeypatch):
    def place(where: str, result: Any = None) -> Recorder:
        module, _, name = where.rpartition(".")
        recorder = Recorder(Result(Path("made")) if result is None else result)
        monkeypatch.setattr(importlib.import_module(module), name, recorder)
        return recorder

    return place


def invoke(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*words, "-o", "json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_ingest(stand_in):
    called = stand_in("orchestrator.ingest.ingest")
    assert invoke("ingest", "--root", "in", "--out", "to")["folder"] == "made"
    assert called.arguments == ("digits", Path("in"), Path("to"), (), {})
    assert called.options == {"strict": False, "max_quarantined": 0.1}
    more = ["--split", "val", "--split", "test", "--strict"]
    more += ["--set", "ingest.options.clip_boxes=true", "--max-quarantined", "0.5"]
    invoke("ingest", "--dataset", "voc2007", "--root", "in", "--out", "to", *more)
    options = {"clip_boxes": True}
    assert called.arguments == ("voc2007", Path("in"), Path("to"), ["val", "test"], options)
    assert called.options == {"strict": True, "max_quarantined": 0.5}


def test_ingest_with_quarantined_images_is_code_3(stand_in):
    stand_in("orchestrator.ingest.ingest", Result(Path("made"), quarantined=2))
    assert invoke("ingest", "--root", "in", "--out", "to", code=3)["quarantined"] == 2


def test_train(stand_in, shards):
    specified = stand_in("orchestrator.train.spec.make_spec", "the specification")
    called = stand_in("orchestrator.train.train.train")
    invoke("train", "some-recipe", "--shards", "in", "--set", "resources.train.workers=1")
    assert specified.arguments == ("some-recipe", Path("in"), ("train", "val"))
    assert specified.options == {"epochs": None, "initial": {}, "proposals": None}
    spec, paths = called.arguments
    assert (spec, paths.name) == ("the specification", "some-recipe")
    assert paths.folder.parent == Path("wsol-workspace/runs").resolve()
    assert called.options == {"resume": False}
    assert called.settings.resources.train.workers == 1
    more = ["--name", "mine", "--resume", "--epochs", "3", "--initial", "model"]
    more += ["--initial", "other=a=b", "--proposals", "regions"]
    more += ["--set", "data.train_split=trainval", "--set", "data.val_split=minival"]
    invoke("train", "some-recipe", "--shards", "in", *more)
    assert called.arguments[1].name == "mine"
    assert called.options == {"resume": True}
    assert specified.arguments[2] == ("trainval", "minival")
    initial = {"backbone": "model", "other": "a=b"}
    assert specified.options == {"epochs": 3, "initial": initial, "proposals": Path("regions")}


def test_epochs_of_the_settings_count_unless_others_are_given(stand_in, shards):
    specified = stand_in("orchestrator.train.spec.make_spec", "the specification")
    stand_in("orchestrator.train.train.train")
    words = ["train", "some-recipe", "--shards", "in", "--set", "train.epochs=7"]
    invoke(*words)
    assert specified.options["epochs"] == 7
    invoke(*words, "--epochs", "2")
    assert specified.options["epochs"] == 2


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b", "x" * 65, "a\n"])
def test_a_run_is_never_a_path(name):
    for words in (["train", "r", "--shards", "in", "--name", name or " "], ["tune", name]):
        with pytest.raises(ConfigError):
            CliRunner().invoke(app, words, catch_exceptions=False)


METRIC = {
    "value": 0.5,
    "interval": (0.4, 0.625),
    "centre": None,
    "per_class": {0: 0.4},
    "counted": 7,
    "skipped": 0,
    "options": {"confidence": 0.95},
}
NOTHING = {**METRIC, "value": None, "interval": None, "per_class": {}, "counted": 0}


@dataclass(frozen=True)
class Measured:
    method: str = "one"
    backbone: str = "two"
    split: str = "test"
    images: int = 7
    classes: tuple[str, ...] = ("cat", "dog")
    metrics: Any = None
    out: Path = Path("made")


def test_evaluate(stand_in, shards):
    called = stand_in("orchestrator.evaluate.evaluate", Measured(metrics={"box_f1": METRIC}))
    found = invoke("evaluate", "m@champion", "--shards", "in")
    assert found["metrics"]["box_f1"]["per_class"] == {"0": 0.4}
    assert called.arguments == ("m@champion", Path("in"), "test", Evaluate(), None, None, (), ())
    more = ["--out", "to", "--predictions", "stored", "--metric", "box_f1"]
    invoke("evaluate", "m/3", "--shards", "in", "--split", "val", *more)
    assert called.arguments == (
        "m/3",
        Path("in"),
        "val",
        Evaluate(),
        Path("to"),
        Path("stored"),
        ["box_f1"],
        (),
    )


@pytest.mark.parametrize(("words", "rows"), [([], 1), (["--per-class"], 2)])
def test_evaluate_shows_a_table(stand_in, shards, words, rows):
    metrics = {"box_f1": METRIC, "pxap": NOTHING}
    stand_in("orchestrator.evaluate.evaluate", Measured(metrics=metrics))
    done = CliRunner().invoke(app, ["evaluate", "m", "--shards", "in", *words])
    assert done.stdout.count("box_f1") == rows
    assert ("cat" in done.stdout) == bool(words)
    assert "0.400 - 0.625" in done.stdout
    assert "95% interval" in done.stdout
    assert "pxap" not in done.stdout
    assert "nothing to count for: pxap" in done.stderr
    assert "one on two: 7 images of split test" in done.stderr
    assert "made/per_image.parquet" in done.stderr


def test_tune_and_register_take_a_run(stand_in):
    tuned = stand_in("orchestrator.tune.tune.tune_run")
    invoke("tune", "mine", "--set", "tune.alphas=2")
    assert tuned.arguments[0].folder == Path("wsol-workspace/runs/mine").resolve()
    assert tuned.arguments[1:] == (Tune(alphas=2), Evaluate())
    registered = stand_in("orchestrator.register.register_run")
    invoke("register", "mine", "--alias", "champion")
    assert registered.arguments[0].name == "mine"
    assert registered.arguments[1:] == ("wsol-digits", "champion")


def test_annotate(stand_in):
    made = [Result(Path("made"))]
    called = stand_in("orchestrator.annotate.annotate.annotate_with", made)
    invoke("annotate", "images", "--out", "to")
    assert called.arguments == (Path("images"), {Path("to"): "wsol-digits@champion"})
    assert called.options == {
        "formats": None,
        "kept": Kept(),
        "max_quarantined": 0.1,
        "update": False,
    }
    formats = ["--max-quarantined", "0.5", "--format", "coco", "--format", "parquet"]
    invoke("annotate", "images", "--out", "to", "--model", "m/2", *formats)
    assert called.arguments[1] == {Path("to"): "m/2"}
    assert called.options == {
        "formats": ["coco", "parquet"],
        "kept": Kept(),
        "max_quarantined": 0.5,
        "update": False,
    }


def test_review(stand_in):
    called = stand_in("orchestrator.pages.review.review.review")
    invoke("review", "boxes", "--images", "in")
    assert called.arguments == (Path("boxes"), Path("in"), None, ReviewOptions())
    words = ["--out", "to", "--by", "class", "--other", "more", "--limit", "0"]
    words += ["--page-size", "9", "--min-score", "0.2"]
    invoke("review", "boxes", "--images", "in", *words)
    options = ReviewOptions("class", Path("more"), 0, 9, 0.2)
    assert called.arguments == (Path("boxes"), Path("in"), Path("to"), options)


def test_serve(stand_in):
    called = stand_in("orchestrator.serve.serve.serve")
    words = ["serve", "--host", "::1", "--port", "9000", "--set", "serve.replicas=2"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, "")
    model, serving = called.arguments
    assert model == "wsol-digits@champion"
    assert (serving.host, serving.port, serving.replicas) == ("::1", 9000, 2)


@dataclass(frozen=True)
class Finished:
    table: Any
    quarantined: int = 0
    quarantine_lists: tuple[str, ...] = ("a/quarantine.jsonl",)
    annotations: str = "ann"
    report: str = "report.html"
    champion: Any = None
    served: dict = field(default_factory=lambda: {"detections": []})
    unmeasured: tuple[str, ...] = ("gt_known", "corloc")


CHAMPION = {"name": "m", "version": 3}
TABLE = [{"name": "one", "box_f1": 0.5}, {"name": "centre", "box_f1": None, "pointing": 0.9}]


def test_run(stand_in):
    called = stand_in("orchestrator.pipeline.run.run", Finished(TABLE, champion=CHAMPION))
    assert invoke("run")["table"] == TABLE
    assert called.options == {"fresh": False}
    assert called.settings.pipeline.name == "demo"
    invoke("run", "--name", "mine", "--fresh")
    assert called.options == {"fresh": True}
    assert called.settings.pipeline.name == "mine"


def test_run_shows_a_table_and_where_the_report_is(stand_in):
    stand_in("orchestrator.pipeline.run.run", Finished(TABLE, quarantined=1, champion=CHAMPION))
    done = CliRunner().invoke(app, ["run"], catch_exceptions=False)
    assert done.exit_code == 3
    assert all(
        word in done.stdout for word in ("pointing", "centre", "m/3", "detections", "report.html")
    )
    assert "a/quarantine.jsonl" in done.stderr
    assert "nothing to count for: gt_known, corloc (the split has no boxes)" in done.stderr


@pytest.mark.parametrize(("sent", "code"), [(True, 0), (False, 8)])
def test_sync(monkeypatch, sent, code):
    import orchestrator.tracking.tracker

    class Tracker:
        def __init__(self, _: Settings) -> None: ...

        def sync(self, events: Path) -> bool:
            assert events == Path("events.jsonl")
            return sent

    monkeypatch.setattr(orchestrator.tracking.tracker, "Tracker", Tracker)
    assert invoke("sync", "events.jsonl", code=code)["sent"] is sent


def paths_of(settings: Settings, name: str = "mine") -> RunPaths:
    return Workspace(settings.workspace).run(name)


def test_a_missing_run_is_not_found_and_others_are_named():
    settings = load_settings()
    with pytest.raises(NotFound, match=r"no run 'mine' in .*\(there: none\)"):
        tune_run(settings, paths_of(settings), Tune(), Evaluate())
    write_json(paths_of(settings, "other").spec, {})
    with pytest.raises(NotFound, match="there: other"):
        register_run(settings, paths_of(settings), "wsol-digits")


def test_an_unfinished_run_is_not_found():
    settings = load_settings()
    write_json(paths_of(settings).spec, {})
    with pytest.raises(NotFound, match="run 'mine' is not finished; continue it"):
        tune_run(settings, paths_of(settings), Tune(), Evaluate())
