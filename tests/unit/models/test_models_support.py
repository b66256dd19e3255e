"""Two-hot targets and scalars are each other's inverse."""

from __future__ import annotations

import pytest
import torch

from swt_core.config.models import ModelConfig
from swt_core.errors import ConfigError
from swt_models.support import Support, inverse_transform, transform

SUPPORTS = (Support(601, -300, 300), Support(51, -50, 100), Support(101, -300, 300, transformed=True))


@pytest.mark.parametrize("support", SUPPORTS)
def test_a_two_hot_target_has_the_expectation_of_its_value(support: Support) -> None:
    values = torch.linspace(support.minimum, support.maximum, 4001)
    weights = support.two_hot(values)
    assert torch.allclose(weights.sum(-1), torch.ones(len(values)))
    assert int((weights > 0).sum(-1).max()) <= 2
    logits = torch.log(weights.clamp_min(1e-38))
    assert torch.allclose(support.scalar(logits), values, atol=2e-2 if support.transformed else 2e-3)


def test_values_beyond_the_support_are_clipped_to_its_ends() -> None:
    weights = SUPPORTS[1].two_hot(torch.tensor([-1e6, 1e6]))
    assert weights[0, 0] == 1.0
    assert weights[1, -1] == 1.0


def test_the_centre_bin_of_an_odd_support_is_zero() -> None:
    assert SUPPORTS[0].atoms()[300] == 0.0


def test_muzeros_transform_is_inverted_exactly() -> None:
    values = torch.linspace(-300, 300, 1001, dtype=torch.float64)
    assert torch.allclose(inverse_transform(transform(values)), values, atol=1e-9)


def test_an_impossible_support_is_refused() -> None:
    with pytest.raises(ConfigError, match="support"):
        Support.of(ModelConfig(support_min_pips=10, support_max_pips=-10))
