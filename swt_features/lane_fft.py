"""The Fourier transforms of the scattering kernel, on lanes: real samples to a band's moduli.

All are inverse FFTs of 64 = 8 × 8 points, or of 8; longer signals are put together from such pieces as
`swt_features.wavelets` explains. ``work`` is the scratch space of one 64-point FFT.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_features.lanes import (
    complex_nb,
    conjugate_nb,
    load_complex_nb,
    load_nb,
    modulus_nb,
    store_complex_nb,
    store_nb,
    times_i_nb,
    zero_nb,
)
from swt_features.wavelets import FIRST, HIGHEST, LENGTH, LOWEST, PARTS, PIECES, SIZE, TABLE, WIDTH

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

_EIGHTH: Final = np.complex64(np.exp(0.25j * np.pi))
_THREE_EIGHTHS: Final = np.complex64(np.exp(0.75j * np.pi))


@nb.njit(forceinline=True)
def _fft4_nb(x0: Any, x1: Any, x2: Any, x3: Any) -> Any:
    """Inverse FFT of four complex lanes, unscaled."""
    a, b, c, d = x0 + x2, x1 + x3, x0 - x2, times_i_nb(x1 - x3)
    return a + b, c + d, a - b, c - d


@nb.njit(forceinline=True)
def _fft8_nb(x: Any) -> Any:
    """Inverse FFT of eight complex lanes, unscaled."""
    x0, x1, x2, x3, x4, x5, x6, x7 = x
    y0, y2, y4, y6 = _fft4_nb(x0 + x4, x1 + x5, x2 + x6, x3 + x7)
    y1, y3, y5, y7 = _fft4_nb(x0 - x4, (x1 - x5) * _EIGHTH, times_i_nb(x2 - x6), (x3 - x7) * _THREE_EIGHTHS)
    return y0, y1, y2, y3, y4, y5, y6, y7


@nb.njit(forceinline=True)
def _first_stage_nb(inputs: Any, k: int, twiddles: Complex64, work: Float32) -> None:
    """First half of a 64-point inverse FFT, of the inputs k, k + 8, …, k + 56."""
    y0, y1, y2, y3, y4, y5, y6, y7 = _fft8_nb(inputs)
    store_complex_nb(work, 8 * k, y0)
    store_complex_nb(work, 8 * k + 1, y1 * twiddles[k, 1])
    store_complex_nb(work, 8 * k + 2, y2 * twiddles[k, 2])
    store_complex_nb(work, 8 * k + 3, y3 * twiddles[k, 3])
    store_complex_nb(work, 8 * k + 4, y4 * twiddles[k, 4])
    store_complex_nb(work, 8 * k + 5, y5 * twiddles[k, 5])
    store_complex_nb(work, 8 * k + 6, y6 * twiddles[k, 6])
    store_complex_nb(work, 8 * k + 7, y7 * twiddles[k, 7])


@nb.njit(forceinline=True)
def _second_stage_nb(work: Float32, q: int) -> Any:
    """Second half of a 64-point inverse FFT: the outputs q, q + 8, …, q + 56."""
    return _fft8_nb(
        (
            load_complex_nb(work, q),
            load_complex_nb(work, q + 8),
            load_complex_nb(work, q + 16),
            load_complex_nb(work, q + 24),
            load_complex_nb(work, q + 32),
            load_complex_nb(work, q + 40),
            load_complex_nb(work, q + 48),
            load_complex_nb(work, q + 56),
        )
    )


@nb.njit(forceinline=True)
def _folded_nb(spectrum: Float32, bin_: int, factors: Complex64, at: int, step: int, folds: int) -> Any:
    """Eight inputs, ``step`` bins apart, of a piece: the band times its factors, folded ``folds`` times."""
    x0 = load_complex_nb(spectrum, bin_) * factors[at]
    x1 = load_complex_nb(spectrum, bin_ + step) * factors[at + step]
    x2 = load_complex_nb(spectrum, bin_ + 2 * step) * factors[at + 2 * step]
    x3 = load_complex_nb(spectrum, bin_ + 3 * step) * factors[at + 3 * step]
    x4 = load_complex_nb(spectrum, bin_ + 4 * step) * factors[at + 4 * step]
    x5 = load_complex_nb(spectrum, bin_ + 5 * step) * factors[at + 5 * step]
    x6 = load_complex_nb(spectrum, bin_ + 6 * step) * factors[at + 6 * step]
    x7 = load_complex_nb(spectrum, bin_ + 7 * step) * factors[at + 7 * step]
    for _ in range(1, folds):
        bin_ += 8 * step
        at += 8 * step
        x0 = x0 + load_complex_nb(spectrum, bin_) * factors[at]
        x1 = x1 + load_complex_nb(spectrum, bin_ + step) * factors[at + step]
        x2 = x2 + load_complex_nb(spectrum, bin_ + 2 * step) * factors[at + 2 * step]
        x3 = x3 + load_complex_nb(spectrum, bin_ + 3 * step) * factors[at + 3 * step]
        x4 = x4 + load_complex_nb(spectrum, bin_ + 4 * step) * factors[at + 4 * step]
        x5 = x5 + load_complex_nb(spectrum, bin_ + 5 * step) * factors[at + 5 * step]
        x6 = x6 + load_complex_nb(spectrum, bin_ + 6 * step) * factors[at + 6 * step]
        x7 = x7 + load_complex_nb(spectrum, bin_ + 7 * step) * factors[at + 7 * step]
    return x0, x1, x2, x3, x4, x5, x6, x7


@nb.njit(forceinline=True)
def _piece8_nb(spectrum: Float32, band: Int64, factors: Complex64, piece: int) -> Any:
    """The eight samples of an 8-point piece of a band's signal."""
    at = band[TABLE] + piece * band[WIDTH]
    return _fft8_nb(_folded_nb(spectrum, band[FIRST], factors, at, 1, band[WIDTH] // 8))


@nb.njit
def _begin_piece64_nb(
    spectrum: Float32, band: Int64, factors: Complex64, piece: int, twiddles: Complex64, work: Float32
) -> None:
    """The first stage of a 64-point piece of a band's signal."""
    at = band[TABLE] + piece * band[WIDTH]
    folds = band[WIDTH] // 64
    for k in range(8):
        inputs = _folded_nb(spectrum, band[FIRST] + k, factors, at + k, 8, folds)
        _first_stage_nb(inputs, k, twiddles, work)


@nb.njit(forceinline=True)
def _store_moduli_nb(y: Any, samples: Float32, first: int, step: int) -> None:
    store_nb(samples, first, modulus_nb(y[0]))
    store_nb(samples, first + step, modulus_nb(y[1]))
    store_nb(samples, first + 2 * step, modulus_nb(y[2]))
    store_nb(samples, first + 3 * step, modulus_nb(y[3]))
    store_nb(samples, first + 4 * step, modulus_nb(y[4]))
    store_nb(samples, first + 5 * step, modulus_nb(y[5]))
    store_nb(samples, first + 6 * step, modulus_nb(y[6]))
    store_nb(samples, first + 7 * step, modulus_nb(y[7]))


@nb.njit(forceinline=True)
def _weighted_moduli_nb(y: Any, weights: Float32, first: int, step: int) -> Any:
    total = modulus_nb(y[0]) * weights[first] + modulus_nb(y[1]) * weights[first + step]
    total = (
        total + modulus_nb(y[2]) * weights[first + 2 * step] + modulus_nb(y[3]) * weights[first + 3 * step]
    )
    total = (
        total + modulus_nb(y[4]) * weights[first + 4 * step] + modulus_nb(y[5]) * weights[first + 5 * step]
    )
    return total + modulus_nb(y[6]) * weights[first + 6 * step] + modulus_nb(y[7]) * weights[first + 7 * step]


@nb.njit
def moduli_nb(
    spectrum: Float32, band: Int64, factors: Complex64, twiddles: Complex64, work: Float32, samples: Float32
) -> None:
    """``|x ⋆ ψ|`` at the filter's rate, into ``samples``."""
    pieces = band[PIECES]
    for piece in range(pieces):
        if band[SIZE] == 8:
            _store_moduli_nb(_piece8_nb(spectrum, band, factors, piece), samples, piece, pieces)
        else:
            _begin_piece64_nb(spectrum, band, factors, piece, twiddles, work)
            for q in range(8):
                _store_moduli_nb(_second_stage_nb(work, q), samples, piece + pieces * q, 8 * pieces)


@nb.njit
def average_modulus_nb(
    spectrum: Float32, band: Int64, factors: Complex64, twiddles: Complex64, work: Float32, weights: Float32
) -> Any:
    """The time average of ``|x ⋆ ψ| ⋆ φ``, without storing the modulus."""
    pieces = band[PIECES]
    total = zero_nb()
    for piece in range(pieces):
        if band[SIZE] == 8:
            total = total + _weighted_moduli_nb(
                _piece8_nb(spectrum, band, factors, piece), weights, piece, pieces
            )
        else:
            _begin_piece64_nb(spectrum, band, factors, piece, twiddles, work)
            for q in range(8):
                total = total + _weighted_moduli_nb(
                    _second_stage_nb(work, q), weights, piece + pieces * q, 8 * pieces
                )
    return total


@nb.njit(forceinline=True)
def _packed_nb(samples: Float32, first: int, paired: bool) -> Any:
    return complex_nb(load_nb(samples, first), load_nb(samples, first + 1) if paired else zero_nb())


@nb.njit
def spectrum_nb(
    samples: Float32,
    plan: Int64,
    parts: Complex64,
    twiddles: Complex64,
    work: Float32,
    packed: Float32,
    spectrum: Float32,
) -> None:
    """The bins ``plan`` asks for of the FFT of real samples; see `wavelets.forward_factors`."""
    length, lowest, highest = plan[LENGTH], plan[LOWEST], plan[HIGHEST]
    paired = length > 64
    pieces = length // 128 if paired else 1
    step = length // 64
    for p in range(pieces):
        for k in range(8):
            at = 2 * p + step * k
            inputs = (
                _packed_nb(samples, at, paired),
                _packed_nb(samples, at + 8 * step, paired),
                _packed_nb(samples, at + 16 * step, paired),
                _packed_nb(samples, at + 24 * step, paired),
                _packed_nb(samples, at + 32 * step, paired),
                _packed_nb(samples, at + 40 * step, paired),
                _packed_nb(samples, at + 48 * step, paired),
                _packed_nb(samples, at + 56 * step, paired),
            )
            _first_stage_nb(inputs, k, twiddles, work)
        for q in range(8):
            y = _second_stage_nb(work, q)
            at = 64 * p + q
            store_complex_nb(packed, at, y[0])
            store_complex_nb(packed, at + 8, y[1])
            store_complex_nb(packed, at + 16, y[2])
            store_complex_nb(packed, at + 24, y[3])
            store_complex_nb(packed, at + 32, y[4])
            store_complex_nb(packed, at + 40, y[5])
            store_complex_nb(packed, at + 48, y[6])
            store_complex_nb(packed, at + 56, y[7])
    at = plan[PARTS]
    for k in range(min(highest, length // 2) + 1):
        total = complex_nb(zero_nb(), zero_nb())
        for p in range(pieces):
            total = total + conjugate_nb(load_complex_nb(packed, 64 * p + (k & 63))) * parts[at]
            total = total + load_complex_nb(packed, 64 * p + (-k & 63)) * parts[at + 1]
            at += 2
        store_complex_nb(spectrum, k - lowest, total)
        if -k >= lowest:
            store_complex_nb(spectrum, -k - lowest, conjugate_nb(total))
        if length - k <= highest:
            store_complex_nb(spectrum, length - k - lowest, conjugate_nb(total))
