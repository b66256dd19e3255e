"""Muon for hidden matrices, AdamW for the rest: who gets what, how far a step goes, what is saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swt_core.config import ModelConfig, TrainingConfig
from swt_core.errors import StateError
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape
from swt_training.optimizer import LearnerOptimizer, hidden_matrices

RATE = 1e-3


def network(seed: int = 1) -> StochasticMuZeroNetwork:
    torch.manual_seed(seed)
    return StochasticMuZeroNetwork(
        ModelConfig(hidden_dim=16, support_bins=11), ObservationShape.for_profile("swt", 128, 9)
    )


def slope(learning: StochasticMuZeroNetwork, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in learning.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def weights(learning: StochasticMuZeroNetwork) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in learning.named_parameters()}


def test_the_square_matrices_of_residual_blocks_are_hidden_and_nothing_else() -> None:
    learning = network()
    hidden = {id(matrix) for matrix in hidden_matrices(learning)}
    names = {name for name, parameter in learning.named_parameters() if id(parameter) in hidden}
    assert names == {
        f"{part}.0.{layer}.weight"
        for part in (
            "representation.trunk",
            "prediction.trunk",
            "afterstate_dynamics",
            "afterstate_prediction.trunk",
            "state_dynamics.trunk",
        )
        for layer in ("first", "second")
    }


@pytest.mark.parametrize("width", [16, 256])
def test_a_hidden_matrix_moves_evenly(width: int) -> None:
    """The point of Muon: strong directions of the gradient, 100 times the weak ones, do not outrun them."""
    torch.manual_seed(1)
    learning = StochasticMuZeroNetwork(
        ModelConfig(hidden_dim=width, support_bins=11), ObservationShape.for_profile("swt", 128, 9)
    )
    training = TrainingConfig(hidden_rate_factor=20.0, weight_decay=0.0)
    optimizer = LearnerOptimizer(learning, training)
    matrix = next(hidden_matrices(learning))
    before = matrix.detach().clone()
    left, _ = torch.linalg.qr(torch.randn(width, width))
    right, _ = torch.linalg.qr(torch.randn(width, width))
    slope(learning, 1)
    matrix.grad = left @ torch.diag(torch.logspace(-1.0, 1.0, width)) @ right
    optimizer.step(RATE)
    step = matrix.detach() - before
    moved = torch.linalg.svdvals(step) / (20.0 * RATE)
    assert moved.max() < 1.4
    assert moved.median() > 0.6
    assert moved.max() / moved.min() < 20.0, "100 in the gradient"
    assert torch.trace(step.T @ matrix.grad) < 0, "downhill"


def test_what_is_not_hidden_moves_as_under_adamw_alone() -> None:
    one, other = network(), network()
    both = LearnerOptimizer(one, TrainingConfig())
    rest = [p for p in other.parameters() if id(p) not in {id(m) for m in hidden_matrices(other)}]
    decay = TrainingConfig().weight_decay
    alone = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=RATE,
        betas=(0.9, 0.99),
    )
    for seed in range(3):
        slope(one, seed)
        slope(other, seed)
        both.step(RATE)
        alone.step()
    hidden = {id(matrix) for matrix in hidden_matrices(one)}
    for (name, left), right in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right) is (id(left) not in hidden), name


def test_without_a_factor_adamw_moves_everything() -> None:
    learning = network()
    optimizer = LearnerOptimizer(learning, TrainingConfig(hidden_rate_factor=0.0))
    slope(learning, 1)
    optimizer.step(RATE)
    assert optimizer.rates(RATE) == {"adam": RATE}
    assert all("exp_avg" in optimizer.moments(parameter) for parameter in learning.parameters())


@pytest.mark.parametrize("factor", [0.0, 25.0])
def test_a_restored_optimizer_goes_on_bit_for_bit(factor: float) -> None:
    training = TrainingConfig(hidden_rate_factor=factor)
    one = network()
    optimizer = LearnerOptimizer(one, training)
    for seed in range(3):
        slope(one, seed)
        optimizer.step(RATE)
    other = network(seed=2)
    other.load_state_dict(one.state_dict())
    resumed = LearnerOptimizer(other, training)
    resumed.restore(optimizer.arrays())
    for learning, part in ((one, optimizer), (other, resumed)):
        slope(learning, 9)
        part.step(RATE)
    expected, found = weights(one), weights(other)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_moments_of_other_optimizers_are_refused() -> None:
    one, other = network(), network()
    optimizer = LearnerOptimizer(one, TrainingConfig())
    slope(one, 1)
    optimizer.step(RATE)
    alone = LearnerOptimizer(other, TrainingConfig(hidden_rate_factor=0.0))
    with pytest.raises(StateError, match="'muon'"):
        alone.restore(optimizer.arrays())
    with pytest.raises(StateError, match=r"'0\.exp_avg'"):
        alone.restore({"0.exp_avg": np.zeros(3)})


def test_it_forgets_one_parameter_or_all() -> None:
    learning = network()
    optimizer = LearnerOptimizer(learning, TrainingConfig())
    slope(learning, 1)
    optimizer.step(RATE)
    matrix, head = next(hidden_matrices(learning)), learning.prediction.heads.bias("policy")
    assert optimizer.moments(matrix)
    optimizer.forget(matrix)
    assert not optimizer.moments(matrix)
    assert optimizer.moments(head)
    optimizer.forget()
    assert not optimizer.arrays()
