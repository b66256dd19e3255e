"""The same features from Kymatio itself, in float64: what the fast kernel is measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swt_features.wavelets import WINDOW, Profile, kymatio_transform

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def scaled_windows(closes_hp: Int64, rows: Int64, scale: float, window_std: bool) -> Float64:
    """The windows that end at ``rows`` as scattering sees them, ``[k, 256]``."""
    windows = closes_hp[rows[:, None] + np.arange(1 - WINDOW, 1)] - closes_hp[rows, None]
    if not window_std:
        return windows * scale
    centred = windows - windows.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)


def kymatio_features(
    profile: Profile, closes_hp: Int64, rows: Int64, scale: float = 1.0, window_std: bool = False
) -> Float64:
    """What `WaveletScattering.transform` should return, ``[k, size]``."""
    coefficients = kymatio_transform(profile)(scaled_windows(closes_hp, rows, scale, window_std))
    if profile == "J2Q6":
        return coefficients.reshape(len(rows), 8, 16, 4).mean(axis=3).reshape(len(rows), -1)
    return np.concatenate([coefficients[:, 0], coefficients[:, 1:].mean(axis=2)], axis=1)


def relative_error(values: NDArray[np.float32], reference: Float64) -> Float64:
    """Relative L2 error of each window, ``[k]``; 0 where both are zero."""
    error = np.linalg.norm(values - reference, axis=1)
    size = np.linalg.norm(reference, axis=1)
    return np.where(error == 0, 0.0, error / np.where(size > 0, size, np.finfo(np.float64).tiny))
