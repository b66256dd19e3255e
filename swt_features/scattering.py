"""The wavelet scattering transform of close windows, sixteen windows at a time.

S₀ = x ⋆ φ, S₁ = |x ⋆ ψ₁| ⋆ φ, S₂ = ||x ⋆ ψ₁| ⋆ ψ₂| ⋆ φ, sampled and trimmed exactly as Kymatio's
``Scattering1D`` does (Andén & Mallat, Deep Scattering Spectrum, 2014). How the tables come about and
why they suffice: `swt_features.wavelets`. What lanes are: `swt_features.lanes`. The Fourier transforms:
`swt_features.lane_fft`.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.errors import DataError
from swt_features.lane_fft import average_modulus_nb, moduli_nb, spectrum_nb
from swt_features.lanes import LANES, aligned_rows_nb, load_nb, store_nb, zero_nb
from swt_features.wavelets import (
    AVERAGE,
    COUNT,
    PAD,
    PADDED,
    SECOND,
    SECOND_AVERAGE,
    SECONDS,
    SPECTRUM,
    START,
    WEIGHTS,
    WINDOW,
    Profile,
    ScatteringTables,
    scattering_tables,
)

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


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
    spectrum_nb(differences, tables.spectra[0], tables.parts, twiddles, work, packed, input_spectrum)
    for i in range(len(paths)):
        path = paths[i]
        moduli_nb(input_spectrum, bands[i], tables.factors, twiddles, work, samples)
        for slot in range(tables.first_order_slots):
            store_nb(out, row, _average_nb(samples, averages[path[AVERAGE] + slot], weights))
            row += 1
        if path[SECONDS] > 0:
            spectrum_nb(
                samples, tables.spectra[path[SPECTRUM]], tables.parts, twiddles, work, packed, spectrum
            )
        for k in range(path[SECONDS]):
            begin = averages[path[SECOND_AVERAGE] + k, WEIGHTS]
            store_nb(
                out,
                second_row,
                average_modulus_nb(
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
