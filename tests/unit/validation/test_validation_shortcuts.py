"""Faster ways to a figure give the same bits as the plain ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from swt_validation import trades
from swt_validation.permutation import _sort_nb
from swt_validation.sharpe_inference import expected_best_sharpe, probabilistic_sharpe
from swt_validation.trades import _resampled


@pytest.mark.parametrize("count", [2, 7, 100, 301])
@pytest.mark.parametrize("resamples", [1, 10, 33])
def test_resamples_drawn_in_parts_are_those_drawn_at_once(
    count: int, resamples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trades, "_DRAWS", 700)
    pnl = np.random.default_rng(3).normal(0.1, 1.0, count)
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    found = _resampled(pnl, rng, resamples)
    samples = pnl[twin.integers(0, count, (resamples, count))]
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.where(samples > 0, samples, 0.0).sum(axis=1) / np.abs(
            np.where(samples < 0, samples, 0.0).sum(axis=1)
        )
    expected = (samples.mean(axis=1), (samples > 0).mean(axis=1), factors)
    assert np.array_equal(found, expected, equal_nan=True)
    assert rng.random() == twin.random()


@pytest.mark.parametrize("bound", [1, 2, 40, 4000])
@pytest.mark.parametrize("count", [0, 1, 30, 600])
def test_counting_sorts(count: int, bound: int) -> None:
    values = np.random.default_rng(count).integers(0, bound, count)
    expected, counts = np.sort(values), np.zeros(bound, np.int64)
    _sort_nb(values, bound, counts)
    assert values.tolist() == expected.tolist()
    assert not counts.any()


@pytest.mark.parametrize("count", [3, 20, 131, 1000])
def test_sharpe_inference_is_scipys_to_the_bit(count: int) -> None:
    returns = np.random.default_rng(count).standard_t(3, count) * 0.01 + 0.002
    ratio = float(np.mean(returns)) / float(np.std(returns, ddof=1))
    skewness, kurtosis = float(stats.skew(returns)), float(stats.kurtosis(returns, fisher=False))
    variance = 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2
    found = probabilistic_sharpe(returns, 0.05)
    assert found == stats.norm.cdf((ratio - 0.05) * math.sqrt(count - 1) / math.sqrt(variance))
    high, higher = stats.norm.ppf(1 - 1 / count), stats.norm.ppf(1 - 1 / (count * math.e))
    gamma = 0.5772156649015329
    assert expected_best_sharpe(count, 0.1) == 0.1 * ((1 - gamma) * high + gamma * higher)
