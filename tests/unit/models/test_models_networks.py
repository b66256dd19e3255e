"""The five networks: shapes, normalisation, gradients, weights in and out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.random_network import random_network
from swt_core.config.models import ModelConfig
from swt_core.errors import ConfigError, IncompatibleModelError
from swt_models.architecture import architecture_name, describe
from swt_models.export import export_weights, load_weights, network_from_description
from swt_models.networks import StochasticMuZeroNetwork, commitment_loss
from swt_models.observation import ObservationShape

SMALL = {"hidden_dim": 32, "support_bins": 21}
PROFILES = {"swt": (128, 9), "micro": (288, 6), "full": (330, 9)}


def shape_of(profile: str) -> ObservationShape:
    return ObservationShape.for_profile(profile, *PROFILES[profile])


@pytest.mark.parametrize("profile", PROFILES)
def test_every_network_keeps_its_contracted_shapes(profile: str) -> None:
    shape = shape_of(profile)
    network = StochasticMuZeroNetwork(ModelConfig(**SMALL), shape)
    latents = network.represent(torch.randn(5, shape.size))
    policy, value = network.predict(latents)
    afterstates = network.afterstate(latents, torch.eye(4)[torch.tensor([0, 1, 2, 3, 0])])
    chance, afterstate_value = network.predict_afterstate(afterstates)
    following, reward = network.dynamics(afterstates, torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])])
    assert [tuple(x.shape) for x in (latents, afterstates, following)] == [(5, 32)] * 3
    assert [tuple(x.shape) for x in (value, afterstate_value, reward)] == [(5, 21)] * 3
    assert tuple(policy.shape) == (5, 4)
    assert tuple(chance.shape) == (5, 3)


def test_latents_are_normalised_after_each_dynamics() -> None:
    shape = shape_of("swt")
    network = random_network(ModelConfig(**SMALL), shape)
    latents = network.represent(torch.randn(6, shape.size))
    afterstates = network.afterstate(latents, torch.eye(4)[[1] * 6])
    following, _ = network.dynamics(afterstates, torch.eye(3)[[2] * 6])
    for latent in (latents, afterstates, following):
        assert torch.allclose(latent.mean(-1), torch.zeros(6), atol=1e-5)
        assert torch.allclose(latent.std(-1, correction=0), torch.ones(6), atol=1e-2)


def test_an_untrained_network_is_neutral() -> None:
    shape = shape_of("swt")
    network = StochasticMuZeroNetwork(ModelConfig(**SMALL), shape).eval()
    policy, value = network.predict(network.represent(torch.randn(3, shape.size)))
    assert torch.equal(policy, torch.zeros(3, 4))
    assert torch.allclose(network.support.scalar(value), torch.zeros(3), atol=1e-4)


def test_the_straight_through_code_carries_the_reward_gradient_to_the_encoder() -> None:
    shape = shape_of("swt")
    network = random_network(ModelConfig(**SMALL, chance="codebook", codebook_size=8), shape)
    latents = network.represent(torch.randn(4, shape.size))
    codes, probabilities = network.encode(torch.randn(4, shape.size))
    assert torch.allclose(codes.sum(-1), torch.ones(4))
    assert torch.allclose(codes.max(-1).values, torch.ones(4))
    afterstates = network.afterstate(latents, torch.eye(4))
    _, reward = network.dynamics(afterstates, codes)
    network.support.scalar(reward).sum().backward()
    assert network.encoder is not None
    assert all(parameter.grad is not None for parameter in network.encoder.parameters())
    assert any(float(parameter.grad.abs().max()) > 0 for parameter in network.encoder.parameters())
    assert bool((commitment_loss(codes, probabilities) > 0).all())


def test_a_chance_code_does_not_depend_on_the_position() -> None:
    shape = shape_of("swt")
    network = random_network(ModelConfig(**SMALL, chance="codebook"), shape)
    observations = torch.randn(4, shape.size)
    moved = observations.clone()
    moved[:, shape.market :] += 5
    assert torch.equal(network.encode(observations)[0], network.encode(moved)[0])


def test_observed_outcomes_have_no_encoder() -> None:
    network = StochasticMuZeroNetwork(ModelConfig(**SMALL), shape_of("swt"))
    with pytest.raises(RuntimeError, match="observed"):
        network.encode(torch.randn(1, 137))


def test_the_temporal_convolution_is_causal() -> None:
    shape = shape_of("micro")
    network = random_network(ModelConfig(**SMALL), shape)
    series = torch.randn(1, shape.bars, shape.columns)
    changed = series.clone()
    changed[:, 20:] += 1
    before, after = series, changed
    for layer in network.representation.layers:
        before, after = layer(before), layer(after)
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.equal(before[:, 20:], after[:, 20:])


def test_an_observations_latent_does_not_depend_on_its_batch() -> None:
    for profile in PROFILES:
        shape = shape_of(profile)
        network = random_network(ModelConfig(**SMALL), shape)
        observations = torch.randn(8, shape.size)
        alone = network.represent(observations[:2])
        assert torch.allclose(network.represent(observations)[:2], alone, atol=1e-5)


def test_the_consistency_loss_sends_no_gradient_into_its_target() -> None:
    shape = shape_of("swt")
    network = random_network(ModelConfig(**SMALL, consistency_weight=1.0), shape)
    latents = torch.randn(4, 32, requires_grad=True)
    target = torch.randn(4, 32, requires_grad=True)
    loss = network.consistency_loss(latents, target)
    assert loss.shape == (4,)
    loss.sum().backward()
    assert latents.grad is not None
    assert target.grad is None


def test_weights_survive_export_and_load() -> None:
    shape = shape_of("swt")
    model = ModelConfig(**SMALL)
    source = random_network(model, shape)
    target = network_from_description(describe(model, shape))
    load_weights(target, export_weights(source))
    observations = torch.randn(3, shape.size)
    assert torch.equal(source.represent(observations), target.eval().represent(observations))
    assert all(array.dtype == np.float32 for array in export_weights(source).values())


def test_weights_of_another_architecture_are_refused_naming_both_sides() -> None:
    shape = shape_of("swt")
    network = StochasticMuZeroNetwork(ModelConfig(**SMALL), shape)
    other = export_weights(StochasticMuZeroNetwork(ModelConfig(hidden_dim=16, support_bins=21), shape))
    with pytest.raises(IncompatibleModelError, match=r"\(16.*in the checkpoint.*\(32"):
        load_weights(network, other)


def test_architecture_names_differ_where_weights_differ() -> None:
    variants = [
        ModelConfig(),
        ModelConfig(hidden_dim=128),
        ModelConfig(residual_blocks=2),
        ModelConfig(support_bins=51),
        ModelConfig(chance="codebook"),
        ModelConfig(chance_outcomes=5),
    ]
    names = {architecture_name(model, shape_of("swt")) for model in variants}
    names.add(architecture_name(ModelConfig(), shape_of("micro")))
    assert len(names) == len(variants) + 1


def test_a_temporal_observation_must_fill_its_series() -> None:
    with pytest.raises(ConfigError, match="temporal"):
        ObservationShape.for_profile("micro", 100, 6)


def test_a_description_of_another_version_is_refused() -> None:
    with pytest.raises(IncompatibleModelError, match="model_config"):
        network_from_description({"model": {"unknown": 1}})
