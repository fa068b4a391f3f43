"""Train again the models that are shipped for recipes to start from: `make pretrained`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from orchestrator.config.settings import Data, Settings
from orchestrator.data.make import make
from orchestrator.provenance import stable_provenance
from workloads.datasets.registry import open_dataset
from workloads.models.model import Model
from workloads.recipes.load import load_recipe
from workloads.recipes.shipped import FOLDER, recipe_digest
from workloads.recipes.train import train
from workloads.shards.ingest import ingest

SHIPPED = ("digits-pretrain-tiny",)


def pretrain(name: str) -> Model:
    """A recipe, trained on the embedded data set of the default settings."""
    recipe = load_recipe(name)
    options = Data().embedded[recipe.dataset]
    provenance = {
        **stable_provenance(),
        "recipe_digest": recipe_digest(recipe),
        "dataset": recipe.dataset,
        "dataset_options": options.model_dump(mode="json"),
    }
    with tempfile.TemporaryDirectory() as work:
        machine = Settings(workspace=Path(work))
        root = make(machine, recipe.dataset, machine.data.embedded).root
        model = train(
            recipe,
            ingest(open_dataset(recipe.dataset, root), Path(work) / "shards"),
            Path(work) / "model",
            provenance=provenance,
            on_epoch=lambda metrics: sys.stderr.write(f"{name}: {metrics}\n"),
        )
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        shutil.copytree(model.folder, FOLDER / name)
    return Model.open(FOLDER / name)


if __name__ == "__main__":
    for recipe_name in SHIPPED:
        sys.stdout.write(f"{pretrain(recipe_name).folder}\n")
