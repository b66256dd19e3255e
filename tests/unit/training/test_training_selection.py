"""What selection plays, and whose figures may be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from swt_core.config import SWTConfig
from swt_environments.dataset import load_dataset
from swt_inference.engine import InferenceEngine
from swt_inference.int8_evaluator import Int8Evaluator
from swt_inference.numba_evaluator import NumbaEvaluator
from swt_training.run_setup import fresh_learner
from swt_training.selection import contest, selection_rows
from swt_training.selfplay import frozen_evaluator


def test_only_the_same_sessions_by_the_same_rules_are_one_contest(small: SWTConfig) -> None:
    dataset = load_dataset(small)
    rows = selection_rows(dataset.splits.validation.starts, 10, 1)
    same = contest(small, dataset, rows)
    units = small.trading.model_copy(update={"units": 500})
    assert contest(small.model_copy(update={"trading": units}), dataset, rows.copy()) == same
    sure = small.trading.model_copy(update={"minimum_confidence": 0.6})
    others = [
        contest(small, dataset, rows[1:]),
        contest(small.model_copy(update={"trading": sure}), dataset, rows),
        contest(small, replace(dataset, bars=dataset.bars.rows(slice(0, -1))), rows),
    ]
    assert len({same, *others}) == 4


def test_selection_sessions_are_fixed_by_the_seed() -> None:
    starts = np.arange(1000, 5000)
    first, again = selection_rows(starts, 100, 7), selection_rows(starts, 100, 7)
    np.testing.assert_array_equal(first, again)
    assert len(set(first.tolist())) == 100
    assert first.tolist() != selection_rows(starts, 100, 8).tolist()
    assert len(selection_rows(starts[:20], 100, 7)) == 20


@pytest.mark.parametrize(("arithmetic", "kind"), [("float32", NumbaEvaluator), ("int8", Int8Evaluator)])
def test_actors_and_selection_compute_as_validation_and_live_trading_will(
    small: SWTConfig, arithmetic: str, kind: type
) -> None:
    """A best that was chosen in another arithmetic than it is judged and traded in is chosen by luck."""
    search = small.trading.search.model_copy(update={"evaluator": arithmetic})
    config = small.model_copy(update={"trading": small.trading.model_copy(update={"search": search})})
    dataset = load_dataset(config)
    network, learner = fresh_learner(config, dataset)
    processor = dataset.market.processor
    sizes = processor.market_size, processor.position_size
    assert type(frozen_evaluator(learner.average.weights(), config, *sizes)) is kind
    assert type(InferenceEngine.from_network(network, search).evaluator) is kind
