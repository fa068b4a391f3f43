"""Streams that are closed, or cannot hold every letter: one line, or letters alike."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orchestrator.cli import streams

WSOL = [sys.executable, "-m", "orchestrator.cli"]


def test_a_table_on_a_terminal_of_ascii():
    done = subprocess.run(
        [*WSOL, "list", "clusters"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()
    assert b"inline" in done.stdout


@pytest.mark.parametrize(
    ("text", "written"),
    [("a – b", "a - b"), ("1…", "1..."), ("3 × 4", "3 x 4"), ("小麦", "\\u5c0f\\u9ea6")],
)
def test_letters_that_a_stream_cannot_hold(text, written):
    assert text.encode("ascii", "wsol.plain").decode() == written
    assert text.encode("utf-8", "wsol.plain").decode() == text


def test_a_closed_stdout_is_one_line_and_no_file_takes_its_place():
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m orchestrator.cli list clusters -o json >&-"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("wsol: stdout is closed")
    assert done.stderr.count("\n") == 1


def test_a_closed_stderr_costs_only_what_is_said_there(tmp_path):
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m orchestrator.cli list klusters 2>&-"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""


def test_only_an_encoding_is_mended():
    with pytest.raises(UnicodeDecodeError):
        streams.plain_text(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"))
