"""The proofs that need processes and sockets: kill -9, and the way from a bar's close to an order."""

from __future__ import annotations

from dataclasses import fields

import pytest

from benchmarks.chaos_real import run_rounds
from benchmarks.live import gaps, order_latency, week
from swt_live.simulation.invariants import Violations


@pytest.mark.slow
def test_a_trader_killed_over_and_over_breaks_no_rule() -> None:
    result = run_rounds(3, seed=5)
    assert result["deaths"] == 3
    assert int(str(result["orders"])) > 0
    assert {name: result[name] for name in (field.name for field in fields(Violations))} == {
        field.name: 0 for field in fields(Violations)
    }


@pytest.mark.slow
def test_every_order_of_the_benchmark_arrives_and_every_gap_is_filled() -> None:
    measured = order_latency(1, 10)
    assert measured["orders"] > 10
    assert 0.0 < measured["decision_p50_ms"] < measured["order_p50_ms"]
    assert week(1, 120)["week_decisions"] > 100
    lost = gaps(1, 200)
    assert lost["gaps"] > 3
    assert lost["gaps_recovered"] == 1.0
