"""What Prometheus calls each figure of a round or a selection: figure, metric, help.

Figures keep their own names (``area/figure``) in ``metrics.jsonl`` and TensorBoard. Those that are shares or
parts of one whole share a metric, told apart by a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from swt_core.position import ACTION_NAMES
from swt_training.alarms import AlarmName


@dataclass(frozen=True)
class Shown:
    """One figure as a sample: the metric's name, its help, and the sample's only label, if any."""

    metric: str
    help: str
    label: str | None = None
    value: str = ""


_PLAIN: Final = {
    # Learner
    "Loss/entropy": ("policy_entropy_nats", "Mean entropy of the policy"),
    "Loss/gradient_norm": ("gradient_norm", "Mean norm of the gradient before clipping"),
    "Loss/expected_pips": ("expected_pips", "Profit a session that the present policy expects, pips"),
    "Loss/skipped": ("skipped_steps_share", "Share of the round's learner steps that were dropped"),
    "Training/learning_rate": ("learning_rate", "Learning rate of the next step"),
    "Training/hidden_learning_rate": ("hidden_learning_rate", "Learning rate of the hidden matrices"),
    "Training/learner_steps": ("learner_steps", "Learner steps of the run"),
    "Training/learner_steps_per_s": ("learner_steps_per_second", "Learner steps a second, last round"),
    "Training/learner_sessions": ("learner_sessions", "Sessions that the learner has learned from"),
    "Training/skipped_steps": ("skipped_steps", "Learner steps dropped because they were not finite"),
    "Training/rollbacks": ("rollbacks", "Returns to the last good state"),
    "Training/rounds": ("rounds", "Rounds of the run"),
    "Training/round_s": ("round_seconds", "Time of the last round"),
    "Training/learning_share": ("learning_share", "Share of the round in which the learner worked"),
    "Training/acting_share": ("acting_share", "Share of the round in which actors played"),
    "Training/waiting_share": ("waiting_share", "Share of the round in which the learner waited for actors"),
    "Training/episodes_per_s": ("episodes_per_second", "Episodes played a second, last round"),
    "Training/temperature": ("temperature", "Exploration temperature of self-play, last round"),
    # Replay buffer
    "Training/buffer_sessions": ("buffer_sessions", "Sessions in the replay buffer"),
    "Training/buffer_steps": ("buffer_steps", "Decisions in the replay buffer"),
    "Training/buffer_used_ratio": ("buffer_used_ratio", "Decisions in the replay buffer over its capacity"),
    "Training/buffer_trading_share": ("buffer_trading_share", "Share of its sessions with a trade"),
    "Training/success_sessions": ("success_sessions", "Sessions in the success memory"),
    # The last round's self-play
    "Performance/self_play_pips": ("self_play_pips", "Profit a session of the last round's self-play, pips"),
    "Performance/expectancy_pips": ("self_play_expectancy_pips", "Mean profit of its trades"),
    "Performance/win_rate": ("self_play_win_rate", "Share of winners among its trades"),
    "Performance/trades": ("self_play_trades", "Trades it closed"),
    "Performance/trades_per_session": ("self_play_trades_per_session", "Trades it closed a session"),
    # The last sessions of self-play
    "Rolling/sessions": ("rolling_sessions", "Sessions that the rolling figures look at"),
    "Rolling/trades": ("rolling_trades", "Closed trades of these sessions"),
    "Rolling/trades_per_session": ("rolling_trades_per_session", "Closed trades a session"),
    "Rolling/trade_ratio": ("rolling_trade_ratio", "Share of these sessions with a closed trade"),
    "Rolling/pips": ("rolling_pips", "Profit of their trades"),
    "Rolling/expectancy_pips": ("rolling_expectancy_pips", "Mean profit of their trades"),
    "Rolling/win_rate": ("rolling_win_rate", "Share of winners among their trades"),
    "Rolling/sqn": ("rolling_sqn", "SQN of their trades, capped at 100 trades"),
    "Rolling/buys_share": ("rolling_buys_share", "Share of BUY among entries"),
    "Rolling/confidence": ("rolling_confidence", "Mean visit share of the chosen action"),
    # Network
    "Network/code_perplexity": ("network_code_perplexity", "Chance codes in use: exp of their entropy"),
    "Network/unused_codes_share": (
        "network_unused_codes_share",
        "Share of chance codes that never occur or are never foretold",
    ),
    "Network/predicted_code_perplexity": (
        "network_predicted_code_perplexity",
        "Chance codes foretold: exp of their entropy",
    ),
    "Network/mean_absolute_value_pips": ("network_mean_absolute_value_pips", "Mean absolute value"),
    "Network/value_share_of_support": (
        "network_value_share_of_support",
        "Mean absolute value over the bound of the value support",
    ),
    # Selection of the best on the validation range
    "Selection/pips_per_session": ("selection_pips_per_session", "Profit a session of the last selection"),
    "Selection/trades_per_session": ("selection_trades_per_session", "Closed trades a session"),
    "Selection/expectancy_pips": ("selection_expectancy_pips", "Mean profit of its trades"),
    "Selection/sqn": ("selection_sqn", "SQN of its trades, capped at 100 trades"),
    "Selection/win_rate": ("selection_win_rate", "Share of winners among its trades"),
    "Selection/confidence": ("selection_confidence", "Mean visit share of the chosen action"),
}
_LOSSES: Final = (
    "total",
    "policy",
    "value",
    "afterstate_value",
    "action_value",
    "chance",
    "commitment",
    "consistency",
    "reward",
    "model_value",
    "model_policy",
    "search_policy",
)

# A record with the second has all that is defined of the first: what it lacks is undefined, not as it was.
_TOGETHER: Final = {"Rolling/": "Rolling/sessions", "Performance/": "Performance/trades"}


def undefined_in(record: Mapping[str, float], known: Iterable[str]) -> list[str]:
    """Those of the figures ``known`` that are undefined once ``record`` is written, whatever they were.

    An agent that stops trading has no SQN any more: the last one must not be shown beside its 0 trades.
    """
    areas = tuple(area for area, sign in _TOGETHER.items() if sign in record)
    return [name for name in known if name.startswith(areas) and name not in record]


FIGURES: Final = (
    {figure: Shown(f"swt_training_{name}", text) for figure, (name, text) in _PLAIN.items()}
    | {
        f"Loss/{part}": Shown("swt_training_loss", "Mean loss of the round by part, nats", "part", part)
        for part in _LOSSES
    }
    | {
        f"Actions/{action}": Shown(
            "swt_training_action_share", "Share of the last round's decisions by action", "action", action
        )
        for action in ACTION_NAMES
    }
    | {
        f"Rolling/action_{action.lower()}": Shown(
            "swt_training_rolling_action_share",
            "Share of the rolling window's decisions by action",
            "action",
            action,
        )
        for action in ACTION_NAMES
    }
    | {
        f"Alarm/{alarm.value}": Shown("swt_training_alarm", "1 while the alarm is on", "alarm", alarm.value)
        for alarm in AlarmName
    }
)
