"""What pydantic refuses, in words: which value, why, and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .errors import BadSettings, UnknownName
from .registry import unknown


def refused(
    error: ValidationError, model: type[BaseModel], kind: str, where: str = "", hint: str = ""
) -> BadSettings:
    """The first of what was refused.

    Args:
        model: whose values they are.
        kind: what its fields are called, such as "setting"; where: what to say first, such as "FILE: ".
        hint: the way out, where it is neither another name nor what a field is for.
    """
    first = error.errors()[0]
    path, name = first["loc"], ".".join(map(str, first["loc"]))
    fields = _at(model, path[:-1]).model_fields
    if first["type"] == "extra_forbidden":
        meant = unknown(kind, str(path[-1]), fields)
        return UnknownName(f"{where}There is no {kind} called {name!r}.", meant.hint)
    field = next((fields[one] for one in path[::-1] if isinstance(one, str) and one in fields), None)
    about = f"{name}: {field.description}." if field and field.description else hint
    return BadSettings(f"{where}The {kind} {name!r} does not fit: {first['msg']}.", about)


def _at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The model to which a way through the fields of another leads."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as tuple[Model, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
