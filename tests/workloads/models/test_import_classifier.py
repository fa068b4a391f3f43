"""A torchvision classifier becomes a model version; nothing is fetched, classes are checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from made_shards import made_record, made_truth, write_shards
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.config.settings import Settings
from orchestrator.evaluate import VERB
from orchestrator.predict import PredictRequest, predict
from workloads.backbones.torchvision_classifier import TorchvisionClassifier
from workloads.errors import ConfigError, NotFound
from workloads.models.model import Model
from workloads.models.version import read_card
from workloads.shards.shards import Shards

NETWORK = "torchvision:squeezenet1_1"  # the smallest file

WANTED = PredictRequest("test", stored_maps=10)
OUT = Path("never made")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(TorchvisionClassifier(NETWORK).network.state_dict(), path)
    return path


def invoke(*words: str):
    given = ["import", NETWORK, *words, "-o", "json"]
    return CliRunner().invoke(app, given, catch_exceptions=False)


def test_a_model_version_without_training(weights: Path, tmp_path: Path) -> None:
    done = invoke("--method", "grad-cam", "--out", str(tmp_path / "m"), "--weights", str(weights))
    assert json.loads(done.stdout)["classes"] == 1000
    card = read_card(tmp_path / "m")
    assert (card.method, card.backbone) == ("grad-cam", NETWORK)
    assert card.classes[0] == "tench"


def test_missing_weights_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(NotFound, match=r"squeezenet1_1-\w{8}\.pth"):
        invoke("--method", "grad-cam", "--out", str(tmp_path / "m"))


def test_other_classes_are_refused(weights: Path, tmp_path: Path) -> None:
    records = [made_record("a", made_truth((0, (0, 0, 8, 8))), split="test")]
    shards = write_shards(tmp_path / "shards", records, ("cat", "dog"), task="singlelabel")
    given = ["--method", "grad-cam", "--out", str(tmp_path / "m"), "--weights", str(weights)]
    with pytest.raises(ConfigError, match="1000"):
        invoke(*given, "--shards", str(shards))
    invoke(*given)
    with pytest.raises(ConfigError, match="class 0 is 'cat', the model's is 'tench'"):
        predict(Settings(), Model.open(tmp_path / "m"), Shards.open(shards), WANTED, OUT, VERB)
