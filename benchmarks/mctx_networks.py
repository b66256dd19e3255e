"""The same networks in JAX for mctx: the fast peer (extra ``oracle``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swt_core.config.models import SearchConfig
from swt_models.blocks import NORM_EPSILON
from swt_models.export import Weights
from swt_models.support import Support

Run = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.int64]]


def mctx_search(weights: Weights, support: Support, blocks: int, config: SearchConfig) -> Run:
    """A compiled ``mctx.stochastic_muzero_policy`` over direct-representation networks."""
    import jax
    import jax.numpy as jnp
    import mctx

    params = {name: jnp.asarray(value) for name, value in weights.items()}
    atoms = jnp.asarray(support.atoms())

    def linear(p: Any, name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def normalise(x: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        return (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + NORM_EPSILON)

    def norm_relu(p: Any, name: str, x: Any) -> Any:
        return jax.nn.relu(normalise(x) * p[f"{name}.weight"] + p[f"{name}.bias"])

    def stack(p: Any, name: str, x: Any) -> Any:
        for i in range(blocks):
            hidden = norm_relu(p, f"{name}.{i}.norm", linear(p, f"{name}.{i}.first", x))
            x = x + linear(p, f"{name}.{i}.second", hidden)
        return x

    def scalar(logits: Any) -> Any:
        return jax.nn.softmax(logits) @ atoms

    def predict(p: Any, latent: Any, name: str, other: str) -> tuple[Any, Any]:
        hidden = norm_relu(p, f"{name}.heads.norm", stack(p, f"{name}.trunk", latent))
        heads = f"{name}.heads.outputs"
        return linear(p, f"{heads}.{other}", hidden), scalar(linear(p, f"{heads}.value", hidden))

    def decision(p: Any, _: Any, action: Any, latent: Any) -> Any:
        after = normalise(stack(p, "afterstate_dynamics", latent + p["action_embedding.weight"].T[action]))
        chance_logits, value = predict(p, after, "afterstate_prediction", "chance")
        return mctx.DecisionRecurrentFnOutput(chance_logits=chance_logits, afterstate_value=value), after

    def chance(p: Any, _: Any, code: Any, after: Any) -> Any:
        hidden = stack(p, "state_dynamics.trunk", after + p["chance_embedding.weight"].T[code])
        heads = norm_relu(p, "state_dynamics.heads.norm", hidden)
        reward = scalar(linear(p, "state_dynamics.heads.outputs.reward", heads))
        latent = normalise(hidden)
        policy, value = predict(p, latent, "prediction", "policy")
        output = mctx.ChanceRecurrentFnOutput(
            action_logits=policy,
            value=value,
            reward=reward,
            discount=jnp.full_like(reward, config.discount),
        )
        return output, latent

    @jax.jit
    def search(p: Any, observations: Any, illegal: Any) -> Any:
        hidden = norm_relu(p, "representation.input_norm", linear(p, "representation.input", observations))
        latent = normalise(stack(p, "representation.trunk", hidden))
        policy, value = predict(p, latent, "prediction", "policy")
        output = mctx.stochastic_muzero_policy(
            p,
            jax.random.PRNGKey(0),
            mctx.RootFnOutput(prior_logits=policy, value=value, embedding=latent),
            decision,
            chance,
            config.simulations,
            invalid_actions=illegal,
            dirichlet_fraction=0.0,
        )
        return output.search_tree.summary().visit_counts

    def run(observations: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray(search(params, observations, ~masks)).astype(np.int64)

    return run
