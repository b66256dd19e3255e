"""Live trading and the environment show the agent the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_fakes import GBP_JPY, World, configured, market

from swt_core.position import BUY, CLOSE, HOLD, SELL
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor

SCRIPT = {2: BUY, 9: CLOSE, 10: SELL, 25: CLOSE, 30: BUY, 31: CLOSE, 33: SELL}
START_ROW, MINUTES = 300, 45


@pytest.mark.parametrize("restart_at", [None, 20])
async def test_observations_equal_the_environments_bit_for_bit(
    tmp_path: Path, restart_at: int | None
) -> None:
    config = configured(
        trading={"financing_long_pips_per_day": -1.25, "financing_short_pips_per_day": 0.5},
        trading_safety={"max_slippage_pips": 100.0},
    )
    processor = FeatureProcessor(config.features, GBP_JPY)
    world = World(
        tmp_path, lambda n: SCRIPT.get(n, HOLD), bars=market(400), start_row=START_ROW, config=config
    )
    world.lookback, world.features = 256, processor
    world.start_trader()
    world.press_start()
    if restart_at is not None:
        await world.run(restart_at)
        world.start_trader()
    await world.run(MINUTES - (restart_at or 0))

    points = world.points
    assert len(points) == MINUTES
    first = int(np.searchsorted(world.bars.time_s, points[0].market.bar_time_s))
    environment = BatchSimulation(
        Market(world.bars, processor, config.trading),
        np.array([first]),
        np.array([first + MINUTES - 1]),
    )
    for point in points:
        expected, mask = environment.observe()[0], environment.masks()[0]
        assert point.observation.tobytes() == expected.tobytes()
        assert point.mask.tolist() == mask.tolist()
        environment.step(np.array([point.decision.action]))
    live = world.journal.trades()
    simulated = [item.trade for item in environment.trades()][: len(live)]
    assert len(live) == 3
    for ours, theirs in zip(live, simulated, strict=True):
        same = {"entry_time_s": 0, "exit_time_s": 0, "slippage_pips": 0.0, "spread_pips": 0.0}
        assert replace(ours, **same) == replace(theirs, **same)
