"""Which checkpoint is the best."""

from __future__ import annotations

import numpy as np
import pytest

from swt_core.config import SWTConfig
from swt_core.statistics import trade_statistics
from swt_environments.dataset import load_dataset
from swt_inference.engine import InferenceEngine
from swt_inference.int8_evaluator import Int8Evaluator
from swt_inference.numba_evaluator import NumbaEvaluator
from swt_training.run_setup import fresh_learner
from swt_training.selection import Selection, selection_rows
from swt_training.selfplay import frozen_evaluator


def selection(pnls: list[float], sessions: int = 100) -> Selection:
    return Selection(
        statistics=trade_statistics(np.array(pnls)),
        pips_per_session=sum(pnls) / sessions,
        trades_per_session=len(pnls) / sessions,
        action_shares=(1.0, 0.0, 0.0, 0.0),
        mean_confidence=0.9,
    )


FLAT = selection([])
LOSING = selection([-5.0, 1.0] * 30)
LUCKY = selection([50.0, 40.0])
GOOD = selection([5.0, -1.0] * 30)
BETTER = selection([6.0, -1.0] * 30)


def wins(challenger: Selection, best: Selection) -> bool:
    return challenger.better_than(best.proven_sqn, best.pips_per_session)


def test_the_first_selection_is_the_best_whatever_it_is() -> None:
    assert LOSING.better_than(None, None)
    assert FLAT.better_than(None, None)


@pytest.mark.parametrize(
    ("challenger", "best", "expected"),
    [
        (BETTER, GOOD, True),
        (GOOD, BETTER, False),
        (GOOD, LUCKY, True),  # 30 trades and an SQN beat two lucky ones
        (LUCKY, GOOD, False),
        (FLAT, LOSING, True),  # staying out beats losing
        (LOSING, FLAT, False),
        (LUCKY, FLAT, True),
        (GOOD, GOOD, False),
    ],
)
def test_proven_quality_beats_luck_and_staying_out_beats_losing(
    challenger: Selection, best: Selection, expected: bool
) -> None:
    assert wins(challenger, best) is expected


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
