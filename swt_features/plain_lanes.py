"""Lanes as numpy rows: what `swt_features.lanes` means when numba's compiler is switched off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]


def load_nb(array: Float32, row: int) -> Float32:
    return array[row].copy()


def store_nb(array: Float32, row: int, lanes: Float32) -> None:
    array[row] = lanes


def load_complex_nb(array: Float32, row: int) -> Complex64:
    return complex_nb(array[row, 0], array[row, 1])


def store_complex_nb(array: Float32, row: int, lanes: Complex64) -> None:
    array[row, 0], array[row, 1] = lanes.real, lanes.imag


def zero_nb() -> Float32:
    return np.zeros(16, np.float32)


def complex_nb(real: Float32, imaginary: Float32) -> Complex64:
    return real + np.complex64(1j) * imaginary


def conjugate_nb(lanes: Complex64) -> Complex64:
    return lanes.conj()


def times_i_nb(lanes: Complex64) -> Complex64:
    return lanes * np.complex64(1j)


def modulus_nb(lanes: Complex64) -> Float32:
    return np.abs(lanes)
