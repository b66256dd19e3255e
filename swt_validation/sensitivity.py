"""What happens to the result when one assumption is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swt_data.bars import Bars
from swt_environments.market import Market
from swt_validation.analysis import AgentRun
from swt_validation.held_out import Episodes
from swt_validation.levels import Deadline
from swt_validation.players import Player, Setting, played_whole
from swt_validation.report import SensitivityRow

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

SPREAD_FACTOR: Final = 1.5
NOISE_PIPS: Final = 0.5


def wider_spread(bars: Bars, factor: float) -> Bars:
    """The same mids with every spread ``factor`` times as wide, rounded to the mids' parity."""

    def widened(spread: Int64) -> Int64:
        return spread + 2 * np.rint((factor - 1) * spread / 2).astype(np.int64)

    return replace(bars, spread_open=widened(bars.spread_open), spread_close=widened(bars.spread_close))


def noisy(bars: Bars, deviation_pips: float, rng: np.random.Generator) -> Bars:
    """Bars whose mids all carry one independent error a bar; the shape of a bar is kept."""
    error = rng.normal(0.0, deviation_pips * bars.instrument.half_points_per_pip, len(bars))
    shift = np.rint(error).astype(np.int64)
    return replace(
        bars,
        open_hp=bars.open_hp + shift,
        high_hp=bars.high_hp + shift,
        low_hp=bars.low_hp + shift,
        close_hp=bars.close_hp + shift,
    )


def one_bar_late(run: AgentRun, market: Market) -> Float64:
    """Profit of each trade had both its orders been filled one bar later, ``[trades]`` pips.

    Fills move to the next bar's open, inside the episode (a fill in its last bar stays where it was).
    Spread is that of the new bars; slippage and financing stay what they were.
    """
    trades, bars = run.evaluation.trades, market.bars
    last = run.last_rows[trades.episode] + 1
    entry = np.searchsorted(bars.time_s, trades.entry_time_s)
    leave = np.searchsorted(bars.time_s, trades.exit_time_s)
    shift_points = np.zeros(len(trades))
    for row, sign in ((entry, -1), (leave, 1)):
        late = np.minimum(row + 1, last)
        fills = np.where(trades.side * sign > 0, market.fill_bid[late], market.fill_ask[late])
        was = np.where(trades.side * sign > 0, market.fill_bid[row], market.fill_ask[row])
        moved = np.where((sign > 0) & trades.forced, 0, fills - was)
        shift_points += sign * trades.side * moved
    result: Float64 = trades.pnl_pips + shift_points / market.points_per_pip
    return result


def _row(name: str, pnl: Float64, reference: float) -> SensitivityRow:
    return SensitivityRow(
        name=name,
        trades=len(pnl),
        total_pips=float(pnl.sum()),
        expectancy_pips=float(pnl.mean()) if len(pnl) else None,
        change_pips=float(pnl.sum()) - reference,
    )


def _variants(setting: Setting, rng: np.random.Generator) -> Iterator[tuple[str, Setting]]:
    bars, search = setting.bars, setting.config.trading.search
    yield (
        f"spread {SPREAD_FACTOR - 1:+.0%}",
        replace(setting, bars=wider_spread(bars, SPREAD_FACTOR)),
    )
    yield (
        f"noise of {NOISE_PIPS} pips on the prices it sees",
        replace(setting, seen=noisy(bars, NOISE_PIPS, rng)),
    )
    fewer, more = max(2, search.simulations // 2), 2 * search.simulations
    for simulations in (fewer, more):
        changed = search.model_copy(update={"simulations": simulations})
        yield f"{simulations} simulations, not {search.simulations}", setting.with_search(changed)


def sensitivity(
    player: Player,
    setting: Setting,
    episodes: Episodes,
    reference: AgentRun,
    rng: np.random.Generator,
    deadline: Deadline,
) -> list[SensitivityRow]:
    """Each variant on the episodes of the reference run.

    The late fills are the reference's own trades re-priced; every other variant asks the agent again.

    Args:
        player: who plays.
        setting: the unchanged assumptions.
        episodes: what ``reference`` was played on.
        reference: the agent under the unchanged assumptions.
        rng: of the price noise.
        deadline: variants that are not whole when time is up are left out.
    """
    pnl = reference.evaluation.trades.pnl_pips
    total = float(pnl.sum())
    kind = "weeks" if episodes.mode == "weeks" else "sessions"
    rows = [
        _row(f"reference, {len(episodes)} {kind}", pnl, total),
        _row("every fill one bar late", one_bar_late(reference, setting.market()), total),
    ]
    for name, variant in _variants(setting, rng):
        run = played_whole(player, variant, episodes, deadline, f"sensitivity: {name}")
        if run is not None:
            rows.append(_row(name, run.evaluation.trades.pnl_pips, total))
    return rows
