"""The inference engine: observations in, decisions out; live trading is a batch of one.

Self-play, validation and live trading decide through `InferenceEngine.decide_batch`; a row's decision does
not depend on the batch it is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from swt_core.checkpoints import CheckpointMetadata, CheckpointRef, CheckpointStore, require_compatible
from swt_core.clock import Clock, SystemClock
from swt_core.config.models import SearchConfig
from swt_core.errors import DataError, IncompatibleModelError
from swt_core.position import BUY, HOLD, SELL
from swt_core.records import TradingDecision
from swt_inference.agents import create_search
from swt_inference.devices import create_evaluator
from swt_inference.evaluator import Evaluator
from swt_inference.latency import LatencyHistogram
from swt_inference.search.base import Bool, Float32, Int64, RootNoise
from swt_inference.search.settled import settling
from swt_inference.search.standard import StandardSearch
from swt_models.architecture import parse_description

if TYPE_CHECKING:
    from swt_models.networks import StochasticMuZeroNetwork


@dataclass(frozen=True)
class BatchDecision:
    """Decisions of B rows.

    ``searched_actions`` are what search chose; ``actions`` what is played after the minimum-confidence
    filter. ``confidence`` is the visit share of the searched action. ``policy`` is the policy target.
    ``raw_values`` are the network's, ``root_values`` the searched ones, in pips.
    """

    actions: Int64
    searched_actions: Int64
    confidence: NDArray[np.float64]
    root_values: Float32
    raw_values: Float32
    visit_counts: Int64
    prior: Float32
    policy: Float32
    q_values: Float32
    max_depth: Int64
    mean_depth: NDArray[np.float64]


class InferenceEngine:
    """One frozen model with one search. Thread-safe: decisions are taken one batch at a time."""

    def __init__(
        self,
        evaluator: Evaluator,
        search: SearchConfig,
        *,
        observation_size: int,
        model_hash: str = "",
        metadata: CheckpointMetadata | None = None,
        noise: RootNoise | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.search_config = search
        self.observation_size = observation_size
        self.model_hash = model_hash
        self.metadata = metadata
        self.latency = LatencyHistogram()
        self._search = create_search(search, noise)
        self._clock = clock or SystemClock()
        self._lock = Lock()

    @classmethod
    def from_network(
        cls,
        network: StochasticMuZeroNetwork,
        search: SearchConfig,
        *,
        noise: RootNoise | None = None,
        device: str = "cpu",
    ) -> InferenceEngine:
        """An engine of the network's present weights (a copy)."""
        from swt_models.export import export_weights  # here: it needs torch, an engine does not

        weights = export_weights(network)
        evaluator = create_evaluator(weights, network.model, network.observation, device, search.evaluator)
        return cls(evaluator, search, observation_size=network.observation.size, noise=noise)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: CheckpointRef | Path | str,
        search: SearchConfig,
        *,
        store: CheckpointStore | None = None,
        feature_profile: str | None = None,
        feature_version: str | None = None,
        instrument: str | None = None,
        device: str = "cpu",
        noise: RootNoise | None = None,
        clock: Clock | None = None,
    ) -> InferenceEngine:
        """Load a checkpoint, its bytes verified against the manifest.

        Args:
            checkpoint: a reference, a path, or a name in ``store``.
            search: the search to decide with.
            store: where names are looked up; by default a path's own directory.
            feature_profile, feature_version, instrument: what the checkpoint must be for, if given.
            device: ``cpu``, ``auto``, or a torch device.
            noise: root noise where a decision is given a generator.
            clock: for latencies.

        Raises:
            CheckpointError: it is not there; `CorruptCheckpointError`: its bytes are wrong;
                `IncompatibleModelError`: it is for something else, naming both sides.
        """
        if store is None:
            place = checkpoint.path if isinstance(checkpoint, CheckpointRef) else Path(checkpoint)
            store = CheckpointStore(place.parent)
        ref = checkpoint if isinstance(checkpoint, CheckpointRef) else store.find(checkpoint)
        weights, metadata = store.load(ref)
        require_compatible(
            metadata,
            feature_profile=feature_profile,
            feature_version=feature_version,
            instrument=instrument,
        )
        model, observation = parse_description(metadata.model_settings)
        return cls(
            create_evaluator(weights, model, observation, device, search.evaluator),
            search,
            observation_size=observation.size,
            model_hash=ref.sha256,
            metadata=metadata,
            noise=noise,
            clock=clock,
        )

    def decide_batch(
        self,
        observations: Float32,
        masks: Bool,
        *,
        noise_rng: np.random.Generator | None = None,
        temperature: float = 0.0,
        minimum_confidence: float = 0.0,
    ) -> BatchDecision:
        """Search from ``observations`` ``[B, O]`` with legal actions ``masks`` ``[B, A]``.

        Args:
            observations: float32, finite.
            masks: True where an action may be played; at least one in each row.
            noise_rng: explores (root noise and temperature); none is the greedy decision.
            temperature: 0 plays the most visited action, T samples by ``visits^(1/T)``.
            minimum_confidence: visit share below which an entry becomes HOLD; CLOSE is never filtered.

        Raises:
            IncompatibleModelError: the observations are not of the model's size.
            DataError: an observation is not finite.
            ValueError: a row has no legal action, or temperature comes without a generator.
        """
        observations, masks = self._checked(observations, masks)
        if temperature > 0 and noise_rng is None:
            raise ValueError("a temperature needs a generator: pass noise_rng")
        with self._lock:
            found = self._search(self.evaluator, observations, masks, rng=noise_rng)
        actions = found.actions
        if temperature > 0 and noise_rng is not None and not found.explored:
            actions = sample_by_visits(found.visit_counts, temperature, noise_rng)
        confidence = found.visit_counts[np.arange(len(actions)), actions] / self.search_config.simulations
        return BatchDecision(
            actions=filter_entries(actions, confidence, minimum_confidence),
            searched_actions=actions,
            confidence=confidence,
            root_values=found.root_values,
            raw_values=found.raw_values,
            visit_counts=found.visit_counts,
            prior=found.prior,
            policy=found.policy,
            q_values=found.q_values,
            max_depth=found.max_depth,
            mean_depth=found.mean_depth,
        )

    def play_batch(self, observations: Float32, masks: Bool, *, minimum_confidence: float = 0.0) -> Int64:
        """The actions ``[B]`` that `decide_batch` would play greedily, and nothing else about them.

        Simulations that cannot change what is played are left out (about a third of 15).

        Raises:
            IncompatibleModelError, DataError, ValueError: as `decide_batch`.
        """
        if not isinstance(self._search, StandardSearch):
            return self.decide_batch(observations, masks, minimum_confidence=minimum_confidence).actions
        observations, masks = self._checked(observations, masks)
        simulations = self.search_config.simulations
        early = settling(len(masks), simulations, minimum_confidence)
        with self._lock:
            found = self._search(self.evaluator, observations, masks, settling=early)
        confidence = found.visit_counts[np.arange(len(masks)), found.actions] / simulations
        return filter_entries(found.actions, confidence, minimum_confidence)

    def decide(self, observation: Float32, mask: Bool, *, minimum_confidence: float = 0.0) -> TradingDecision:
        """The greedy decision of one observation ``[O]``, with everything search saw."""
        start_s = self._clock.monotonic_s()
        batch = self.decide_batch(observation[None], mask[None], minimum_confidence=minimum_confidence)
        latency_ms = (self._clock.monotonic_s() - start_s) * 1000
        with self._lock:
            self.latency.record(latency_ms)
        prior = batch.prior[0].astype(np.float64)
        positive = prior[prior > 0]
        return TradingDecision(
            action=int(batch.actions[0]),
            confidence=float(batch.confidence[0]),
            root_value=float(batch.root_values[0]),
            visit_counts=tuple(int(x) for x in batch.visit_counts[0]),
            prior=tuple(float(x) for x in prior),
            q_values=tuple(float(x) for x in batch.q_values[0]),
            searched_action=int(batch.searched_actions[0]),
            model_hash=self.model_hash,
            latency_ms=latency_ms,
            max_depth=int(batch.max_depth[0]),
            diagnostics={
                "raw_value_pips": float(batch.raw_values[0]),
                "mean_depth": float(batch.mean_depth[0]),
                "prior_entropy_nats": float(-(positive * np.log(positive)).sum()),
                "prior_agrees": float(int(prior.argmax()) == int(batch.searched_actions[0])),
            },
        )

    def _checked(self, observations: Float32, masks: Bool) -> tuple[Float32, Bool]:
        if observations.ndim != 2 or observations.shape[1] != self.observation_size:
            raise IncompatibleModelError(
                f"observations have shape {observations.shape}, the model reads [B, {self.observation_size}]",
                remedy="use the feature profile the checkpoint was trained with",
            )
        if not np.isfinite(observations).all():
            raise DataError("an observation is not finite: no decision is taken on it")
        if masks.shape != (len(observations), self.evaluator.actions) or not masks.any(axis=1).all():
            raise ValueError(f"masks of shape {masks.shape} must leave every row a legal action")
        return np.ascontiguousarray(observations, np.float32), np.ascontiguousarray(masks, np.bool_)


def sample_by_visits(visit_counts: Int64, temperature: float, rng: np.random.Generator) -> Int64:
    """Actions drawn by ``visits^(1/T)``, one uniform draw per row."""
    with np.errstate(divide="ignore"):
        logits = np.log(visit_counts) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weights, axis=1)
    draws = rng.random(len(weights)) * cumulative[:, -1]
    # `<=`: a draw on a border belongs to the next action, so an unvisited one is never drawn.
    return (cumulative <= draws[:, None]).sum(axis=1)


def filter_entries(actions: Int64, confidence: NDArray[np.float64], minimum: float) -> Int64:
    """Entries below the minimum confidence become HOLD; CLOSE and HOLD pass."""
    entries = (actions == BUY) | (actions == SELL)
    return np.where(entries & (confidence < minimum), HOLD, actions)
