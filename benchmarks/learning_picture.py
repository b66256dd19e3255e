"""Learning curves as a picture, and as a table beside it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.learning_figures import SeedFigures

COLOURS: Final = {
    "search": "#0b6e4f",
    "prior": "#6fbf9b",
    "ppo": "#c1440e",
    "dqn": "#5c5c99",
    "plain": "#888888",
}
LABELS: Final = {
    "search": "SWT",
    "prior": "SWT without search",
    "ppo": "PPO",
    "dqn": "DQN",
    "plain": "plain MuZero",
}


def save_curves(stem: Path, market: str, found: Sequence[SeedFigures]) -> Path:
    """Write ``stem.csv`` (seed, agent, seconds, pips) and ``stem.png``; returns the picture's path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    with stem.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "agent", "elapsed_s", "pips_per_episode"])
        for one in found:
            for agent, curve in one.curves.items():
                for second, pips in zip(curve.seconds, curve.pips, strict=True):
                    writer.writerow([one.seed, agent, f"{second:.2f}", f"{pips:.3f}"])
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = {one.reference_name for one in found}
    rule = names.pop() if len(names) == 1 else "best known rule of each seed"
    for i, one in enumerate(found):
        for agent, curve in one.curves.items():
            axes.plot(
                curve.seconds,
                curve.pips,
                color=COLOURS[agent],
                label=LABELS[agent] if i == 0 else None,
                linewidth=1.8 if agent == "search" else 1.1,
                alpha=0.85,
                marker=".",
            )
        if one.reference is not None:
            pips = float(one.reference.pips[: one.curve_sessions].mean())
            axes.axhline(
                pips,
                color="black",
                linestyle=":",
                linewidth=1.0,
                label=rule if i == 0 else None,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training time, s")
    axes.set_ylabel("pips per held-out session, after costs")
    axes.set_title(f"{market}: {len(found)} seed{'s' if len(found) > 1 else ''}")
    axes.grid(alpha=0.25)
    axes.legend(loc="best", frameon=False)
    path = stem.with_suffix(".png")
    figure.savefig(path, dpi=130)
    return path
