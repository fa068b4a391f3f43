"""The base of every typed configuration: unknown keys are refused with the nearest match."""

from __future__ import annotations

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


def _one_line(model: type[BaseModel], error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        parent = _model_at(model, path[:-1]) or model
        place = ".".join([where, *path[:-1]])
        return f"{place}: {unknown_name('key', path[-1], parent.model_fields)}"
    return f"{where}: {key}: {first['msg']}; given {first['input']!r}"


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
