"""`swt buffer`: what the replay buffer of a run holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from swt_cli.options import Json, StateDir

if TYPE_CHECKING:
    from rich.table import Table

    from swt_training.replay_statistics import ReplayStatistics

app = typer.Typer(help="The replay buffer of a training run.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """The replay buffer of a training run."""


@app.command()
def stats(
    state_dir: StateDir = Path("state"),
    as_json: Json = False,
) -> None:
    """Quota, action balance, ages and success memory, as the run last saved them.

    Examples: swt buffer stats; swt buffer stats --state-dir runs/a --json
    """
    from rich.console import Console

    from swt_core.json_text import to_json
    from swt_core.workspace import Workspace
    from swt_training.saved_replay import read_saved_replay

    counters, found = read_saved_replay(Workspace(state_dir).training_state)
    if as_json:
        record = {"round": counters.round, "episodes": counters.episodes, **_record(found)}
        typer.echo(to_json(record, indent=2))
        return
    Console().print(_table(found, counters.round, counters.episodes))


def _record(found: ReplayStatistics) -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(found), "below_quota": found.below_quota}


def _table(found: ReplayStatistics, rounds: int, episodes: int) -> Table:
    from rich.table import Table

    from swt_core.position import ACTION_NAMES

    table = Table(
        title=f"Replay buffer after round {rounds:,}, {episodes:,} episodes",
        box=None,
        show_header=False,
        title_justify="left",
    )
    youngest, first, median, third, oldest = found.age_episodes
    quota = "[red]below[/]" if found.below_quota else "[green]met[/]"
    balance = ", ".join(
        f"{name} {share:.1%}" for name, share in zip(ACTION_NAMES, found.action_shares, strict=True)
    )
    fill = f"{found.steps:,} of {found.capacity_steps:,} steps"
    table.add_row("[bold]held[/]", f"{found.sessions:,} sessions, {fill}, {found.megabytes:.1f} MB")
    table.add_row(
        "[bold]trading sessions[/]",
        f"{found.trading_share:.1%}; quota {found.minimum_trading_share:.0%}: {quota}",
    )
    table.add_row("[bold]actions[/]", balance)
    table.add_row(
        "[bold]age, episodes[/]",
        f"{youngest:,.0f} … {first:,.0f} … [bold]{median:,.0f}[/] … {third:,.0f} … {oldest:,.0f} "
        "(youngest, quartiles, oldest)",
    )
    table.add_row("[bold]searched[/]", f"{found.searched_share:.1%} of the sessions")
    success = found.success
    text = f"{success.sessions:,} of {success.capacity_sessions:,} sessions"
    text += f", expectancy above {success.threshold_pips:+.1f} pips enters"
    if success.worst_score_pips is not None and success.best_score_pips is not None:
        text += f", scores {success.worst_score_pips:+.1f} … {success.best_score_pips:+.1f}"
    table.add_row("[bold]success memory[/]", text)
    return table
