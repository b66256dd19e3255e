"""The wavelet scattering transform of close windows, sixteen windows at a time.

S₀ = x ⋆ φ, S₁ = |x ⋆ ψ₁| ⋆ φ, S₂ = ||x ⋆ ψ₁| ⋆ ψ₂| ⋆ φ, sampled and trimmed exactly as Kymatio's
``Scattering1D`` does (Andén & Mallat, Deep Scattering Spectrum, 2014). How the tables come about and
why they suffice: `swt_features.wavelets`. What lanes are: `swt_features.lanes`.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.errors import DataError
from swt_features.lanes import (
    LANES,
    aligned_rows_nb,
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
from swt_features.wavelets import (
    AVERAGE,
    COUNT,
    FIRST,
    HIGHEST,
    LENGTH,
    LOWEST,
    PAD,
    PADDED,
    PARTS,
    PIECES,
    SECOND,
    SECOND_AVERAGE,
    SECONDS,
    SIZE,
    SPECTRUM,
    START,
    TABLE,
    WEIGHTS,
    WIDTH,
    WINDOW,
    Profile,
    ScatteringTables,
    scattering_tables,
)

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
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
def _moduli_nb(
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
def _average_modulus_nb(
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


@nb.njit
def _average_nb(samples: Float32, average: Int64, weights: Float32) -> Any:
    """One weighted sum over stored samples."""
    start, count, at = average[START], average[COUNT], average[WEIGHTS]
    total, other = zero_nb(), zero_nb()
    for i in range(0, count - 1, 2):  # two sums, so that neither waits for the other
        total = total + load_nb(samples, start + i) * weights[at + i]
        other = other + load_nb(samples, start + i + 1) * weights[at + i + 1]
    if count % 2:
        total = total + load_nb(samples, start + count - 1) * weights[at + count - 1]
    return total + other


@nb.njit(forceinline=True)
def _packed_nb(samples: Float32, first: int, paired: bool) -> Any:
    return complex_nb(load_nb(samples, first), load_nb(samples, first + 1) if paired else zero_nb())


@nb.njit
def _spectrum_nb(
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


@nb.njit
def _fill_nb(closes_hp: Int64, ends: Int64, references: Int64, window: Float32, differences: Float32) -> None:
    """Sixteen windows as lanes: ``close − reference``, and the differenced reflected window."""
    consecutive = True
    for lane in range(1, LANES):
        consecutive = consecutive and ends[lane] == ends[0] + lane
    for i in range(WINDOW):
        at = i - WINDOW + 1
        if consecutive:
            row = closes_hp[ends[0] + at : ends[0] + at + LANES]  # contiguous, hence fast
            for lane in range(LANES):
                window[i, lane] = np.float32(row[lane] - references[lane])
        else:
            for lane in range(LANES):
                window[i, lane] = np.float32(closes_hp[ends[lane] + at] - references[lane])
    for i in range(1, WINDOW):
        change = load_nb(window, i) - load_nb(window, i - 1)
        mirrored = zero_nb() - change
        store_nb(differences, PAD + i, change)
        if i <= PAD:
            store_nb(differences, PAD + 1 - i, mirrored)
        if i >= PAD:
            store_nb(differences, PAD + 2 * WINDOW - 1 - i, mirrored)
    store_nb(differences, 0, load_nb(window, PAD) - load_nb(window, PAD - 1))


@nb.njit
def _scatter_block_nb(
    tables: ScatteringTables,
    window: Float32,
    differences: Float32,
    work: Float32,
    packed: Float32,
    samples: Float32,
    input_spectrum: Float32,
    spectrum: Float32,
    out: Float32,
) -> None:
    """All coefficients of sixteen windows into ``out`` ``[F, 16]``: order 0, then 1, then 2."""
    paths, bands, averages, weights, twiddles = (
        tables.paths,
        tables.bands,
        tables.averages,
        tables.weights,
        tables.twiddles,
    )
    row = 0
    for slot in range(tables.slots):
        store_nb(out, row, _average_nb(window, averages[slot], weights))
        row += 1
    second_row = row + len(paths) * tables.first_order_slots
    _spectrum_nb(differences, tables.spectra[0], tables.parts, twiddles, work, packed, input_spectrum)
    for i in range(len(paths)):
        path = paths[i]
        _moduli_nb(input_spectrum, bands[i], tables.factors, twiddles, work, samples)
        for slot in range(tables.first_order_slots):
            store_nb(out, row, _average_nb(samples, averages[path[AVERAGE] + slot], weights))
            row += 1
        if path[SECONDS] > 0:
            _spectrum_nb(
                samples, tables.spectra[path[SPECTRUM]], tables.parts, twiddles, work, packed, spectrum
            )
        for k in range(path[SECONDS]):
            begin = averages[path[SECOND_AVERAGE] + k, WEIGHTS]
            store_nb(
                out,
                second_row,
                _average_modulus_nb(
                    spectrum, bands[path[SECOND] + k], tables.factors, twiddles, work, weights[begin:]
                ),
            )
            second_row += 1


@nb.njit
def _moments_nb(closes_hp: Int64, end: int) -> tuple[int, float, float]:
    """A window's mean — whole half-points and the rest — and 1/σ (ddof 0; 0 when flat); exact sums."""
    total = squares = 0
    for i in range(end - WINDOW + 1, end + 1):
        value = closes_hp[i] - closes_hp[end]
        total += value
        squares += value * value
    variance = WINDOW * squares - total * total
    whole = total // WINDOW
    inverse = WINDOW / np.sqrt(float(variance)) if variance > 0 else 0.0
    return closes_hp[end] + whole, total / WINDOW - whole, inverse


