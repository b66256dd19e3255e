"""Dashboard of the trainer."""

from __future__ import annotations

from panels import BLUE, GREEN, RED, TEXT, YELLOW, Dashboard, Panel, Query, Row, stat

NOW = Row(
    "Now",
    (
        stat("Trainer", "Whether it answers.", 'up{job="trainer"}', base=TEXT,
             mappings={"0": ("DOWN", RED), "1": ("up", GREEN)}),
        stat("Episodes", "Played over all starts.", "swt_training_episodes_total", base=BLUE),
        stat("Learner steps", "Of the run.", "swt_training_learner_steps", base=BLUE),
        stat("Checkpoints", "Written over all starts.", "swt_training_checkpoints_total", base=BLUE),
        stat("Newest checkpoint", "Its age.", "swt_training_checkpoint_age_seconds", "s",
             steps=((7200, YELLOW), (21600, RED))),
        stat("Alarms", "Alarms that are on; `swt train status` says why.", "sum(swt_training_alarm)",
             steps=((1, RED),)),
        stat("At a limit", "1 once a hard limit was met: it idles on purpose.", "swt_training_at_limit",
             base=TEXT, mappings={"0": ("no", GREEN), "1": ("yes", YELLOW)}),
        stat("SQN of the selection", "Of the last checkpoint on the validation range.",
             "swt_training_selection_sqn", decimals=2, base=RED, steps=((0, YELLOW), (1.6, GREEN))),
    ),
)  # fmt: skip

LEARNING = Row(
    "Learning",
    (
        Panel("Losses", "Means of the last round by part, nats.",
              (Query("swt_training_loss", "{{part}}"),), width=12, height=10),
        Panel("Expected profit", "What the present policy expects a session to earn, pips.",
              (Query("swt_training_expected_pips", "expected"),), unit="suffix: pips", width=12, height=10),
        Panel("Learning rate", "Of the next step; the hidden matrices step at a rate of their own.",
              (Query("swt_training_learning_rate", "learning rate"),
               Query("swt_training_hidden_learning_rate", "hidden matrices")), unit="sci", width=6),
        Panel("Gradient norm", "Mean of the round before clipping.",
              (Query("swt_training_gradient_norm", "norm"),), width=6, minimum=0),
        Panel("Entropy and temperature", "Of the policy, nats (ln 4: undecided, 0: certain); of self-play.",
              (Query("swt_training_policy_entropy_nats", "entropy"),
               Query("swt_training_temperature", "temperature")), width=6, minimum=0),
        Panel("Dropped steps", "Not finite, or returned from; none are normal.",
              (Query("swt_training_skipped_steps", "dropped"), Query("swt_training_rollbacks", "rolled back"),
               Query("swt_training_skipped_steps_share", "share of the round")), width=6, minimum=0,
              steps=((1, RED),), lines=True),
    ),
)  # fmt: skip

PLAY = Row(
    "Self-play: it explores, so it loses more than the agent would",
    (
        Panel("Expectancy", "Mean profit of a trade: the last 500 sessions, and the last round.",
              (Query("swt_training_rolling_expectancy_pips", "500 sessions"),
               Query("swt_training_self_play_expectancy_pips", "last round")), unit="suffix: pips"),
        Panel("SQN", "Of the trades of the last 500 sessions, capped at 100 trades.",
              (Query("swt_training_rolling_sqn", "SQN"),)),
        Panel("Profit a session", "Of the last round.", (Query("swt_training_self_play_pips", "profit"),),
              unit="suffix: pips"),
        Panel("Action mix", "Share of each action among the decisions of the last 500 sessions.",
              (Query("swt_training_rolling_action_share", "{{action}}"),), stack="normal",
              unit="percentunit", minimum=0, maximum=1),
        Panel("Action mix, last round", "Share of each action among its decisions.",
              (Query("swt_training_action_share", "{{action}}"),), stack="normal", unit="percentunit",
              minimum=0, maximum=1),
        Panel("Entries that buy", "Share of BUY among entries; far from one half for long is a collapse.",
              (Query("swt_training_rolling_buys_share", "BUY"),), unit="percentunit", minimum=0, maximum=1),
        Panel("Trades", "Closed in the last 500 sessions, and in the last round.",
              (Query("swt_training_rolling_trades", "500 sessions"),
               Query("swt_training_self_play_trades", "last round")), decimals=0, minimum=0, width=6),
        Panel("Trades a session", "And the share of sessions with any.",
              (Query("swt_training_rolling_trades_per_session", "trades a session"),
               Query("swt_training_rolling_trade_ratio", "sessions with a trade")), minimum=0, width=6),
        Panel("Win rate", "Of the last 500 sessions' trades.",
              (Query("swt_training_rolling_win_rate", "500 sessions"),
               Query("swt_training_self_play_win_rate", "last round")), unit="percentunit", minimum=0,
              maximum=1, width=6),
        Panel("Confidence", "Mean visit share of the chosen action.",
              (Query("swt_training_rolling_confidence", "confidence"),), unit="percentunit", minimum=0,
              maximum=1, width=6),
    ),
)  # fmt: skip

