"""Kymatio's filters, arranged for the scattering kernel.

Kymatio defines the transform: window of 256 closes, reflected to 512, Morlet wavelets ψ and low-pass φ
in the Fourier domain, each product subsampled as far as its band allows. Three facts shape the tables:

* Only moduli of band-passed signals are used, so a band's absolute position is a phase that cancels:
  each filter is kept as its non-negligible bins alone, counted from the first.
* A signal of length L = pieces × size at a filter's rate is built from ``pieces`` inverse FFTs of
  ``size`` points (64 or 8): sample n = r + pieces·m comes from piece r, whose input is the band, turned by
  exp(2πi·b·r/L) and folded modulo ``size``. The turn is part of the table.
* After the modulus everything is linear: low-pass, subsampling, trimming and pooling become one vector of
  weights over the samples, found by sending impulses through Kymatio's own steps.

The first order reads the *differenced* window, with 1/(1 − exp(−iω)) in its filters: the series' level
costs no precision in float32.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Complex128 = NDArray[np.complex128]
Complex64 = NDArray[np.complex64]
Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

Profile = Literal["J2Q6", "J6Q4"]

WINDOW: Final = 256
PADDED: Final = 512
PAD: Final = 128
SCALES: Final[dict[str, tuple[int, int]]] = {"J2Q6": (2, 6), "J6Q4": (6, 4)}
# Bins and weights below this share of their largest are dropped: far below float32's own rounding.
NEGLIGIBLE: Final = 1e-8

# Columns of `ScatteringTables.bands`.
FIRST: Final = 0  # row of the band's first bin in its spectrum
WIDTH: Final = 1  # bins, filled up with factors of zero to a multiple of the size
PIECES: Final = 2  # inverse FFTs
SIZE: Final = 3  # points of each
TABLE: Final = 4  # where its factors start, piece-major
# Columns of `ScatteringTables.averages`.
START: Final = 0  # first sample
COUNT: Final = 1  # samples
WEIGHTS: Final = 2  # where its weights start
# Columns of `ScatteringTables.spectra`.
LENGTH: Final = 0  # samples
LOWEST: Final = 1  # lowest bin kept, ≤ 0: row 0 of the spectrum
HIGHEST: Final = 2  # highest bin kept
PARTS: Final = 3  # where its factors start
# Columns of `ScatteringTables.paths`, one row a first-order wavelet.
AVERAGE: Final = 0  # first of its averages
SPECTRUM: Final = 1  # the spectrum of its modulus, or −1 without a second order
SECOND: Final = 2  # row of `bands` and of `averages` of its first second-order wavelet …
SECOND_AVERAGE: Final = 3
SECONDS: Final = 4  # … and how many follow


class ScatteringTables(NamedTuple):
    """Everything the kernel reads. Row i of `bands` belongs to path i while i is a first-order wavelet."""

    paths: Int64
    bands: Int64
    factors: Complex64
    averages: Int64
    weights: Float32
    spectra: Int64
    parts: Complex64
    slots: int  # averages of order 0 and of each first-order path
    first_order_slots: int
    twiddles: Complex64  # [8, 8] exp(2πi·jk/64)


@dataclass
class _Builder:
    bands: list[list[int]]
    factors: list[Complex128]
    averages: list[list[int]]
    weights: list[Float64]
    spectra: list[list[int]]
    parts: list[Complex128]

    def add_band(self, filter_f: Complex128, lowest: int, output: int, scale: float) -> None:
        """A filter of the spectrum whose first row is bin ``lowest``, giving ``output`` samples."""
        first, width = band_of(filter_f)
        size = 64 if output >= 128 else 8
        pieces = output // size
        bins = np.arange(width)
        turns = np.exp(2j * np.pi * np.outer(np.arange(pieces), bins) / output)
        at = sum(len(table) for table in self.factors)
        table = np.zeros((pieces, -(-width // size) * size), np.complex128)
        table[:, :width] = turns * filter_f[(first + bins) % len(filter_f)] * scale
        self.bands.append([first - lowest, table.shape[1], pieces, size, at])
        self.factors.append(table.ravel())

    def add_averages(self, weights: Float64, *, whole: bool = False) -> None:
        """Rows of weights ``[slots, samples]``, each trimmed to where it matters unless ``whole``."""
        for row in weights:
            matters = np.flatnonzero(np.abs(row) > NEGLIGIBLE * np.abs(row).max())
            start, stop = (0, len(row)) if whole else (int(matters[0]), int(matters[-1]) + 1)
            at = sum(len(table) for table in self.weights)
            self.averages.append([start, stop - start, at])
            self.weights.append(row[start:stop])

    def add_spectrum(self, length: int, filters: list[Complex128]) -> int:
        """The forward transform of real samples, as far as ``filters`` read it; returns its number."""
        bounds = [band_of(filter_f) for filter_f in filters]
        lowest = min(0, *(first for first, _ in bounds))
        highest = max(first + width - 1 for first, width in bounds)
        at = sum(len(table) for table in self.parts)
        self.spectra.append([length, lowest, highest, at])
        self.parts.append(forward_factors(length, min(highest, length // 2)).ravel())
        return lowest


def band_of(filter_f: Complex128) -> tuple[int, int]:
    """First bin and width of the contiguous band (possibly around bin 0) that holds all that matters."""
    matters = np.flatnonzero(np.abs(filter_f) > NEGLIGIBLE * np.abs(filter_f).max())
    signed = np.where(matters > 3 * len(filter_f) // 4, matters - len(filter_f), matters)
    first = int(signed.min())
    return first, int(signed.max()) - first + 1


def forward_factors(length: int, highest: int) -> Complex128:
    """How bins 0 … highest of ``length`` real samples follow from packed 64-point inverse FFTs.

    Samples are packed in pairs, z_p[m] = u[2p + 2Pm] + i·u[2p + 1 + 2Pm], p < P = length/128, and
    Z_p is the *inverse* (unscaled) FFT of z_p. Then û[k] = Σ_p conj(Z_p[k])·a + Z_p[−k]·b with the factors
    a, b returned as ``[highest + 1, P, 2]``. For length 64 there is one piece with no second sample.
    """
    k = np.arange(highest + 1)[:, None]
    if length == 64:
        return np.stack([np.ones(k.shape), np.zeros(k.shape)], axis=-1).astype(np.complex128)
    pieces = length // 128
    turn = np.exp(-2j * np.pi * k / length)
    offset = np.exp(-2j * np.pi * k * 2 * np.arange(pieces) / length)
    return np.stack([0.5 * (1 + 1j * turn) * offset, 0.5 * (1 - 1j * turn) * offset], axis=-1)


def _average_weights(kymatio: Any, length: int, slots: int) -> Float64:
    """Weights ``[slots, length]`` of Kymatio's low-pass, subsampling, trimming and our pooling."""
    level = int(np.log2(PADDED // length))
    output_level = max(kymatio.phi_f["j"], level)
    filtered = np.fft.fft(np.eye(length)) * np.asarray(kymatio.phi_f["levels"][level])
    subsampling = 2 ** (output_level - level)
    folded = filtered.reshape(length, subsampling, length // subsampling).mean(axis=1)
    samples = np.fft.ifft(folded).real[:, kymatio.ind_start[output_level] : kymatio.ind_end[output_level]]
    return samples.reshape(length, slots, -1).mean(axis=2).T


def _reflected(weights: Float64) -> Float64:
    """Weights over the padded window as weights over the window itself."""
    window: Float64 = np.zeros((len(weights), WINDOW))
    source = np.pad(np.arange(WINDOW), (PAD, PADDED - WINDOW - PAD), mode="reflect")
    np.add.at(window.T, source, weights.T)
    return window


@lru_cache(maxsize=4)
def kymatio_transform(profile: Profile) -> Any:
    """Kymatio's own ``Scattering1D`` of a window."""
    from kymatio.scattering1d.frontend.numpy_frontend import ScatteringNumPy1D

    j, q = SCALES[profile]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # 256 samples are short for J = 6: expected
        return ScatteringNumPy1D(j, WINDOW, q)


@lru_cache(maxsize=4)
def scattering_tables(profile: Profile) -> ScatteringTables:
    """The tables of a profile; Kymatio's filters are computed once per process."""
    kymatio = kymatio_transform(profile)
    pooled = profile == "J2Q6"
    slots, first_order_slots = (16, 16) if pooled else (4, 1)
    frequencies = 2 * np.pi * np.arange(PADDED) / PADDED
    integrate = np.zeros(PADDED, np.complex128)
    integrate[1:] = 1 / (1 - np.exp(-1j * frequencies[1:]))

    builder = _Builder([], [], [], [], [], [])
    firsts = [(psi["j"], np.asarray(psi["levels"][0]) * integrate) for psi in kymatio.psi1_f]
    lowest = builder.add_spectrum(PADDED, [filter_f for _, filter_f in firsts])
    for j, filter_f in firsts:
        builder.add_band(filter_f, lowest, PADDED >> j, 1 / PADDED)
    builder.add_averages(_reflected(_average_weights(kymatio, PADDED, slots)))

    average_of: dict[int, int] = {}
    spectrum_of: dict[int, tuple[int, int]] = {}
    paths = []
    for j, _ in firsts:
        if j not in average_of:
            average_of[j] = len(builder.averages)
            builder.add_averages(_average_weights(kymatio, PADDED >> j, first_order_slots))
        seconds = [psi for psi in kymatio.psi2_f if psi["j"] > j]
        if seconds and j not in spectrum_of:
            filters = [np.asarray(psi["levels"][j]).astype(np.complex128) for psi in seconds]
            lowest = builder.add_spectrum(PADDED >> j, filters)
            spectrum_of[j] = len(builder.bands), len(builder.averages)
            for psi, filter_f in zip(seconds, filters, strict=True):
                builder.add_band(filter_f, lowest, PADDED >> psi["j"], 1 / (PADDED >> j))
                builder.add_averages(_average_weights(kymatio, PADDED >> psi["j"], 1), whole=True)
        spectrum = list(spectrum_of).index(j) + 1 if seconds else -1
        paths.append([average_of[j], spectrum, *spectrum_of.get(j, (0, 0)), len(seconds)])

    return ScatteringTables(
        paths=np.array(paths, np.int64),
        bands=np.array(builder.bands, np.int64),
        factors=np.concatenate(builder.factors).astype(np.complex64),
        averages=np.array(builder.averages, np.int64),
        weights=np.concatenate(builder.weights).astype(np.float32),
        spectra=np.array(builder.spectra, np.int64),
        parts=np.concatenate(builder.parts).astype(np.complex64),
        slots=slots,
        first_order_slots=first_order_slots,
        twiddles=np.exp(2j * np.pi * np.outer(range(8), range(8)) / 64).astype(np.complex64),
    )
