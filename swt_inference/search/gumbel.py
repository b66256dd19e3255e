"""Gumbel Stochastic MuZero: policy improvement with few simulations, on trees with chance.

Danihelka et al. (2022) define the choices for deterministic models (`gumbel_rules`); afterstates keep the
chance rule, so below each considered action chance outcomes are visited in proportion to their
probability. As in the deterministic case the interior choice is not asymptotically exact: σ(q) grows with the
visits, so an action that looked bad after one unlucky outcome may not be tried again. With few simulations,
for which it is made, that does not matter; with many, use standard search.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from swt_core.config.models import SearchConfig
from swt_inference.evaluator import Evaluator
from swt_inference.search.base import Bool, Float32, LegalRule, SearchResult, position_rule
from swt_inference.search.gumbel_rules import considered_visits, final_choice_nb
from swt_inference.search.simulate import GUMBEL, Choice, no_reuse, run_simulations
from swt_inference.search.summary import legal_softmax, summarise


@dataclass(frozen=True)
class GumbelSearch:
    """Explores by Gumbel draws at the root alone: no Dirichlet noise, no temperature."""

    config: SearchConfig
    rule: LegalRule = field(default_factory=position_rule)

    def __call__(
        self,
        evaluator: Evaluator,
        observations: Float32,
        masks: Bool,
        *,
        rng: np.random.Generator | None = None,
    ) -> SearchResult:
        """Search; without ``rng`` the Gumbel scale is 0."""
        gumbel = np.zeros(masks.shape, np.float32)
        if rng is not None:
            gumbel = rng.gumbel(size=masks.shape).astype(np.float32)
        return self.search(evaluator, observations, masks, gumbel, explored=rng is not None)

    def search(
        self,
        evaluator: Evaluator,
        observations: Float32,
        masks: Bool,
        gumbel: Float32,
        *,
        explored: bool = False,
    ) -> SearchResult:
        """Search with given Gumbel draws ``[B, A]``."""
        config = self.config
        root = evaluator.root(observations)
        table = considered_visits(config.gumbel_considered, config.simulations)
        tree, statistics = run_simulations(
            evaluator,
            root.embeddings,
            root.policy_logits,
            root.values,
            masks,
            self.rule,
            Choice(GUMBEL, config.c_puct, config.pb_c_base, 0.0, gumbel, table),
            no_reuse(len(masks)),
            config.simulations,
            config.discount,
        )
        actions = np.empty(len(masks), np.int64)
        policy = np.empty(masks.shape, np.float32)
        final_choice_nb(tree, gumbel, actions, policy)
        prior = legal_softmax(root.policy_logits, masks)
        return summarise(
            tree, statistics, prior, config.simulations, actions=actions, policy=policy, explored=explored
        )
