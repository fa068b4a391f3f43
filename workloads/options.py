"""The base of every typed configuration: unknown keys are refused with the nearest match."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from workloads.errors import ConfigError, unknown_name


class Options(BaseModel):
    """Typed, immutable options. Build them from user input with `parse`."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @classmethod
    def parse(cls, values: Mapping[str, Any] | None, where: str) -> Self:
        """Validate user input.

        Raises:
            ConfigError: one line with `where`, the key, what was given and what is allowed.
        """
        try:
            return cls.model_validate(dict(values or {}))
        except ValidationError as error:
            raise ConfigError(_one_line(cls, error, where)) from None


def descriptions(options: type[BaseModel]) -> dict[str, str]:
    """Description of each field in one paragraph, from the field or its class's docstring.

    There the section "Attributes:" has `name: text` or `name, name: text`, each with its further
    lines indented.
    """
    found: dict[str, str] = {}
    for kind in reversed(options.__mro__):
        if issubclass(kind, BaseModel):
            found |= _documented(kind)
    said = {name: field.description for name, field in options.model_fields.items()}
    found |= {name: text for name, text in said.items() if text}
    return {name: found[name] for name in options.model_fields if name in found}


def _documented(kind: type[BaseModel]) -> dict[str, str]:
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    # An entry begins at the section's own indentation and ends before the next one.
    for entry in re.split(r"^    (?=\S)", section.split("\n\n")[0], flags=re.MULTILINE)[1:]:
        names, _, text = entry.partition(":")
        found |= dict.fromkeys(re.split(r",\s*", names), " ".join(text.split()))
    return found


def _one_line(model: type[BaseModel], error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        parent = _model_at(model, path[:-1]) or model
        place = ".".join([where, *path[:-1]])
        return f"{place}: {unknown_name('key', path[-1], parent.model_fields)}"
    said = first["msg"].removeprefix("Value error, ")  # of a check of our own
    return f"{where}: {key}: {said}; given {first['input']!r}"


def _model_at(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    for part in path:
        if part not in model.model_fields:
            continue  # an index of a list
        annotation = model.model_fields[part].annotation
        found = [t for t in (annotation, *_nested(annotation)) if _is_model(t)]
        if not found:
            return None
        model = found[0]
    return model


def _nested(annotation: Any) -> list[Any]:
    inner = list(get_args(annotation))
    return inner + [deep for arg in inner for deep in _nested(arg)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
