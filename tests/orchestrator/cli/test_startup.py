"""The command line answers at once: heavy packages are imported only where they are needed."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys

import pytest

HEAVY = ("ray", "torch", "torchvision", "mlflow", "sklearn", "matplotlib")
PROBE = """
import json, sys
from orchestrator.cli.main import main
try:
    main({words!r})
except SystemExit as end:
    loaded = [name for name in {heavy!r} if name in sys.modules]
    print(json.dumps([end.code, loaded]), file=sys.stderr)
"""

EVERY_HELP = """
import json, sys
from orchestrator.cli.main import main
for words in {verbs!r}:
    try:
        main([*words, "--help"])
    except SystemExit as end:
        assert end.code == 0, words
print(json.dumps([name for name in {heavy!r} if name in sys.modules]), file=sys.stderr)
"""

VERBS = (
    ["run"],
    ["ingest"],
    ["train"],
    ["evaluate"],
    ["tune"],
    ["register"],
    ["annotate"],
    ["serve"],
    ["sync"],
    ["list"],
    ["config"],
    ["config", "show"],
    ["config", "validate"],
    ["config", "schema"],
    ["data"],
    ["data", "make"],
    ["data", "inspect"],
    ["doctor"],
    ["bench"],
)


def probe(*words: str) -> tuple[int, list[str], str]:
    code = PROBE.format(words=list(words), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    exit_code, loaded = json.loads(done.stderr.splitlines()[-1])
    return exit_code, loaded, done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        [],
        ["list"],
        ["list", "clusters", "-o", "json"],
        ["list", "datasets"],
        ["config", "show"],
        ["config", "schema"],
    ],
)
def test_light_commands_import_nothing_heavy(words):
    code, loaded, stdout = probe(*words)
    assert code == 0
    assert loaded == []
    assert stdout


def test_every_verb_has_help():
    done = subprocess.run(
        [sys.executable, "-c", EVERY_HELP.format(verbs=VERBS, heavy=HEAVY)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stderr) == []
    assert "\x1b" not in done.stdout
    usages = re.findall(r"Usage: wsol (.*?) \[OPTIONS\]", done.stdout)
    assert usages == [" ".join(words) for words in VERBS]


def test_help_takes_less_than_a_second():
    def cpu_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = cpu_s()
    probe("--help")
    assert cpu_s() - before < 1.0  # not by the clock: other tests share the cores


def test_the_version_is_that_of_the_project():
    from orchestrator.provenance import version

    assert probe("--version")[2] == f"wsol {version()}\n"
