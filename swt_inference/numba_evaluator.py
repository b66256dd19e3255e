"""The networks through numba and BLAS on one core: what self-play, validation and live trading use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import ModelConfig
from swt_core.position import ACTIONS
from swt_inference.evaluator import AfterstateEvaluation, Int32, StateEvaluation
from swt_inference.kernels import (
    LANES,
    Float32,
    heads_nb,
    linear_nb,
    norm_relu_nb,
    normalise_nb,
    residual_stack_nb,
)
from swt_inference.packed_weights import WeightReader, norm_names
from swt_inference.temporal import TemporalWeights, pooled_series_nb, temporal_weights
from swt_models.architecture import chance_codes
from swt_models.observation import ObservationShape
from swt_models.support import Support


class Scratch(NamedTuple):
    """Work space for ``rows`` rows; one evaluator's calls reuse it."""

    values: Float32
    hidden: Float32
    product: Float32
    space: Float32
    powers: Float32
    line: Float32


class NumbaEvaluator:
    """Evaluates exported weights; rows of a batch do not influence each other, bit for bit.

    Args:
        weights: as `swt_models.export.export_weights` yields them.
        model: the architecture of the weights.
        observation: sizes and kind of the observation.

    Raises:
        IncompatibleModelError: a weight is missing or has another shape.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[np.float32]], model: ModelConfig, observation: ObservationShape
    ) -> None:
        self.width = model.hidden_dim
        self.actions = ACTIONS
        self.codes = chance_codes(model)
        self._observation = observation
        support = Support.of(model)
        self.transformed = support.transformed
        bins = -(-support.bins // LANES) * LANES
        self.support_atoms = np.zeros(bins, np.float32)
        self.support_atoms[: support.bins] = support.atoms()
        reader = WeightReader(weights, model)
        inputs = observation.size
        self._temporal: TemporalWeights | None = None
        if observation.kind == "temporal":
            self._temporal = temporal_weights(weights, observation)
            inputs = self._temporal.channels + observation.position
        self._input = reader.matrix("representation.input.weight", inputs, self.width)
        self._input_vectors = np.stack(
            [reader.vector(f"representation.{name}") for name in ("input.bias", *norm_names("input_norm"))]
        )
        self._representation = reader.stack("representation.trunk")
        self._prediction = reader.stack("prediction.trunk")
        self._afterstate_dynamics = reader.stack("afterstate_dynamics")
        self._afterstate_prediction = reader.stack("afterstate_prediction.trunk")
        self._state_dynamics = reader.stack("state_dynamics.trunk")
        self._policy_heads = reader.heads("prediction.heads", "value", "policy", self.actions)
        self._chance_heads = reader.heads("afterstate_prediction.heads", "value", "chance", self.codes)
        self._reward_heads = reader.heads("state_dynamics.heads", "reward", None, 0)
        self._action_embedding = reader.matrix("action_embedding.weight", self.actions, self.width)
        self._chance_embedding = reader.matrix("chance_embedding.weight", self.codes, self.width)
        heads = (self._policy_heads, self._chance_heads, self._reward_heads)
        self._columns = max(x.bias.size for x in heads)
        self._scratch = self._allocate(2)

    def represent(self, observations: Float32) -> Float32:
        """h alone: latents ``[n, H]``."""
        latents = np.empty((len(observations), self.width), np.float32)
        self._represent(observations, latents)
        return latents

    def root(self, observations: Float32) -> StateEvaluation:
        result = StateEvaluation.blank(len(observations), self.width, self.actions)
        self._represent(observations, result.embeddings)
        _predict_nb(
            max(len(observations), 2),
            *self._prediction,
            *self._policy_heads,
            self.support_atoms,
            self.transformed,
            result.embeddings,
            *self._scratch,
            result.values,
            result.policy_logits,
        )
        return result

    def _represent(self, observations: Float32, latents: Float32) -> None:
        count = len(observations)
        rows = max(count, 2)
        scratch = self._space(rows)
        merged = np.zeros((rows, self._input.shape[0]), np.float32)
        if self._temporal is None:
            merged[:count] = observations
        else:
            market = self._observation.market
            channels = self._temporal.channels
            pooled_series_nb(
                np.ascontiguousarray(observations[:, :market], np.float32), *self._temporal, merged[:count]
            )
            merged[:count, channels:] = observations[:, market:]
        _root_nb(
            merged,
            self._input,
            self._input_vectors,
            *self._representation,
            scratch.values,
            scratch.hidden,
            scratch.product,
            latents,
        )

    def afterstates(self, latents: Float32, actions: Int32) -> AfterstateEvaluation:
        count = len(latents)
        rows = max(count, 2)
        scratch = self._space(rows)
        result = AfterstateEvaluation.blank(count, self.width, self.codes)
        _advance_nb(
            rows,
            latents,
            actions,
            self._action_embedding,
            *self._afterstate_dynamics,
            scratch.values,
            scratch.hidden,
            scratch.product,
            result.embeddings,
        )
        _predict_nb(
            rows,
            *self._afterstate_prediction,
            *self._chance_heads,
            self.support_atoms,
            self.transformed,
            result.embeddings,
            *scratch,
            result.values,
            result.chance_logits,
        )
        return result

    def states(self, afterstates: Float32, codes: Int32) -> StateEvaluation:
        count = len(afterstates)
        rows = max(count, 2)
        scratch = self._space(rows)
        result = StateEvaluation.blank(count, self.width, self.actions)
        _advance_nb(
            rows,
            afterstates,
            codes,
            self._chance_embedding,
            *self._state_dynamics,
            scratch.values,
            scratch.hidden,
            scratch.product,
            result.embeddings,
        )
        heads_nb(
            rows,
            scratch.values,
            *self._reward_heads,
            self.support_atoms,
            self.transformed,
            scratch.hidden,
            scratch.space,
            scratch.powers,
            scratch.line,
            result.rewards,
            np.empty((count, 0), np.float32),
        )
        _predict_nb(
            rows,
            *self._prediction,
            *self._policy_heads,
            self.support_atoms,
            self.transformed,
            result.embeddings,
            *scratch,
            result.values,
            result.policy_logits,
        )
        return result

    def _space(self, rows: int) -> Scratch:
        if len(self._scratch.values) < rows:
            self._scratch = self._allocate(rows)
        return self._scratch

    def _allocate(self, rows: int) -> Scratch:
        shape = (rows, self.width)
        return Scratch(
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros(rows * self._columns, np.float32),
            np.zeros(len(self.support_atoms), np.float32),
            np.zeros(self._columns, np.float32),
        )


@nb.njit(cache=True)
def _root_nb(
    observations: Float32,
    weight: Float32,
    vectors: Float32,
    first: Float32,
    second: Float32,
    stack_vectors: Float32,
    values: Float32,
    hidden: Float32,
    product: Float32,
    latents: Float32,
) -> None:
    rows = observations.shape[0]
    linear_nb(observations, weight, values, rows)
    norm_relu_nb(rows, values, vectors[0], vectors[1], vectors[2])
    residual_stack_nb(rows, values, first, second, stack_vectors, hidden, product)
    normalise_nb(latents.shape[0], values, latents)


@nb.njit(cache=True)
def _advance_nb(
    rows: int,
    embeddings: Float32,
    choices: Int32,
    table: Float32,
    first: Float32,
    second: Float32,
    vectors: Float32,
    values: Float32,
    hidden: Float32,
    product: Float32,
    outputs: Float32,
) -> None:
    for i in range(embeddings.shape[0]):
        row, source, embedding = values[i], embeddings[i], table[choices[i]]
        for j in range(row.shape[0]):
            row[j] = source[j] + embedding[j]
    residual_stack_nb(rows, values, first, second, vectors, hidden, product)
    normalise_nb(outputs.shape[0], values, outputs)


@nb.njit(cache=True)
def _predict_nb(
    rows: int,
    first: Float32,
    second: Float32,
    vectors: Float32,
    norm: Float32,
    weight: Float32,
    bias: Float32,
    bins: int,
    atoms: Float32,
    transformed: bool,
    embeddings: Float32,
    values: Float32,
    hidden: Float32,
    product: Float32,
    space: Float32,
    powers: Float32,
    line: Float32,
    scalars: Float32,
    extras: Float32,
) -> None:
    values[: embeddings.shape[0]] = embeddings
    residual_stack_nb(rows, values, first, second, vectors, hidden, product)
    heads_nb(
        rows,
        values,
        norm,
        weight,
        bias,
        bins,
        atoms,
        transformed,
        hidden,
        space,
        powers,
        line,
        scalars,
        extras,
    )
