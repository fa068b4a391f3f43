"""ray_config.yaml shows every key, in order, explained, and equal to its default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config.settings import Settings
from workloads.options import Options

FILE = Path(__file__).parents[3] / "ray_config.yaml"
TEXT = FILE.read_text(encoding="utf-8")


def keys_of(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")


def keys_of_model(model: Options, prefix: str = "") -> Iterator[str]:
    for key in type(model).model_fields:
        yield prefix + key
        value = getattr(model, key)
        if isinstance(value, Options):
            yield from keys_of_model(value, f"{prefix}{key}.")


def test_the_file_is_the_defaults():
    assert Settings.parse(yaml.safe_load(TEXT), FILE.name) == Settings()


def test_the_file_shows_every_key_in_order():
    assert list(keys_of(yaml.safe_load(TEXT))) == list(keys_of_model(Settings()))


LINES = TEXT.splitlines()
KEY_LINES = [i for i, line in enumerate(LINES) if line.strip() and line.strip()[0] not in "#-"]


@pytest.mark.parametrize("index", KEY_LINES, ids=lambda i: LINES[i].split("#")[0].strip())
def test_every_key_is_explained(index):
    assert "# " in LINES[index] or LINES[index - 1].strip().startswith("# ")


def test_every_field_has_a_description_for_editors():
    def without(model: type[Options], prefix: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Options):
                yield from without(field.annotation, f"{prefix}{name}.")
            elif not field.description:
                yield prefix + name

    assert list(without(Settings)) == []
