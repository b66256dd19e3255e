"""A day as the agent sees it: bars, scattergram, position features, in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from swt_core.calendar import DAY_S, trading_day
from swt_core.clock import iso_utc, utc_datetime
from swt_core.config.models import FeaturesConfig
from swt_core.errors import DataError
from swt_core.position import BUY, CLOSE, HOLD, SELL, STEP_FIELDS, advance_nb, flat_positions
from swt_data.bars import Bars
from swt_features.position import position_features, position_variant
from swt_features.scattering import WaveletScattering
from swt_features.wavelets import WINDOW, kymatio_transform

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

_TRADE_BARS: Final = 180
_PAUSE_BARS: Final = 60


def day_rows(bars: Bars, time_s: int) -> Int64:
    """Rows of the trading day (17:00 to 17:00 New York) that holds ``time_s`` and have whole windows.

    Raises:
        DataError: there are none.
    """
    rows = np.flatnonzero(trading_day(bars.time_s) == trading_day(time_s))
    rows = rows[rows >= WINDOW - 1]
    if not len(rows):
        raise DataError(
            f"no bar with {WINDOW - 1} bars before it in the trading day of {iso_utc(time_s)}",
            remedy=f"the bars cover {iso_utc(int(bars.time_s[0]))} … {iso_utc(int(bars.time_s[-1]))}",
        )
    return rows


def whole_day(bars: Bars, day: str = "") -> int:
    """An instant of the trading day named ``YYYY-MM-DD`` (by its close), or of the last but one.

    Raises:
        DataError: ``day`` is not a date.
    """
    days = trading_day(bars.time_s)
    if not day:
        wanted = int(days[days < days[-1]][-1]) if days[0] < days[-1] else int(days[-1])
    else:
        try:
            wanted = int(np.datetime64(day, "D").astype(np.int64))
        except ValueError:
            raise DataError(f"{day!r} is not a date", remedy="write it as YYYY-MM-DD") from None
    return wanted * DAY_S + DAY_S // 2  # 12:00 UTC lies in the trading day that closes on this date


def scripted_position_features(bars: Bars, rows: Int64, config: FeaturesConfig) -> Float32:
    """Position features over ``rows`` while long and short trades of three hours take turns, ``[k, P]``."""
    positions, step, no_carry = flat_positions(1), np.empty((1, STEP_FIELDS)), np.zeros((1, 2))
    out = []
    for i, row in enumerate(rows):
        out.append(position_features(positions, bars.close_hp[row : row + 1], config, bars.instrument)[0])
        if row + 1 >= len(bars):
            break
        trade, bar = divmod(i, _TRADE_BARS + _PAUSE_BARS)
        entry = BUY if trade % 2 == 0 else SELL
        action = {_PAUSE_BARS: entry, _PAUSE_BARS + _TRADE_BARS - 1: CLOSE}.get(bar, HOLD)
        fill = slice(row + 1, row + 2)
        advance_nb(
            positions,
            np.array([action]),
            bars.bid_open[fill],
            bars.ask_open[fill],
            bars.bid_close[fill],
            bars.ask_close[fill],
            no_carry,
            float(bars.instrument.points_per_pip),
            step,
        )
    return np.array(out)


def plot_day(bars: Bars, time_s: int, config: FeaturesConfig, path: Path) -> None:
    """Draw the trading day that holds ``time_s`` as a PNG at ``path``.

    Panels: close; J6Q4 scattergram of order 1 by the wavelets' periods, and of order 2; position features
    while scripted trades run (long and short in turn, three hours each).

    Raises:
        DataError: the bars do not hold that day.
    """
    rows = day_rows(bars, time_s)
    scattering = WaveletScattering("J6Q4")
    scale = 1.0 / (config.anchor_scale_pips * bars.instrument.half_points_per_pip)
    coefficients = scattering.transform(bars.close_hp, rows, scale)
    first = scattering.tables.slots
    second = first + len(scattering.tables.paths)
    periods = [1 / psi["xi"] for psi in kymatio_transform("J6Q4").psi1_f]

    figure = Figure(figsize=(12, 12), layout="constrained")
    close, order1, order2, position = figure.subplots(4, 1, sharex=True)
    at = np.arange(len(rows))
    close.plot(at, bars.close_hp[rows] / 2 / 10**bars.instrument.display_precision, lw=0.8)
    close.set_ylabel("mid close")
    close.set_title(f"{bars.instrument.name.replace('_', '/')}, trading day of {iso_utc(time_s)[:10]}")
    for axis, values, label in (
        (order1, coefficients[:, first:second], "order 1: period, minutes"),
        (order2, coefficients[:, second:], "order 2: path"),
    ):
        image = axis.imshow(
            np.log10(np.maximum(values.T, 1e-6)), aspect="auto", interpolation="nearest", cmap="magma"
        )
        axis.set_ylabel(label)
        figure.colorbar(image, ax=axis, label="log₁₀ coefficient", pad=0.01)
    shown = np.arange(0, len(periods), 3)
    order1.set_yticks(shown, [f"{periods[i]:.0f}" for i in shown])
    values = scripted_position_features(bars, rows, config)
    for column, name in enumerate(position_variant(config).names):
        position.plot(np.arange(len(values)), values[:, column], lw=0.9, label=name)
    position.set_ylabel("position features")
    figure.legend(handles=position.lines, fontsize=8, ncols=5, loc="outside lower center")
    ticks = np.arange(0, len(rows), max(1, len(rows) // 12))
    position.set_xticks(ticks, [f"{utc_datetime(int(bars.time_s[rows[i]])):%H:%M}" for i in ticks])
    position.set_xlabel("UTC; position features while long and short trades of three hours take turns")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=110)
