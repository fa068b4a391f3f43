"""Every error has its own line, exit code and HTTP status."""

from __future__ import annotations

import errno
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
import typer
from ray.exceptions import ActorDiedError, NodeDiedError, RayTaskError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from orchestrator.cli import errors
from orchestrator.cli import main as cli
from orchestrator.cli.errors import Failure, explain
from workloads import errors as tree
from workloads.errors import ClusterError, ConfigError, NotFound, ResourceError, WsolError, one_line


def subclasses(kind: type[WsolError]) -> set[type[WsolError]]:
    below = {c for c in kind.__subclasses__() if c.__module__ == tree.__name__}
    return {kind} | {deep for c in below for deep in subclasses(c)}


def drawn() -> dict[str, tuple[int, int, str]]:
    """Name to (exit code, HTTP status, meaning) as the docstring draws the tree."""
    row = re.compile(r"^[ │├└─]*([A-Za-z]+) +(\d+) +(\d{3}) +(.+)$", re.MULTILINE)
    return {n: (int(code), int(http), says) for n, code, http, says in row.findall(tree.__doc__)}


def ray_error(cause: BaseException) -> BaseException:
    """A worker's error as `ray.get` raises it: of two classes, with the traceback as text."""
    wrapped = RayTaskError("work", "Traceback ...\n  line\n", cause)
    return wrapped.as_instanceof_cause()


def caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize("kind", sorted(subclasses(WsolError), key=lambda c: c.__name__))
def test_every_error_is_as_drawn(kind):
    code, http, _ = drawn()[kind.__name__]
    assert (kind.exit_code, kind.http_status) == (code, http)
    assert explain(kind("what to do")) == Failure(code, "what to do")


def test_the_drawing_has_no_error_too_many():
    assert set(drawn()) == {kind.__name__ for kind in subclasses(WsolError)}


def test_only_kinds_of_rejected_input_share_an_exit_code_with_usage():
    shared = (tree.InputRejected, tree.StorageError)
    alone = [k.exit_code for k in subclasses(WsolError) if not issubclass(k, shared)]
    assert tree.StorageError.exit_code == tree.ClusterError.exit_code
    assert len(alone) == len(set(alone))
    assert tree.EXIT_QUARANTINED not in alone


@pytest.mark.parametrize("kind", sorted(subclasses(WsolError), key=lambda c: c.__name__))
def test_an_error_of_a_worker_keeps_its_code(kind):
    expected = Failure(kind.exit_code, "image 7: bad")
    error = kind("image 7: bad")
    assert explain(ray_error(error)) == expected
    assert explain(ray_error(ray_error(error))) == expected
    assert explain(WorkerGroupError("workers failed", {0: ray_error(error)})) == expected
    assert explain(ControllerError(error)) == expected
    assert explain(caused(RuntimeError("outer"), error)) == expected
    assert explain(ExceptionGroup("several", [error])) == expected


def test_a_context_that_was_suppressed_does_not_count():
    error = ValueError("bad")
    error.__context__ = NotFound("gone")
    assert explain(error).exit_code == NotFound.exit_code
    error.__suppress_context__ = True
    assert explain(error).exit_code == 1


def test_a_loop_of_causes_ends():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "first" in explain(first).message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_its_path(number):
    error = OSError(number, "No space left on device", "/data/part-1")
    for wrapped in (error, ray_error(error), caused(WsolError("training failed"), error)):
        failure = explain(wrapped)
        assert failure.exit_code == ResourceError.exit_code
        assert failure.message.startswith("disk full: /data/part-1;")


