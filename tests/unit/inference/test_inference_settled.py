"""Search that stops when what is played is settled plays what the whole search plays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from swt_core.config.models import SearchConfig
from swt_core.position import ACTIONS, BUY, HOLD
from swt_inference.engine import InferenceEngine, filter_entries
from swt_inference.evaluator import AfterstateEvaluation, StateEvaluation
from swt_inference.numba_evaluator import NumbaEvaluator
from swt_inference.search.settled import _is_settled_nb, settling
from swt_models.networks import StochasticMuZeroNetwork

Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@pytest.mark.parametrize("simulations", [1, 2, 7, 15, 40])
@pytest.mark.parametrize("minimum", [0.0, 0.35, 0.6, 1.0])
@pytest.mark.parametrize("algorithm", ["standard", "gumbel"])
def test_the_same_is_played_as_after_all_simulations(
    network: StochasticMuZeroNetwork,
    observations: Float32,
    masks: Bool,
    simulations: int,
    minimum: float,
    algorithm: str,
) -> None:
    search = SearchConfig(simulations=simulations, algorithm=algorithm)  # type: ignore[arg-type]
    engine = InferenceEngine.from_network(network, search)
    whole = engine.decide_batch(observations, masks, minimum_confidence=minimum)
    played = engine.play_batch(observations, masks, minimum_confidence=minimum)
    assert played.tolist() == whole.actions.tolist()


def test_many_evaluations_are_spared(
    network: StochasticMuZeroNetwork, observations: Float32, masks: Bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = InferenceEngine.from_network(network, SearchConfig())
    rows: list[int] = []
    afterstates, states = NumbaEvaluator.afterstates, NumbaEvaluator.states

    def counted_afterstates(self: NumbaEvaluator, latents: Float32, actions: object) -> AfterstateEvaluation:
        rows.append(len(latents))
        return afterstates(self, latents, actions)  # type: ignore[arg-type]

    def counted_states(self: NumbaEvaluator, latents: Float32, codes: object) -> StateEvaluation:
        rows.append(len(latents))
        return states(self, latents, codes)  # type: ignore[arg-type]

    monkeypatch.setattr(NumbaEvaluator, "afterstates", counted_afterstates)
    monkeypatch.setattr(NumbaEvaluator, "states", counted_states)
    engine.decide_batch(observations, masks)
    assert sum(rows) == 15 * len(observations)
    rows.clear()
    engine.play_batch(observations, masks, minimum_confidence=0.35)
    assert sum(rows) < 0.8 * 15 * len(observations)
    # Where HOLD alone is legal there is nothing to find out.
    rows.clear()
    engine.play_batch(observations, np.tile(np.arange(ACTIONS) == HOLD, (len(observations), 1)))
    assert sum(rows) == len(observations)


def _outcomes(visits: Int64, legal: list[int], left: int, simulations: int, minimum: float) -> set[int]:
    """Whatever could still be played, by playing out every order of the simulations that are left."""
    played = set()
    for rest in itertools.combinations_with_replacement(legal, left):
        final = np.maximum(visits, 0) + np.bincount(rest, minlength=ACTIONS)
        for preferred in legal:  # the prior breaks ties, for whomever it may be
            leader = int(np.argmax(final + 0.5 * (np.arange(ACTIONS) == preferred)))
            share = np.array([final[leader] / simulations])
            played.add(int(filter_entries(np.array([leader]), share, minimum)[0]))
    return played


@pytest.mark.parametrize("legal", [[0, 1, 2], [0, 3], [0]], ids=["flat", "in a position", "no entry"])
@pytest.mark.parametrize("minimum", [0.0, 0.35, 0.7, 1.0])
def test_settled_is_what_no_order_of_the_remaining_simulations_changes(
    legal: list[int], minimum: float
) -> None:
    simulations, unsettled_too_long = 6, 0
    needed = settling(1, simulations, minimum).needed
    for counts in itertools.product(range(simulations + 1), repeat=len(legal)):
        left = simulations - sum(counts)
        if left < 0:
            continue
        visits = np.full(ACTIONS, -1 - left)
        visits[legal] = counts
        possible = _outcomes(visits, legal, left, simulations, minimum)
        now = np.maximum(visits, 0)
        if _is_settled_nb(visits, left, needed):
            assert len(possible) == 1
            # What the counts so far say is what will be played.
            leader = int(np.argmax(now))
            found = filter_entries(np.array([leader]), np.array([now[leader] / simulations]), minimum)
            assert {int(found[0])} == possible
        else:
            unsettled_too_long += len(possible) == 1 and left > 0
    assert unsettled_too_long == 0


def test_an_entry_needs_the_visits_that_the_filter_asks_for() -> None:
    for simulations, minimum in itertools.product((1, 7, 15, 50), (0.0, 0.2, 0.35, 1 / 3, 0.6, 1.0)):
        needed = settling(1, simulations, minimum).needed
        for visits in range(simulations + 1):
            kept = filter_entries(np.array([BUY]), np.array([visits / simulations]), minimum)[0] == BUY
            assert kept == (visits >= needed)
