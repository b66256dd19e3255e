"""All visit counts against mctx itself: 512 roots, 5 seeds, 15 and 50 simulations."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.mctx_oracle import (
    ACTIONS,
    DISCOUNT,
    SEEDS,
    SIMULATIONS,
    case,
    gumbel,
    gumbel_draws,
    stochastic,
)
from swt_core.config.models import SearchConfig
from swt_inference.search.base import no_rule
from swt_inference.search.gumbel import GumbelSearch
from swt_inference.search.standard import StandardSearch
from swt_inference.table_evaluator import TableEvaluator

pytestmark = pytest.mark.oracle
RULE = no_rule(ACTIONS)


@pytest.mark.parametrize("simulations", SIMULATIONS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_stochastic_search_visits_what_mctx_visits(seed: int, simulations: int) -> None:
    pytest.importorskip("mctx")
    game = case(seed)
    search = StandardSearch(
        SearchConfig(simulations=simulations, discount=DISCOUNT, minimum_value_range_pips=0.0), rule=RULE
    )
    found = search(TableEvaluator(game.tables), game.roots, game.masks)
    wanted = stochastic(game, simulations)
    assert np.array_equal(found.visit_counts, wanted.visit_counts)
    assert np.allclose(found.root_values, wanted.root_values, atol=5e-6)


@pytest.mark.parametrize("simulations", SIMULATIONS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_gumbel_search_of_a_deterministic_model_is_mctxs(seed: int, simulations: int) -> None:
    pytest.importorskip("mctx")
    game, draws = case(seed, codes=1), gumbel_draws(seed)
    search = GumbelSearch(
        SearchConfig(simulations=simulations, discount=DISCOUNT, minimum_value_range_pips=0.0), rule=RULE
    )
    found = search.search(TableEvaluator(game.tables), game.roots, game.masks, draws)
    wanted = gumbel(game, draws, simulations)
    assert np.array_equal(found.visit_counts, wanted.visit_counts)
    assert np.array_equal(found.actions, wanted.actions)
    assert np.allclose(found.policy, wanted.policy, atol=5e-5)
