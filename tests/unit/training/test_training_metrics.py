"""What Prometheus is shown of a figure once it is undefined."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from swt_core.state import StateDirectory
from swt_training.metric_names import FIGURES, undefined_in
from swt_training.metrics import TrainingMetrics

TRADING = {
    "Rolling/sessions": 500.0, "Rolling/trades": 80.0, "Rolling/expectancy_pips": 5.0,
    "Rolling/win_rate": 0.7, "Rolling/sqn": 4.1, "Rolling/buys_share": 0.5, "Loss/total": 2.0,
    "Performance/trades": 9.0, "Performance/win_rate": 0.6,
}  # fmt: skip
HOLDING = {"Rolling/sessions": 500.0, "Rolling/trades": 0.0, "Performance/trades": 0.0}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(tmp_path: Path, registry: CollectorRegistry) -> TrainingMetrics:
    return TrainingMetrics(StateDirectory(tmp_path), registry)


def shown(registry: CollectorRegistry, figure: str) -> float:
    value = registry.get_sample_value(FIGURES[figure].metric)
    assert value is not None
    return value


def test_an_agent_that_stops_trading_shows_no_figures_of_its_last_trades(
    metrics: TrainingMetrics, registry: CollectorRegistry
) -> None:
    metrics.write(1, 1.0, TRADING)
    assert shown(registry, "Rolling/sqn") == 4.1
    metrics.write(2, 2.0, HOLDING)
    assert shown(registry, "Rolling/trades") == 0.0
    for figure in ("Rolling/sqn", "Rolling/win_rate", "Rolling/expectancy_pips", "Performance/win_rate"):
        assert math.isnan(shown(registry, figure)), figure
    metrics.write(3, 3.0, TRADING)
    assert shown(registry, "Rolling/sqn") == 4.1
    metrics.close()


def test_a_record_of_other_areas_leaves_the_rolling_figures_as_they_are(
    metrics: TrainingMetrics, registry: CollectorRegistry
) -> None:
    metrics.write(1, 1.0, TRADING)
    metrics.write(2, 2.0, {"Selection/sqn": 1.0})
    assert shown(registry, "Rolling/sqn") == 4.1
    assert shown(registry, "Performance/win_rate") == 0.6
    metrics.close()


def test_only_figures_of_an_area_that_was_looked_at_become_undefined() -> None:
    assert undefined_in(HOLDING, ("Rolling/sqn", "Rolling/trades", "Loss/total")) == ["Rolling/sqn"]
    assert undefined_in({"Loss/total": 1.0}, TRADING) == []
