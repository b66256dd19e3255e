"""``SWT/Forex-v0``: the Gymnasium environment, one episode of the batch simulation.

Other people's agents drive it without masks, so an illegal action becomes HOLD (or CLOSE where the week's
end requires it) and ``info["illegal_action"]`` says so; ``info["action_mask"]`` is always there.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from swt_core.config import DataConfig, FeaturesConfig, TradingConfig
from swt_core.instruments import instrument
from swt_core.position import ACTIONS, CLOSE, HOLD, SIDE
from swt_core.rewards import RewardPreset
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation
from swt_features.processor import FeatureProcessor

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Info = dict[str, Any]


class ForexEnv(gymnasium.Env[Float32, np.int64]):
    """One 360-bar session: observe, decide at a bar's close, be filled at the next bar's open.

    Args:
        market: where to trade; by default ten days of the synthetic `regimes` market.
        starts: ``[k]`` rows at which a session may start; by default every valid one.
        session_bars: decisions per session.
        reward: the reward preset, pips per step.

    ``reset(options={"start_row": r})`` starts at a given row.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (Gymnasium's own convention)

    def __init__(
        self,
        market: Market | None = None,
        starts: Int64 | None = None,
        session_bars: int = 360,
        reward: str = "dense",
    ) -> None:
        self.market = market if market is not None else _default_market()
        if starts is None:
            bars = self.market.bars
            starts = build_session_index(bars, check_quality(bars), session_bars).starts
        if not len(starts):
            raise ValueError(f"no valid session of {session_bars} bars in these bars")
        self.starts = starts
        self.session_bars = session_bars
        self.reward = RewardPreset[reward.upper()]
        size = self.market.processor.observation_size
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(ACTIONS)
        self._simulation: BatchSimulation | None = None

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Float32, Info]:
        super().reset(seed=seed)
        start = (options or {}).get("start_row")
        first = int(start) if start is not None else int(self.np_random.choice(self.starts))
        rows = np.array([first], np.int64)
        self._simulation = BatchSimulation(self.market, rows, rows + self.session_bars - 1, self.reward)
        return self._simulation.observe()[0], self._info(illegal=False)

    def step(self, action: np.int64) -> tuple[Float32, float, bool, bool, Info]:
        simulation = self._running()
        mask = simulation.masks()[0]
        illegal = not mask[int(action)]
        if illegal:
            action = np.int64(HOLD if mask[HOLD] else CLOSE)
        reward = float(simulation.step(np.array([action]))[0])
        # A session's end is the environment's, not the market's: the agent is not told how far it is.
        truncated = not simulation.active[0]
        return simulation.observe()[0], reward, False, truncated, self._info(illegal=illegal)

    def _running(self) -> BatchSimulation:
        if self._simulation is None:
            raise RuntimeError("call reset() before step()")
        return self._simulation

    def _info(self, *, illegal: bool) -> Info:
        simulation = self._running()
        trades = simulation.trades()
        return {
            "action_mask": simulation.masks()[0].astype(np.int8),
            "illegal_action": illegal,
            "equity_pips": float(simulation.equity_pips()[0]),
            "realised_pips": float(simulation.realised_pips[0]),
            "side": int(simulation.positions[0, SIDE]),
            "trades": len(trades),
            "row": int(simulation.rows[0]),
        }


def _default_market() -> Market:
    data, features = DataConfig(), FeaturesConfig()
    pair = instrument(data.instrument)
    bars = synthetic_bars("regimes", 10, data.market_seed, pair, data.spread_pips)
    return Market(bars, FeatureProcessor(features, pair), TradingConfig())