@nb.njit(nogil=True, cache=True)
def _scatter_nb(
    tables: ScatteringTables, closes_hp: Int64, rows: Int64, scale: float, window_std: bool, out: Float32
) -> None:
    """Blocks of sixteen rows; the last block repeats its last row in the idle lanes."""
    size = out.shape[1]
    window, differences, samples = aligned_rows_nb(WINDOW), aligned_rows_nb(PADDED), aligned_rows_nb(PADDED)
    work = aligned_rows_nb(2 * 64).reshape(64, 2, LANES)
    packed = aligned_rows_nb(2 * 256).reshape(256, 2, LANES)
    input_spectrum = aligned_rows_nb(2 * PADDED).reshape(PADDED, 2, LANES)
    spectrum = aligned_rows_nb(2 * PADDED).reshape(PADDED, 2, LANES)
    # Factors of zero round each band up to whole folds: the bins they meet must be numbers.
    input_spectrum[:] = 0.0
    spectrum[:] = 0.0
    lanes = aligned_rows_nb(size)
    ends, references = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    offsets, factors = np.zeros(LANES, np.float32), np.full(LANES, scale, np.float32)
    for block in range(0, len(rows), LANES):
        for lane in range(LANES):
            ends[lane] = rows[min(block + lane, len(rows) - 1)]
            references[lane] = closes_hp[ends[lane]]
            if window_std:
                references[lane], offsets[lane], factors[lane] = _moments_nb(closes_hp, ends[lane])
        _fill_nb(closes_hp, ends, references, window, differences)
        _scatter_block_nb(tables, window, differences, work, packed, samples, input_spectrum, spectrum, lanes)
        for lane in range(min(LANES, len(rows) - block)):
            for i in range(tables.slots):  # low-pass and pooling keep constants: φ has unit gain
                out[block + lane, i] = (lanes[i, lane] - offsets[lane]) * factors[lane]
            for i in range(tables.slots, size):
                out[block + lane, i] = lanes[i, lane] * factors[lane]


class WaveletScattering:
    """The scattering of the last 256 closes.

    ``J2Q6``: 8 paths × 16 pooled times, path-major (128 values). ``J6Q4``: the 4 samples of order 0,
    then the time averages of the 22 paths of order 1 and of the 44 of order 2 (70 values).
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.tables = scattering_tables(profile)
        seconds = int(self.tables.paths[:, SECONDS].sum())
        self.size = self.tables.slots + len(self.tables.paths) * self.tables.first_order_slots + seconds

    def transform(
        self, closes_hp: Int64, rows: Int64, scale: float = 1.0, window_std: bool = False
    ) -> Float32:
        """Features of the windows that end at ``rows``, ``[k, size]``.

        Args:
            closes_hp: ``[n]`` closes in half-points.
            rows: ``[k]`` last row of each window, in any order, each at least 255.
            scale: factor applied to ``close − last close`` (ignored with ``window_std``).
            window_std: take the mean off each window and divide it by its standard deviation instead.

        Raises:
            DataError: a row has no complete window.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        if len(rows) and (int(rows.min()) < WINDOW - 1 or int(rows.max()) >= len(closes_hp)):
            raise DataError(f"a scattering window needs {WINDOW} closes up to its row")
        out = np.empty((len(rows), self.size), np.float32)
        _scatter_nb(self.tables, np.ascontiguousarray(closes_hp, np.int64), rows, scale, window_std, out)
        return out
