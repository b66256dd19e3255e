"""Where in the trading day and week a bar lies, as points on two circles."""

from __future__ import annotations

import math
from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import day_position, week_position

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TIME_NAMES: Final = ("hour_sin", "hour_cos", "week_sin", "week_cos")
TIME_COLUMNS: Final = len(TIME_NAMES)


@nb.njit(cache=True)
def _circles_nb(day: Float64, week: Float64, out: Float32) -> None:
    for i in range(len(day)):
        out[i, 0] = math.sin(2.0 * math.pi * day[i])
        out[i, 1] = math.cos(2.0 * math.pi * day[i])
        out[i, 2] = math.sin(2.0 * math.pi * week[i])
        out[i, 3] = math.cos(2.0 * math.pi * week[i])


def time_rows(time_s: NDArray[np.int64]) -> Float32:
    """Sine and cosine of the hour of the trading day and of the place in the 120-hour week, ``[k, 4]``.

    Both circles start at 17:00 New York, so daylight saving moves neither.
    """
    out = np.empty((len(time_s), TIME_COLUMNS), np.float32)
    _circles_nb(np.asarray(day_position(time_s)), np.asarray(week_position(time_s)), out)
    return out
