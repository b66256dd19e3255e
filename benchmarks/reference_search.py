"""The honest baseline: Stochastic MuZero as a plain Python tree over torch, one position at a time.

What most public implementations do, written as well as that design allows: inference mode, only the
branch that is needed, no copies to and from numpy of latents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from swt_core.config.models import SearchConfig
from swt_core.position import ACTIONS
from swt_models.networks import StochasticMuZeroNetwork


@dataclass
class Node:
    """A decision state or an afterstate."""

    prior: dict[int, float]
    embedding: torch.Tensor
    value: float
    reward: float = 0.0
    discount: float = 1.0
    visits: int = 1
    children: dict[int, Node] = field(default_factory=dict)

    def q(self) -> float:
        return self.reward + self.discount * self.value


class ReferenceSearch:
    """Searches one observation; the position rule below the root is the product's."""

    def __init__(self, network: StochasticMuZeroNetwork, config: SearchConfig) -> None:
        self.network = network
        self.config = config
        self.action_rows = torch.eye(ACTIONS)
        self.code_rows = torch.eye(network.codes)

    @torch.inference_mode()
    def visits(
        self, observation: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], float]:
        """Visit counts ``[A]`` and root value."""
        latent = self.network.represent(torch.from_numpy(observation)[None])
        root = self._state(latent, [a for a in range(ACTIONS) if mask[a]], 0.0, 1.0)
        in_position = bool(mask[3])
        for _ in range(self.config.simulations):
            self._simulate(root, in_position)
        counts = np.zeros(ACTIONS, np.int64)
        for action, child in root.children.items():
            counts[action] = child.visits
        return counts, root.value

    def _simulate(self, root: Node, in_position: bool) -> None:
        path, node, decision = [root], root, True
        while True:
            edge = self._select_action(node) if decision else self._select_code(node)
            if decision:
                in_position = edge in (1, 2) or (edge == 0 and in_position)
            if edge not in node.children:
                break
            node = node.children[edge]
            path.append(node)
            decision = not decision
        leaf = self._afterstate(node, edge) if decision else self._next_state(node, edge, in_position)
        node.children[edge] = leaf
        value = leaf.q()
        for above in reversed(path):
            above.value = (above.value * above.visits + value) / (above.visits + 1)
            above.visits += 1
            value = above.reward + above.discount * value

    def _select_action(self, node: Node) -> int:
        low = high = node.value
        for child in node.children.values():
            low, high = min(low, child.q()), max(high, child.q())
        spread = max(high - low, self.config.minimum_value_range_pips, 1e-8)
        base = self.config.pb_c_base
        bonus = math.sqrt(node.visits) * (self.config.c_puct + math.log((node.visits + base + 1) / base))

        def score(action: int) -> float:
            child = node.children.get(action)
            if child is None:
                return bonus * node.prior[action]
            return (child.q() - low) / spread + bonus * node.prior[action] / (child.visits + 1)

        return max(node.prior, key=score)

    def _select_code(self, node: Node) -> int:
        def score(code: int) -> float:
            child = node.children.get(code)
            return node.prior[code] / (1 if child is None else child.visits + 1)

        return max(node.prior, key=score)

    def _afterstate(self, node: Node, action: int) -> Node:
        embedding = self.network.afterstate(node.embedding, self.action_rows[action : action + 1])
        chance_logits, value_logits = self.network.predict_afterstate(embedding)
        chance = torch.softmax(chance_logits[0], dim=-1).tolist()
        value = float(self.network.support.scalar(value_logits)[0])
        return Node(dict(enumerate(chance)), embedding, value)

    def _next_state(self, node: Node, code: int, in_position: bool) -> Node:
        latent, reward_logits = self.network.dynamics(node.embedding, self.code_rows[code : code + 1])
        reward = float(self.network.support.scalar(reward_logits)[0])
        return self._state(latent, [0, 3] if in_position else [0, 1, 2], reward, self.config.discount)

    def _state(self, latent: torch.Tensor, legal: list[int], reward: float, discount: float) -> Node:
        policy_logits, value_logits = self.network.predict(latent)
        policy = torch.softmax(policy_logits[0, legal], dim=-1).tolist()
        value = float(self.network.support.scalar(value_logits)[0])
        return Node(dict(zip(legal, policy, strict=True)), latent, value, reward, discount)
