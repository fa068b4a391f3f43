"""Keys of earlier versions are refused with their names of today."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestrator.cli.main import main
from orchestrator.config.renamed import GONE, RENAMED, new_name
from orchestrator.config.settings import Machine, Settings, load_settings
from workloads.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOL_CONFIG", raising=False)


@pytest.mark.parametrize("key", sorted(RENAMED))
def test_an_old_key_names_the_new_one(key, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["config", "show", "--set", f"{key}=1"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"'{key}' is '{RENAMED[key]}'" in line


@pytest.mark.parametrize("key", sorted(RENAMED))
def test_the_new_one_exists(key):
    model: object = Settings()
    for part in RENAMED[key].split("."):
        assert hasattr(model, part), RENAMED[key]
        model = getattr(model, part)


def test_all_old_keys_of_a_file_are_said_at_once():
    old = {
        "job": {
            "name": "x",
            "search": {"trials": 3, "metric": "gt_known"},
            "data": {"options": {"clip_boxes": True}},
        }
    }
    Path("ray_config.yaml").write_text(yaml.safe_dump(old))
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert str(refused.value) == (
        "ray_config.yaml: keys have other names now: 'job.data.options.clip_boxes' is "
        "'ingest.options.clip_boxes', 'job.name' is 'pipeline.name', "
        "'job.search.metric' is 'tune.metric'; rename them. 'job.search.trials' is gone: every "
        "cut-off is tried; remove it, or set tune.alphas, how many alphas to try"
    )


@pytest.mark.parametrize("key", sorted(GONE))
def test_a_key_that_is_gone_says_what_to_do(key):
    with pytest.raises(ConfigError) as refused:
        load_settings(overrides=[f"{key}=1"])
    assert str(refused.value) == f"settings: '{key}' is gone: {GONE[key]}"
    assert "remove it" in str(refused.value)


def test_names_of_today_are_not_renamed():
    assert new_name("data.digits.seed") is None
    assert new_name("serve.port") is None
    assert new_name("jobs.x") is None


def test_settings_are_a_machine_with_a_section_for_each_verb():
    assert isinstance(Settings(), Machine)
    assert set(Settings.model_fields) - set(Machine.model_fields) == {
        "data", "ingest", "proposals", "train", "evaluate", "tune", "sweep", "registry",
        "annotate", "serve", "pipeline",
    }  # fmt: skip
