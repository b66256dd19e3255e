"""The gate's benchmark is honest: trained agents learnt something, a short cut changes no verdict."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate import EDGES, THIN_EDGES, _Block, _Found, _summary, hopeless, verdict
from benchmarks.gate_agents import Edge, TrainedTrader, World, foresight, make_world, random_rule
from benchmarks.registry import BenchmarkOptions, load_benchmark
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError
from swt_core.verdict import Decision

CONFIG = SWTConfig.model_validate({"validation": {"permutations": 199}})


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(80, 3, 0.0, CONFIG)


def test_what_is_hopeless_is_never_deployed_and_an_edge_is(world: World) -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for number in range(4):
        played = world.play(random_rule(len(world.market.bars), rng))
        seen.add(hopeless(played))
        assert verdict(world, played, CONFIG) is not Decision.DEPLOY, number
    assert True in seen
    sharp = world.play(foresight(world.market, Edge(0.95, 120, 300), rng))
    assert not hopeless(sharp)
    assert verdict(world, sharp, CONFIG) is Decision.DEPLOY


def test_a_hundred_rivals_deflate_the_best_of_them(world: World) -> None:
    rng = np.random.default_rng(2)
    edge = world.play(foresight(world.market, Edge(0.66, 60, 400), rng))
    rivals = [world.play(random_rule(len(world.market.bars), rng)) for _ in range(30)]
    assert verdict(world, edge, CONFIG, rivals) is not Decision.DEPLOY


def test_a_trained_trader_is_trained(world: World) -> None:
    trader = TrainedTrader(world, np.random.default_rng(3))
    assert trader.after > trader.before + 0.05


def test_rates_are_counted_over_the_agents_they_name() -> None:
    def block(kind: str) -> _Block:
        return _Block(kind, 0, 1, 0, CONFIG)

    good, thin, poor = (
        _Found("a", car25=0.9, profit_factor=2.0),
        _Found("b", car25=0.4, profit_factor=1.2),
        _Found("c", car25=0.1, profit_factor=1.1),
    )
    found = _summary(
        [
            *((block("truth"), [true]) for true in (good, thin, poor)),
            (block("with_edge"), [_Found("a", True), _Found("b"), _Found("c", True), _Found("a", True)]),
            (block("thin"), [_Found("b"), _Found("b", True), _Found("b"), _Found("b")]),
            (block("without_edge"), [_Found("random"), _Found("trained", True)]),
        ]
    )
    assert found["true_deploy"] == pytest.approx(2 / 3)
    assert (found["thin_deploy"], found["agents_thin"]) == (0.25, 4)
    assert found["deploy_b"] == 0.2
    assert found["agents_with_true_car25_above_30_percent"] == 3
    assert (found["false_deploy"], found["false_deploy_random"], found["false_deploy_trained"]) == (0.5, 0, 1)
    assert found["false_deploy_searched"] is None


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="no benchmark setting"):
        load_benchmark("gate").run(BenchmarkOptions(settings={"noedge": "5"}))


def test_thin_edges_are_those_the_rules_are_there_to_refuse() -> None:
    assert not set(EDGES) & set(THIN_EDGES)
    assert max(edge.probability for edge in THIN_EDGES) < min(edge.probability for edge in EDGES)
