"""Wavelet scattering of close windows (first form: plain FFTs in float64)."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swt_core.errors import DataError

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

WINDOW = 256
Profile = Literal["J2Q6", "J6Q4"]


class WaveletScattering:
    """The scattering of 256 closes, as Kymatio's ``Scattering1D`` does it.

    ``J2Q6`` gives 8 paths × 16 pooled times (path-major); ``J6Q4`` gives the time averages of its 66
    paths of orders 1 and 2, then the 4 samples of order 0.
    """

    def __init__(self, profile: Profile) -> None:
        from kymatio.scattering1d.frontend.numpy_frontend import ScatteringNumPy1D

        self.profile = profile
        j, q = (2, 6) if profile == "J2Q6" else (6, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._kymatio = ScatteringNumPy1D(j, WINDOW, q)
        self.size = 128 if profile == "J2Q6" else 70

    def transform(
        self, closes_hp: Int64, rows: Int64, scale: float = 1.0, window_std: bool = False
    ) -> Float32:
        """Features of the windows that end at ``rows``.

        Args:
            closes_hp: ``[n]`` closes in half-points.
            rows: ``[k]`` last row of each window, in any order, each at least 255.
            scale: factor applied to ``close − last close`` (ignored with ``window_std``).
            window_std: divide each window by its own standard deviation instead.

        Returns:
            ``[k, size]``.

        Raises:
            DataError: a row has no complete window.
        """
        if len(rows) and (rows.min() < WINDOW - 1 or rows.max() >= len(closes_hp)):
            raise DataError(f"a scattering window needs {WINDOW} closes up to its row")
        out = np.empty((len(rows), self.size), np.float32)
        offsets = np.arange(1 - WINDOW, 1)
        for i, row in enumerate(rows):
            window = (closes_hp[row + offsets] - closes_hp[row]).astype(np.float64)
            if window_std:
                window -= window.mean()
                deviation = window.std()
                window = window / deviation if deviation else np.zeros(WINDOW)
            else:
                window *= scale
            coefficients = self._kymatio(window)
            if self.profile == "J2Q6":
                out[i] = coefficients.reshape(8, 16, 4).mean(axis=2).ravel()
            else:
                out[i, :66] = coefficients[1:].mean(axis=1)
                out[i, 66:] = coefficients[0]
        return out
