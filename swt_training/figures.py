"""A round's and a selection's figures, as every display shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from swt_core.position import ACTION_NAMES
from swt_core.statistics import trade_statistics
from swt_inference.rollout import RolloutResult
from swt_models.export import Weights
from swt_training.learner import Learner, LossParts
from swt_training.optimizer import ADAM, MUON
from swt_training.replay_statistics import ReplayStatistics
from swt_training.selection import Selection


@dataclass(frozen=True)
class Progress:
    """What a watcher of a run sees after each round; ``weights`` copies those that the round ended with."""

    episodes: int
    learner_sessions: int
    elapsed_s: float
    round_pips: float | None
    expected_pips: float
    weights: Callable[[], Weights]


@dataclass(frozen=True)
class RoundTimes:
    """Learner steps and actors run side by side; then the learner waits for the actors."""

    learning_s: float
    acting_s: float
    waiting_s: float
    elapsed_s: float


def round_figures(
    results: Sequence[RolloutResult],
    losses: Sequence[LossParts],
    learner: Learner,
    held: ReplayStatistics,
    times: RoundTimes,
    *,
    temperature: float | None = None,
) -> dict[str, float]:
    """Figures of one round, named ``area/figure``.

    Args:
        temperature: that of the round's self-play; None: nothing was played.
    """
    mean = {name: float(np.mean([p.as_dict()[name] for p in losses])) for name in losses[0].as_dict()}
    elapsed_s = max(times.elapsed_s, 1e-9)
    rates = learner.optimizer.rates(learner.learning_rate())
    figures = {f"Loss/{name}": value for name, value in mean.items()}
    played = sum(len(r.episode_pips) for r in results)
    figures |= {
        "Training/episodes_per_s": played / elapsed_s,
        "Training/learner_sessions": float(learner.sessions_seen),
        "Training/learner_steps_per_s": len(losses) / elapsed_s,
        "Training/round_s": times.elapsed_s,
        "Training/learning_share": times.learning_s / elapsed_s,
        "Training/acting_share": times.acting_s / elapsed_s,
        "Training/waiting_share": times.waiting_s / elapsed_s,
        "Training/learning_rate": rates[ADAM],
        "Training/hidden_learning_rate": rates.get(MUON, rates[ADAM]),
        "Training/skipped_steps": float(learner.skipped_steps),
        "Training/buffer_sessions": float(held.sessions),
        "Training/buffer_steps": float(held.steps),
        "Training/buffer_used_ratio": held.steps / held.capacity_steps,
        "Training/success_sessions": float(held.success.sessions),
        "Training/buffer_trading_share": held.trading_share,
    }
    if temperature is not None:
        figures["Training/temperature"] = temperature
    return figures | (played_figures(results) if played else {})


def played_figures(results: Sequence[RolloutResult]) -> dict[str, float]:
    """Figures of the sessions that were played."""
    pips = np.concatenate([r.episode_pips for r in results])
    counts = np.sum([r.action_counts for r in results], axis=0)
    trades = trade_statistics(np.concatenate([r.trade_pips for r in results]))
    actions = {f"Actions/{name}": float(counts[i] / counts.sum()) for i, name in enumerate(ACTION_NAMES)}
    return actions | {
        "Performance/self_play_pips": float(pips.mean()),
        "Performance/expectancy_pips": trades.expectancy_pips or 0.0,
        "Performance/win_rate": trades.win_rate or 0.0,
        "Performance/trades": float(trades.trades),
        "Performance/trades_per_session": trades.trades / len(pips),
    }


def selection_figures(selection: Selection) -> dict[str, float]:
    """Figures of one selection."""
    found = selection.statistics
    return {
        "Selection/pips_per_session": selection.pips_per_session,
        "Selection/trades_per_session": selection.trades_per_session,
        "Selection/expectancy_pips": found.expectancy_pips or 0.0,
        "Selection/sqn": found.sqn.value or 0.0,
        "Selection/win_rate": found.win_rate or 0.0,
        "Selection/confidence": selection.mean_confidence,
    }
