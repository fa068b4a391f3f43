"""Paths of the comparison's data, models and results.

Names carry a digest of what decides the content, so a change of the plan repeats what it touches
and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workloads.artifacts import digest
from workloads.comparison.plan import Plan, Trial, recipe_of
from workloads.recipes.load import load_recipe


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below one folder."""

    folder: Path
    plan: Plan

    def data(self, name: str) -> Path:
        """Shards of a data set of the plan."""
        return self.folder / "data" / f"{name}-{self._data_key(name)}"

    def proposals(self, name: str) -> Path:
        """Object proposals of its training split."""
        return self.folder / "proposals" / f"{name}-{self._data_key(name)}"

    def start(self, recipe: str) -> Path:
        """The model that other recipes start from."""
        return self.folder / "starts" / f"{recipe}-{_recipe_key(recipe)}"

    def start_data(self, recipe: str) -> Path:
        """Shards that it is trained on."""
        return self.folder / "data" / f"for-{recipe}-{_recipe_key(recipe)}"

    def model(self, trial: Trial) -> Path:
        """The trained model."""
        return self.folder / "models" / f"{_name(trial)}-{self._training_key(trial)}"

    def result(self, trial: Trial) -> Path:
        """The values of all readings; written last."""
        values = {
            "training": self._training_key(trial),
            "readings": self.plan.trainings[trial.training].model_dump(mode="json")["readings"],
            "metrics": list(self.plan.metrics),
        }
        return self.folder / "trials" / f"{_name(trial)}-{digest(values)[:8]}.json"

    def _data_key(self, name: str) -> str:
        return digest(self.plan.data[name].model_dump(mode="json"))[:8]

    def _training_key(self, trial: Trial) -> str:
        recipe = recipe_of(self.plan, trial.training, trial.data, trial.seed)
        values = {"recipe": recipe.model_dump(mode="json"), "data": self._data_key(trial.data)}
        return digest(values)[:8]


def _name(trial: Trial) -> str:
    return f"{trial.training}-{trial.data}-{trial.seed}"


def _recipe_key(name: str) -> str:
    return digest(load_recipe(name).model_dump(mode="json"))[:8]
