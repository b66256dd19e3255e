"""The networks on bytes: weights of φ, ψ, g and f as int8, products in exact integers.

h stays float32: it is evaluated once a search, and its inputs are features of very different sizes. On a
processor without AVX-512 VNNI the results are the same and slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import ModelConfig
from swt_core.errors import IncompatibleModelError
from swt_inference.evaluator import AfterstateEvaluation, Int32, StateEvaluation
from swt_inference.int8_kernels import (
    Int8,
    Int8Matrix,
    Int8Scratch,
    int8_heads_nb,
    int8_matrix,
    int8_residual_stack_nb,
    stacked,
)
from swt_inference.int8_tiles import GROUP, TILE_COLUMNS
from swt_inference.kernels import Float32, normalise_nb
from swt_inference.numba_evaluator import NumbaEvaluator
from swt_inference.packed_weights import HeadWeights, Stack, WeightReader
from swt_models.observation import ObservationShape


class Int8Stack(NamedTuple):
    """Residual blocks: see `int8_residual_stack_nb`."""

    first: Int8Matrix
    second: Int8Matrix
    vectors: Float32

    @property
    def parts(self) -> tuple[NDArray[np.generic], ...]:
        return (*self.first, *self.second, self.vectors)


class Int8Heads(NamedTuple):
    """Heads on one trunk: see `int8_heads_nb`."""

    norm: Float32
    matrix: Int8Matrix
    bias: Float32
    bins: int

    @property
    def parts(self) -> tuple[object, ...]:
        return (self.norm, *self.matrix, self.bias, self.bins)


class Int8Evaluator:
    """As `NumbaEvaluator`, quantised when it is made; rows do not influence each other, bit for bit.

    Args:
        weights, model, observation: see `NumbaEvaluator`.

    Raises:
        IncompatibleModelError: a weight is missing, has another shape, or is not finite.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[np.float32]], model: ModelConfig, observation: ObservationShape
    ) -> None:
        for name, weight in weights.items():
            if not np.isfinite(weight).all():
                raise IncompatibleModelError(
                    f"weight {name} is not finite and has no int8", remedy="use another checkpoint"
                )
        exact = NumbaEvaluator(weights, model, observation)
        self._exact = exact
        self.width, self.actions, self.codes = exact.width, exact.actions, exact.codes
        self._atoms, self._transformed = exact.support_atoms, exact.transformed
        reader = WeightReader(weights, model)
        self._prediction = _stack(reader.stack("prediction.trunk"))
        self._afterstate_dynamics = _stack(reader.stack("afterstate_dynamics"))
        self._afterstate_prediction = _stack(reader.stack("afterstate_prediction.trunk"))
        self._state_dynamics = _stack(reader.stack("state_dynamics.trunk"))
        self._policy_heads = _heads(reader.heads("prediction.heads", "value", "policy", self.actions))
        self._chance_heads = _heads(
            reader.heads("afterstate_prediction.heads", "value", "chance", self.codes)
        )
        self._reward_heads = _heads(reader.heads("state_dynamics.heads", "reward", None, 0))
        self._action_embedding = reader.matrix("action_embedding.weight", self.actions, self.width)
        self._chance_embedding = reader.matrix("chance_embedding.weight", self.codes, self.width)
        heads = (self._policy_heads, self._chance_heads, self._reward_heads)
        self._columns = max(self.width + TILE_COLUMNS, *(head.matrix.scale.size for head in heads))
        self._line = np.zeros(max(self._columns, len(self._atoms)), np.float32)
        self._powers = np.zeros(len(self._atoms), np.float32)
        self._values, self._hidden, self._scratch = self._allocated(1)

    def root(self, observations: Float32) -> StateEvaluation:
        latents = self._exact.represent(observations)
        result = StateEvaluation.blank(len(latents), self.width, self.actions)
        result.embeddings[:] = latents
        self._predict(
            self._prediction, self._policy_heads, result.embeddings, result.values, result.policy_logits
        )
        return result

    def afterstates(self, latents: Float32, actions: Int32) -> AfterstateEvaluation:
        result = AfterstateEvaluation.blank(len(latents), self.width, self.codes)
        self._advance(latents, actions, self._action_embedding, self._afterstate_dynamics, result.embeddings)
        self._predict(
            self._afterstate_prediction,
            self._chance_heads,
            result.embeddings,
            result.values,
            result.chance_logits,
        )
        return result

    def states(self, afterstates: Float32, codes: Int32) -> StateEvaluation:
        count = len(afterstates)
        result = StateEvaluation.blank(count, self.width, self.actions)
        self._advance(afterstates, codes, self._chance_embedding, self._state_dynamics, result.embeddings)
        int8_heads_nb(
            count,
            self._values,
            *self._reward_heads.parts,
            self._atoms,
            self._transformed,
            self._hidden,
            *self._scratch,
            self._powers,
            self._line,
            result.rewards,
            np.empty((count, 0), np.float32),
        )
        self._predict(
            self._prediction, self._policy_heads, result.embeddings, result.values, result.policy_logits
        )
        return result

    def _advance(
        self, embeddings: Float32, choices: Int32, table: Float32, stack: Int8Stack, outputs: Float32
    ) -> None:
        self._make_room(len(embeddings))
        _advance_nb(
            embeddings, choices, table, *stack.parts, self._values, self._hidden, *self._scratch, outputs
        )

    def _predict(
        self, stack: Int8Stack, heads: Int8Heads, embeddings: Float32, scalars: Float32, extras: Float32
    ) -> None:
        self._make_room(len(embeddings))
        _predict_nb(
            *stack.parts,
            *heads.parts,
            self._atoms,
            self._transformed,
            embeddings,
            self._values,
            self._hidden,
            *self._scratch,
            self._powers,
            self._line,
            scalars,
            extras,
        )

    def _make_room(self, rows: int) -> None:
        if len(self._values) < rows:
            self._values, self._hidden, self._scratch = self._allocated(rows)

    def _allocated(self, rows: int) -> tuple[Float32, Float32, Int8Scratch]:
        shape = (rows, self.width)
        scratch = Int8Scratch(
            np.zeros((rows, -(-self.width // GROUP) * GROUP), np.uint8),
            np.zeros(rows, np.float32),
            np.zeros(rows, np.float32),
            np.zeros((rows, self._columns), np.int32),
        )
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32), scratch


def _stack(stack: Stack) -> Int8Stack:
    first = stacked([int8_matrix(weight) for weight in stack.first])
    return Int8Stack(first, stacked([int8_matrix(weight) for weight in stack.second]), stack.vectors)


def _heads(heads: HeadWeights) -> Int8Heads:
    blocks, width, columns = heads.weight.shape
    whole = heads.weight.transpose(1, 0, 2).reshape(width, blocks * columns)
    matrix = int8_matrix(whole)
    bias = np.zeros(matrix.scale.size, np.float32)
    bias[: blocks * columns] = heads.bias.reshape(-1)
    return Int8Heads(heads.norm, matrix, bias, heads.bins)


@nb.njit(cache=True)
def _advance_nb(
    embeddings: Float32,
    choices: Int32,
    table: Float32,
    first_weight: Int8,
    first_scale: Float32,
    first_shift: Float32,
    second_weight: Int8,
    second_scale: Float32,
    second_shift: Float32,
    vectors: Float32,
    values: Float32,
    hidden: Float32,
    inputs: NDArray[np.uint8],
    low: Float32,
    step: Float32,
    sums: NDArray[np.int32],
    outputs: Float32,
) -> None:
    rows = embeddings.shape[0]
    for i in range(rows):
        row, source, embedding = values[i], embeddings[i], table[choices[i]]
        for j in range(row.shape[0]):
            row[j] = source[j] + embedding[j]
    int8_residual_stack_nb(
        rows,
        values,
        first_weight,
        first_scale,
        first_shift,
        second_weight,
        second_scale,
        second_shift,
        vectors,
        hidden,
        inputs,
        low,
        step,
        sums,
    )
    normalise_nb(rows, values, outputs)


@nb.njit(cache=True)
def _predict_nb(
    first_weight: Int8,
    first_scale: Float32,
    first_shift: Float32,
    second_weight: Int8,
    second_scale: Float32,
    second_shift: Float32,
    vectors: Float32,
    norm: Float32,
    weight: Int8,
    scale: Float32,
    shift: Float32,
    bias: Float32,
    bins: int,
    atoms: Float32,
    transformed: bool,
    embeddings: Float32,
    values: Float32,
    hidden: Float32,
    inputs: NDArray[np.uint8],
    low: Float32,
    step: Float32,
    sums: NDArray[np.int32],
    powers: Float32,
    line: Float32,
    scalars: Float32,
    extras: Float32,
) -> None:
    rows = embeddings.shape[0]
    values[:rows] = embeddings
    int8_residual_stack_nb(
        rows,
        values,
        first_weight,
        first_scale,
        first_shift,
        second_weight,
        second_scale,
        second_shift,
        vectors,
        hidden,
        inputs,
        low,
        step,
        sums,
    )
    int8_heads_nb(
        rows,
        values,
        norm,
        weight,
        scale,
        shift,
        bias,
        bins,
        atoms,
        transformed,
        hidden,
        inputs,
        low,
        step,
        sums,
        powers,
        line,
        scalars,
        extras,
    )