def test_a_full_disk_without_a_number_is_found_by_its_words():
    assert explain(sqlite3.OperationalError("database or disk is full")).exit_code == 7
    assert explain(RuntimeError("I/O error: No space left on device (os error 28)")).exit_code == 7


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/root/x"), "/root/x: permission denied"),
        (IsADirectoryError(21, "Is a directory", "/tmp"), "/tmp: is a directory"),
        (NotADirectoryError(20, "Not a directory", "/a/b"), "/a/b: not a directory"),
        (OSError("Odd"), "Odd"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_the_system_says_is_one_line(error, message):
    assert explain(error) == Failure(1, message)


def test_other_missing_resources():
    assert explain(OSError(errno.EADDRINUSE, "Address already in use")).exit_code == 7
    assert explain(ray_error(MemoryError())).exit_code == 7


def test_errors_of_ray_itself():
    lost = explain(NodeDiedError("node 1 is gone"))
    assert lost.exit_code == ClusterError.exit_code
    assert "NodeDiedError" in lost.message


def test_a_training_worker_that_was_killed_is_a_cluster_that_lost_it():
    """Its neighbour says only that nobody answers any more; such a job is tried again."""
    lost = WorkerHealthCheckFailedError("A worker health check failed.", ActorDiedError())
    failed = WorkerGroupError("workers failed", {0: RuntimeError("connection closed"), 1: lost})
    assert explain(failed).exit_code == ClusterError.exit_code


@pytest.mark.parametrize(
    "said",
    [
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error [10.0.0.2]:58281: "
        "Connection reset by peer.",
        "NCCL error: remote process exited or there was a network error\nncclRemoteError: A call "
        "failed possibly due to a network error or a remote process exiting prematurely.",
    ],
)
def test_a_training_worker_without_its_neighbour_is_a_lost_one(said):
    failed = WorkerGroupError("workers failed", {1: RuntimeError(said)})
    assert explain(failed).exit_code == ClusterError.exit_code


def test_names_alone_do_not_make_an_error_of_ray():
    class NodeDiedError(Exception): ...

    assert explain(NodeDiedError("ours")).exit_code == 1


def test_ctrl_c():
    assert explain(KeyboardInterrupt()).exit_code == 130
    assert explain(typer.Abort()).exit_code == 130


def test_anything_else_is_internal_and_says_how_to_see_more():
    assert explain(ray_error(KeyError("x"))) == Failure(
        1, "internal error: KeyError: 'x' (run again with --debug for the traceback)"
    )
    assert explain(AssertionError()).message.startswith("internal error: AssertionError (")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n  b\tc", "a b c"),
        ("to mysql://user:secret@host/db", "to mysql://***@host/db"),
        ("to mysql://user:sec@ret@host/a@b", "to mysql://***@host/a@b"),
        ("name \x1b[31mred", "name \\x1b[31mred"),
        ("lone \udcff byte", "lone \\udcff byte"),
        ("中文 stays", "中文 stays"),
        ("x" * 5000, "x" * 1999 + "…"),
    ],
)
def test_one_line_is_printable_and_keeps_no_password(text, line):
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("words", "rest", "debug"),
    [
        (["train", "--debug", "x"], ["train", "x"], True),
        (["--debug", "train"], ["train"], True),
        (["train", "--", "--debug"], ["train", "--", "--debug"], False),
        (["train"], ["train"], False),
    ],
)
def test_debug_stands_anywhere(words, rest, debug):
    assert cli.split_debug(words) == (rest, debug)


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *words],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ".", **environment},
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "wsol: No such command 'trian'. Did you mean 'train'? (see 'wsol --help')\n"),
        (["train"], "wsol: Missing argument 'recipe' (see 'wsol train --help')\n"),
        (["list", "method"], "wsol: unknown kind 'method'; did you mean 'methods'? (allowed: "),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(words, message):
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback():
    for done in (run("list", "method", "--debug"), run("list", "method", WSOL_DEBUG="1")):
        assert done.returncode == 2
        assert "Traceback (most recent call last)" in done.stderr
        assert done.stderr.rstrip().splitlines()[-1].startswith("wsol: unknown kind")


def heed_ctrl_c():
    """What a script starts with `&` ignores SIGINT, and so would the verb started here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_ends_a_verb_with_130(tmp_path):
    words = ["data", "make", "digits", "--out", str(tmp_path / "made")]
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli", *words], stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_ctrl_c,
    ) as process:  # fmt: skip
        while not list(tmp_path.glob(".made.*/JPEGImages/*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "wsol: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m orchestrator.cli list -o json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")  # 0: it had written before the reader left


def test_the_map_of_ray_errors_names_what_ray_has():
    import ray.exceptions

    assert all(hasattr(ray.exceptions, name) for name in errors._RAY_ERRORS)
    assert set(errors._RAY_ERRORS.values()) == {ResourceError, ClusterError}
    assert ConfigError not in errors._RAY_ERRORS.values()


def test_no_folder_for_compiled_code_says_what_to_set():
    failure = explain(RuntimeError("cannot cache function 'label': no locator available for 'x'"))
    assert failure.exit_code == 1
    assert "set NUMBA_CACHE_DIR to a folder that this user may write" in failure.message
    assert "internal" not in failure.message
