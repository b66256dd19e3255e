"""What the network says on fixed recorded positions, looked at once a round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from swt_core.position import ACTIONS, HOLD
from swt_environments.dataset import Dataset
from swt_models.networks import StochasticMuZeroNetwork
from swt_training.batches import session_batch
from swt_training.placement import device_of

_SESSIONS: Final = 16
_POSITIONS: Final = 512
# Below this share of all positions a code counts as unused; one in a hundred of an even share.
_UNUSED: Final = 0.01


@dataclass(frozen=True)
class NetworkFigures:
    """One look.

    Attributes:
        code_perplexity: exp of the entropy of the chance codes that occur, from 1 to C.
        unused_codes_share: share of the C codes that (almost) never occur, or are never foretold.
        predicted_code_perplexity: the same of the codes the network foretells, on average.
        mean_absolute_value_pips: mean |V|.
        value_share_of_support: that mean over the bound of the value support.
    """

    code_perplexity: float
    unused_codes_share: float
    predicted_code_perplexity: float
    mean_absolute_value_pips: float
    value_share_of_support: float

    def as_figures(self) -> dict[str, float]:
        """As metrics: ``Network/…``."""
        return {f"Network/{name}": float(value) for name, value in vars(self).items()}


class NetworkProbe:
    """Positions of training sessions, spread evenly over their range and fixed for the run.

    Args:
        dataset: the run's market and splits.
        session_bars: decisions of a session.
        codes: C, number of chance codes.
    """

    def __init__(self, dataset: Dataset, session_bars: int, codes: int) -> None:
        starts = dataset.splits.train.starts
        chosen = starts[np.unique(np.linspace(0, len(starts) - 1, _SESSIONS).astype(np.int64))]
        rng = np.random.default_rng(0)
        batch = session_batch(dataset.market, chosen, session_bars, codes, rng)
        count, steps = batch.codes.shape
        at = np.unique(np.linspace(0, count * steps - 1, min(_POSITIONS, count * steps)).astype(np.int64))
        session, step, side = at // steps, at % steps, at % batch.observations.shape[2]
        self._observations = torch.from_numpy(batch.observations[session, step, side])
        self._following = torch.from_numpy(batch.observations[session, step + 1, side])
        self._codes = batch.codes[session, step]

    @torch.no_grad()
    def look(self, network: StochasticMuZeroNetwork) -> NetworkFigures:
        """Chance codes and values at the positions, by the network as it is."""
        was_training = network.training
        network.eval()
        device = device_of(network)
        latents = network.represent(self._observations.to(device))
        hold = torch.zeros(len(latents), ACTIONS, device=device)
        hold[:, HOLD] = 1.0
        chance, _ = network.predict_afterstate(network.afterstate(latents, hold))
        values = network.support.scalar(network.predict(latents)[1]).cpu().numpy()
        codes = self._codes
        if network.encoder is not None:
            codes = network.encode(self._following.to(device))[0].argmax(-1).cpu().numpy()
        network.train(was_training)
        shares = np.bincount(codes, minlength=network.codes) / len(codes)
        predicted = torch.softmax(chance.float(), -1).mean(0).cpu().numpy()
        bound = max(abs(network.model.support_min_pips), abs(network.model.support_max_pips))
        mean = float(np.abs(values).mean())
        return NetworkFigures(
            code_perplexity=perplexity(shares),
            unused_codes_share=float((np.minimum(shares, predicted) < _UNUSED / network.codes).mean()),
            predicted_code_perplexity=perplexity(predicted),
            mean_absolute_value_pips=mean,
            value_share_of_support=mean / bound,
        )


def perplexity(shares: NDArray[np.floating]) -> float:
    """``exp(−Σ p ln p)``: how many codes, evenly used, would be as varied."""
    p = np.asarray(shares, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p == 0.0, 0.0, p * np.log(p))
    return float(np.exp(-terms.sum()))
