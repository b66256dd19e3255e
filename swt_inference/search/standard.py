"""Standard Stochastic MuZero search (Antonoglou et al. 2022): pUCT, Dirichlet noise, visit counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from swt_core.config.models import SearchConfig
from swt_inference.evaluator import Evaluator
from swt_inference.search.base import Bool, Float32, LegalRule, RootNoise, SearchResult, position_rule
from swt_inference.search.settled import Settling
from swt_inference.search.simulate import Reuse, no_reuse, puct_choice, run_simulations
from swt_inference.search.summary import legal_softmax, noisy_logits, summarise


@dataclass(frozen=True)
class StandardSearch:
    """The paper's search; see `swt_inference.search.base.Search`."""

    config: SearchConfig
    noise: RootNoise = field(default_factory=RootNoise)
    rule: LegalRule = field(default_factory=position_rule)

    def __call__(
        self,
        evaluator: Evaluator,
        observations: Float32,
        masks: Bool,
        *,
        rng: np.random.Generator | None = None,
        reuse: Reuse | None = None,
        settling: Settling | None = None,
    ) -> SearchResult:
        """Search; with ``rng`` the roots' priors carry Dirichlet noise.

        With ``settling`` a tree stops when its action is known: of the result only that action counts.
        """
        root = evaluator.root(observations)
        prior = legal_softmax(root.policy_logits, masks)
        logits = (
            root.policy_logits if rng is None else noisy_logits(root.policy_logits, masks, self.noise, rng)
        )
        tree, statistics = run_simulations(
            evaluator,
            root.embeddings,
            logits,
            root.values,
            masks,
            self.rule,
            puct_choice(self.config, *masks.shape),
            no_reuse(len(masks)) if reuse is None else reuse,
            self.config.simulations,
            self.config.discount,
            settling,
        )
        return summarise(tree, statistics, prior, self.config.simulations, self.config.temperature)
