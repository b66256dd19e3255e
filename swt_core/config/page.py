"""The configuration as a page for people: every key with its default, what is allowed, what it means.

``docs/configuration.md`` is this page (``swt config docs > docs/configuration.md``); a test keeps it so.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from swt_core.config.explain import describe
from swt_core.config.loading import PACKAGED_CONFIG_DIR
from swt_core.config.models import SWTConfig

_OPENING: Final = """\
# Configuration

Every key, its default, what is allowed and what it means. Written by `swt config docs`: change
the sections in `swt_core/config/`, not this page.

Values come from, each over the one before:

1. the defaults below;
2. one YAML file per area in `./config` (where there is none, in the defaults that the package carries);
3. a profile on top, `--profile NAME` or `SWT_PROFILE`: a file in `config/profiles/`;
4. the environment, `SWT_SECTION__KEY`, for example `SWT_TRAINING__SEED=7` or
   `SWT_TRADING__SEARCH__SIMULATIONS=50`;
5. the command line, `--set section.key=value`, as often as needed.

`swt config show` prints every value and where it came from; `swt config check` names file and line, the key
and what is allowed. An unknown key is an error. Units stand in the key or in the description; a *pip* is the
instrument's, times are UTC unless something else is said.

Secrets are no configuration and stand in no YAML file. They come from the environment alone:

| variable | holds |
|---|---|
| `SWT_BROKER_TOKEN` | the broker's token |
| `SWT_BROKER_TOKEN_FILE` | a file with the broker's token |
| `SWT_ALERT_WEBHOOK` | address to which alerts are sent as JSON |

Other variables: `SWT_STATE_DIR` (root of the state directories, as `--state-dir`), `SWT_PROFILE`,
`NUMBA_CACHE_DIR` (where compiled kernels are kept).
"""


def configuration_page() -> str:
    """The page as Markdown."""
    parts = [_OPENING, _profiles()]
    for name, model in _sections(SWTConfig):
        rows = [
            f"| `{key}` | {_value(field.get_default(call_default_factory=True))} | {_cell(describe(field))} "
            f"| {_cell(field.description or '')} |"
            for key, field in model.model_fields.items()
            if not _is_section(field)
        ]
        about = (model.__doc__ or "").strip().splitlines()[0]
        table = ["| key | default | allowed | meaning |", "|---|---|---|---|", *rows]
        parts.append(f"## {name}\n\n{about}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _profiles() -> str:
    """The packaged profiles, each with the comment that its file begins with."""
    rows = []
    for file in sorted((PACKAGED_CONFIG_DIR / "profiles").glob("*.yaml")):
        lines = itertools.takewhile(lambda line: line.startswith("#"), file.read_text().splitlines())
        rows.append(f"| `{file.stem}` | {_cell(' '.join(line.lstrip('# ') for line in lines))} |")
    return "\n".join(["## Profiles\n", "| profile | what for |", "|---|---|", *rows]) + "\n"


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section under ``model`` with its dotted name, each before the sections inside it."""
    for key, field in model.model_fields.items():
        if _is_section(field):
            annotation: Any = field.annotation
            yield f"{prefix}{key}", annotation
            yield from _sections(annotation, f"{prefix}{key}.")


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _value(value: object) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
