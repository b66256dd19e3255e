"""The reference in `docs/commands.md`, written from the commands themselves.

python -m swt_cli.reference docs/commands.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from swt_core.errors import ConfigError

# What stands above it on the page is written by hand and kept.
MARK: Final = "<!-- Below: python -m swt_cli.reference docs/commands.md -->\n"


def written(page: str) -> str:
    """``page`` with everything below its mark written anew.

    Raises:
        ConfigError: there is no mark.
    """
    head, mark, _ = page.partition(MARK)
    if not mark:
        raise ConfigError("the page has no mark to write below", remedy=f"put this line in: {MARK}")
    return head + mark + "\n" + commands_page()


def commands_page() -> str:
    """Every command by panel: what it does, examples, options; Markdown."""
    from swt_cli.main import app

    root = typer.main.get_command(app)
    parts: list[str] = []
    panel = None
    for path, command in walk(root):
        if path[0] != panel:
            panel = path[0]
            parts.append(f"## {panel}\n\n")
        parts.append(_section(path[1:], command))
    return "".join(parts).rstrip() + "\n"


def walk(root: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that is shown, as (panel, name, …), in the order of the map."""
    context = root.make_context("swt", [], resilient_parsing=True)
    for name in root.list_commands(context):
        command = root.commands[name]
        if not command.hidden:
            yield from _walk((str(command.rich_help_panel), name), command)


def _walk(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", {})
    if not children or command.invoke_without_command:
        yield path, command
    for name, child in children.items():
        if not child.hidden:
            yield from _walk((*path, name), child)


def _section(path: tuple[str, ...], command: Any) -> str:
    name = " ".join(("swt", *path))
    about, commands = _about(command.help or "")
    context = command.make_context(name, [], resilient_parsing=True)
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    text = f"### {name}\n\n{about}\n\n"
    if commands:
        text += "```\n" + "\n".join(commands) + "\n```\n\n"
    if rows:
        lines = [f"| `{_cell(shown)}` | {_cell(meaning)} |" for shown, meaning in rows]
        text += "| | |\n|---|---|\n" + "\n".join(lines) + "\n\n"
    return text


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def _about(help_text: str) -> tuple[str, list[str]]:
    before, _, _ = help_text.partition("Examples:")
    return before.strip(), examples(help_text)


def examples(help_text: str) -> list[str]:
    """The command lines under ``Examples:``, one each."""
    _, _, after = help_text.partition("Examples:")
    lines = [re.sub(r"\s+", " ", part).strip() for part in re.split(r";|\n\s*\n", after)]
    return [line for line in lines if line]


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(written(target.read_text()))