SELECTION = Row(
    "Selection: fixed sessions of the validation range, without exploration",
    (
        Panel("SQN", "Of the last selection, capped at 100 trades.",
              (Query("swt_training_selection_sqn", "SQN"),), width=6, steps=((1.6, GREEN),), lines=True),
        Panel("Expectancy", "Mean profit of a trade.",
              (Query("swt_training_selection_expectancy_pips", "expectancy"),), unit="suffix: pips", width=6),
        Panel("Profit a session", "Mean over its sessions, pips.",
              (Query("swt_training_selection_pips_per_session", "profit"),),
              unit="suffix: pips", width=6),
        Panel("Win rate, confidence", "Share of winners; mean visit share of the chosen action.",
              (Query("swt_training_selection_win_rate", "win rate"),
               Query("swt_training_selection_confidence", "confidence")), unit="percentunit", minimum=0,
              maximum=1, width=6),
    ),
)  # fmt: skip

BUFFER = Row(
    "Replay buffer and network",
    (
        Panel("Buffer", "Sessions held, and those of the success memory.",
              (Query("swt_training_buffer_sessions", "sessions"),
               Query("swt_training_success_sessions", "success memory")), decimals=0, minimum=0, width=6),
        Panel("Buffer used", "Decisions held over capacity.",
              (Query("swt_training_buffer_used_ratio", "used"),), unit="percentunit", minimum=0, maximum=1,
              width=6),
        Panel("Sessions with a trade", "Share of the buffer; the quota keeps it up.",
              (Query("swt_training_buffer_trading_share", "with a trade"),), unit="percentunit", minimum=0,
              maximum=1, width=6),
        Panel("Learned from", "Sessions the learner took in, for each one played.",
              (Query("swt_training_learner_sessions / swt_training_episodes_total", "learned / played"),),
              minimum=0, width=6),
        Panel("Chance codes in use", "Perplexity: exp of the entropy of codes that occur, and foretold ones.",
              (Query("swt_training_network_code_perplexity", "occur"),
               Query("swt_training_network_predicted_code_perplexity", "foretold")), minimum=1),
        Panel("Unused chance codes", "Share; half is an alarm.",
              (Query("swt_training_network_unused_codes_share", "unused"),), unit="percentunit", minimum=0,
              maximum=1, steps=((0.5, RED),), lines=True),
        Panel("Values", "Mean absolute value over the bound of the support; 0.9 is an alarm.",
              (Query("swt_training_network_value_share_of_support", "share"),), unit="percentunit", minimum=0,
              steps=((0.9, RED),), lines=True),
    ),
)  # fmt: skip

MACHINE = Row(
    "Speed, workers, limits",
    (
        Panel("Speed", "Episodes and learner steps a second, last round.",
              (Query("swt_training_episodes_per_second", "episodes"),
               Query("swt_training_learner_steps_per_second", "learner steps")), minimum=0),
        Panel("Where a round goes", "Share of it in which learner and actors worked, and the learner waited.",
              (Query("swt_training_learning_share", "learning"), Query("swt_training_acting_share", "acting"),
               Query("swt_training_waiting_share", "waiting")), unit="percentunit", minimum=0, maximum=1),
        Panel("Time of a round", "Seconds.", (Query("swt_training_round_seconds", "round"),), unit="s",
              minimum=0),
        Panel("Workers", "Results, retried tasks, workers found dead, hung or poisoned, replaced.",
              (Query('swt_training_actor_events{event!="done"}', "{{event}}"),
               Query("swt_training_actors", "at once")), decimals=0, minimum=0),
        Panel("Limits used", "Share of each hard limit; at 1 it idles.",
              (Query("swt_training_limit_used_ratio", "{{limit}}"),), kind="bargauge", unit="percentunit",
              minimum=0, maximum=1, steps=((0.8, YELLOW), (0.95, RED))),
        Panel("Alarms", "Red while on.", (Query("swt_training_alarm", "{{alarm}}"),), kind="state-timeline",
              base=GREEN, steps=((1, RED),), mappings={"0": ("off", GREEN), "1": ("ON", RED)}),
    ),
)  # fmt: skip

TRAINING = Dashboard(
    "swt-training",
    "SWT training",
    "Does it learn, what from, is it healthy.",
    (NOW, LEARNING, PLAY, SELECTION, BUFFER, MACHINE),
)
