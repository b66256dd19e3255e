"""Say what is wrong with a configuration: where it was set, which field, and what is allowed."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from swt_core.config.models import SWTConfig

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


def explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    """One paragraph per mistake: ``origin: field: what is wrong; what is allowed``."""
    mistakes = {_mistake(details, origins): None for details in error.errors(include_url=False)}
    return "\n".join(mistakes)


def _mistake(details: ErrorDetails, origins: Mapping[str, str]) -> str:
    names = [str(part) for part in details["loc"]]
    model, field, depth = _find(names)
    key = ".".join(names[:depth])
    where = _where(".".join(names), origins)
    if details["type"] == "value_error":
        # What concerns a whole section was set in many places: none of them is the one to name.
        place = "configuration" if ", " in where else where
        return f"{place}: {'.'.join(names)}: {details['msg'].removeprefix('Value error, ')}"
    if details["type"] == "extra_forbidden":
        known = list(model.model_fields)
        close = difflib.get_close_matches(names[-1], known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        kind = "section" if model is SWTConfig else "key"
        return f"{where}: {'.'.join(names)}: unknown {kind}; {hint}allowed: {', '.join(known)}"
    if field is None:
        return f"{where}: {key}: {details['msg']}" if key else f"{where}: {details['msg']}"
    allowed = describe(field)
    meaning = f" ({field.description})" if field.description else ""
    return f"{where}: {key}: {_value(details['input'])} is not allowed; allowed: {allowed}{meaning}"


def describe(field: FieldInfo) -> str:
    """What a field allows, in words: its type and its bounds."""
    bounds = []
    for constraint in field.metadata:
        for kind, symbol in (
            (annotated_types.Ge, "≥"),
            (annotated_types.Gt, ">"),
            (annotated_types.Le, "≤"),
            (annotated_types.Lt, "<"),
        ):
            if isinstance(constraint, kind):
                bounds.append(f"{symbol} {getattr(constraint, kind.__name__.lower())}")
    first, *alternatives = _type(field.annotation).split(" or ") if bounds else [_type(field.annotation)]
    return " or ".join([" ".join([first, " and ".join(bounds)]).strip(), *alternatives])


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return f"one of {', '.join(str(value) for value in get_args(annotation))}"
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in get_args(annotation))
    if origin in (list, tuple):
        parts = [_type(part) for part in get_args(annotation) if part is not Ellipsis]
        return f"a list of {parts[0]}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a section of 'key: value' lines"
    return _WORDS.get(annotation, str(annotation))


def _value(value: Any) -> str:
    return "null" if value is None else repr(value)


def _find(names: list[str]) -> tuple[type[BaseModel], FieldInfo | None, int]:
    """The model and field an error is about, and how many of ``names`` lead to the field."""
    model: type[BaseModel] = SWTConfig
    field: FieldInfo | None = None
    for depth, name in enumerate(names, 1):
        field = model.model_fields.get(name)
        if field is None:
            return model, None, depth
        annotation = field.annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return model, field, depth
        if depth < len(names):
            model = annotation
    return model, field, len(names)


def _where(key: str, origins: Mapping[str, str]) -> str:
    """Where ``key`` was set: its own origin, a parent's (a list's item), else what was set below it."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        origin = origins.get(".".join(parts[:length]))
        if origin is not None:
            return origin
    below = [origin for name, origin in origins.items() if name.startswith(f"{key}.")]
    return ", ".join(dict.fromkeys(below)) or "configuration"
