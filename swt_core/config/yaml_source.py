"""Settings with the line each was written on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from swt_core.config.models import SWTConfig
from swt_core.errors import ConfigError


@dataclass(frozen=True)
class Setting:
    """One value, its path below the configuration's root, and where it was set."""

    path: tuple[str, ...]
    value: Any
    origin: str


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars: 1e-3 is a number; yes, on and off are words, dates are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node).replace("_", ""))


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).replace("_", ""))


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def read_settings(path: Path, prefix: tuple[str, ...] = (), note: str = "") -> list[Setting]:
    """The settings of a YAML file, each with ``file:line`` as its origin.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or names a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return []
        return list(_walk(loader, root, path, prefix, note))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: {error.problem}", remedy="correct the YAML") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {error}", remedy="correct the YAML") from None


def _walk(
    loader: _Loader, node: yaml.Node, path: Path, prefix: tuple[str, ...], note: str
) -> Iterator[Setting]:
    origin = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode) and (node.value or not prefix):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            where = f"{path}:{key_node.start_mark.line + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{where}: a key must be a word", remedy="correct the YAML")
            key = str(key_node.value)
            if key in seen:
                raise ConfigError(
                    f"{where}: {'.'.join((*prefix, key))} is set twice", remedy="remove one of the two"
                )
            seen.add(key)
            yield from _walk(loader, value_node, path, (*prefix, key), note)
    elif not prefix or (len(prefix) == 1 and not _is_empty(node)):
        raise ConfigError(f"{origin}: a section is 'key: value' lines", remedy="correct the YAML")
    elif len(prefix) > 1:
        yield Setting(prefix, loader.construct_object(node, deep=True), f"{origin}{note}")


def _is_empty(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null" or (isinstance(node, yaml.MappingNode) and not node.value)


def parse_text(path: tuple[str, ...], text: str) -> Any:
    """The value of a variable or command-line option: read as YAML, unless the field wants text.

    Text that is no YAML is left as it is: the check of its type explains what is allowed.
    """
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 — a SafeLoader
    except yaml.YAMLError:
        return text
    if value is not None and not isinstance(value, str) and _wants_text(path):
        return text
    return value


def _wants_text(path: tuple[str, ...]) -> bool:
    model: type[BaseModel] = SWTConfig
    for index, name in enumerate(path):
        field = model.model_fields.get(name)
        if field is None:
            return False
        annotation: Any = field.annotation
        if index == len(path) - 1:
            return annotation is str or str in get_args(annotation)
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return False
        model = annotation
    return False
