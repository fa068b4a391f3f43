"""The command line as a process sees it: one line on stderr, and a code for each kind of end."""

from __future__ import annotations

import sys

import pytest
import typer

import orchestrator.pipeline.run
from orchestrator.cli.main import DEBUG_VARIABLE, main
from workloads.errors import (
    ClusterError,
    ConfigError,
    Conflict,
    IntegrityError,
    NotFound,
    ResourceError,
    WsolError,
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def wsol(capsys):
    """The command line: code, stdout and stderr."""

    def call(*words: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return (ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def failing(monkeypatch):
    """`wsol run` ends with this error."""

    def set_error(error: BaseException) -> None:
        def work(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(orchestrator.pipeline.run, "run", work)

    return set_error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (WsolError("stage 2 failed"), 1, "stage 2 failed"),
        (ConfigError("tune.alphas: must be at least 1"), 2, "tune.alphas: must be at least 1"),
        (NotFound("no run 'x'"), 4, "no run 'x'"),
        (Conflict("taken:\n  choose another"), 5, "taken: choose another"),
        (IntegrityError("a.parquet: changed"), 6, "a.parquet: changed"),
        (ResourceError("2 CPUs are not there"), 7, "2 CPUs are not there"),
        (ClusterError("mysql://me:secret@there: away"), 8, "mysql://***@there: away"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: permission denied"),
        (MemoryError(), 7, "out of memory; use fewer workers or actors, or a smaller batch"),
        (
            ZeroDivisionError("division by zero"),
            1,
            "internal error: ZeroDivisionError: division by zero "
            "(run again with --debug for the traceback)",
        ),
    ],
)
def test_every_end_has_its_code_and_one_line(wsol, failing, error, code, line):
    failing(error)
    assert wsol("run") == (code, "", f"wsol: {line}\n")


@pytest.mark.parametrize(
    ("variable", "words", "shown"),
    [
        (None, ["run"], False),
        ("", ["run"], False),
        ("0", ["run"], False),
        ("1", ["run"], True),
        (None, ["run", "--debug"], True),
        (None, ["--debug", "run"], True),
        ("0", ["run", "--debug"], True),
    ],
)
def test_a_traceback_only_if_it_is_asked_for(wsol, failing, monkeypatch, variable, words, shown):
    if variable is not None:
        monkeypatch.setenv(DEBUG_VARIABLE, variable)
    failing(NotFound("gone"))
    code, out, err = wsol(*words)
    assert (code, out) == (4, "")
    assert ("Traceback (most recent call last)" in err) is shown
    assert err.endswith("wsol: gone\n")


def test_an_exit_of_a_library_keeps_its_code_and_says_nothing_more(wsol, failing):
    failing(SystemExit(143))
    assert wsol("run") == (143, "", "")


def test_a_reader_that_left_ends_as_the_shell_has_it(wsol, failing, monkeypatch):
    silenced = []
    monkeypatch.setattr("orchestrator.cli.main.silence_stdout", lambda: silenced.append(True))
    failing(BrokenPipeError())
    assert wsol("run") == (141, "", "")
    assert silenced == [True]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run", "--nmae", "x"], "--nmae"),
        (["run", "-o", "xml"], "--output"),
        (["serve", "--port", "65536"], "--port"),
        (["serve", "--port", "http"], "--port"),
        (["train", "r", "--shards", "s", "--epochs", "0"], "--epochs"),
        (["data", "inspect", "s", "--images", "0"], "--images"),
        (["ingest", "--root", "in"], "--out"),
        (["data", "inspect"], "SHARDS"),
        (["run", "extra"], "extra"),
    ],
)
def test_wrong_usage_names_the_option_and_the_help_of_the_verb(wsol, words, named):
    verb = " ".join(words[: 2 if words[0] == "data" else 1])
    code, out, err = wsol(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert named in err
    assert err.endswith(f" (see 'wsol {verb} --help')\n")


@pytest.mark.parametrize("words", [[], ["cluster"], ["config"], ["data"]])
def test_alone_a_verb_with_verbs_shows_its_help(wsol, words):
    code, out, err = wsol(*words)
    assert (code, err) == (0, "")
    assert f"Usage: {' '.join(['wsol', *words])} [OPTIONS] COMMAND" in out


def test_help_tells_every_exit_code(wsol):
    _, out, _ = wsol("-h")
    flat = " ".join(out.split())
    for kind in (ConfigError, NotFound, Conflict, IntegrityError, ResourceError, ClusterError):
        assert f" {kind.exit_code} " in flat[flat.index("Exit codes:") :]


def test_without_arguments_those_of_the_process_count(wsol, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["wsol", "list", "no-kind"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("wsol: unknown kind 'no-kind'")
