"""The configuration's shape: every key with its description, unit and bound.

One YAML per area under ``config/`` mirrors these models; `swt_core.config.loading` composes them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Section):
    """Which bars are used and how they are split."""

    instrument: str = Field("GBP_JPY", description="currency pair, as OANDA names it")
    bars_file: str | None = Field(
        None, description="Parquet or CSV file of bars, or the directory of a bar store; none: synthetic"
    )
    features_file: str | None = Field(
        None,
        description="store of `swt features build` for these bars; none: computed when needed",
    )
    market: Literal["realistic", "martingale", "regimes", "faint", "fainter", "reversion"] = Field(
        "realistic", description="synthetic market used when there is no bars file"
    )
    market_days: int = Field(900, ge=3, le=20_000, description="length of the synthetic market, trading days")
    market_seed: int = Field(1, ge=0, description="seed of the synthetic market")
    spread_source: Literal["recorded", "constant", "hourly"] = Field(
        "recorded", description="recorded: from the data where it has one, else spread_pips"
    )
    spread_pips: float = Field(
        4.0, ge=0, le=100, description="round-trip spread where none is recorded, pips"
    )
    session_bars: int = Field(360, ge=10, le=10_000, description="length of a training session, bars")
    train_share: float = Field(0.7, gt=0, lt=1, description="share of time for training")
    validation_share: float = Field(
        0.15, gt=0, lt=1, description="share of time for the trainer's own selection"
    )
    purge_bars: int = Field(616, ge=616, description="bars left out between the splits")
    maximum_gap_minutes: int = Field(10, ge=1, le=60, description="longest gap inside a session, minutes")

    @field_validator("validation_share")
    @classmethod
    def _leaves_a_test_range(cls, share: float, info: ValidationInfo) -> float:
        train = info.data.get("train_share", 0.0)
        if share + train >= 1.0:
            raise ValueError(
                f"{share} leaves nothing to test on; allowed: less than 1 − train_share ({train})"
            )
        return share


class FeaturesConfig(_Section):
    """What the agent sees."""

    profile: Literal["swt", "micro", "full", "episode_13475"] = Field(
        "swt", description="observation profile"
    )
    wst: Literal["J2Q6", "J6Q4"] = Field("J2Q6", description="wavelet scattering profile")
    scaling: Literal["anchored", "window_std"] = Field(
        "anchored", description="scaling of closes before scattering; anchored keeps direction and volatility"
    )
    anchor_scale_pips: float = Field(30.0, gt=0, description="divisor of anchored closes, pips")
    equity_scale_pips: float = Field(
        150.0, gt=0, description="squash scale of pip-valued position features, pips"
    )
    bars_scale: float = Field(2000.0, gt=0, description="squash scale of bars since entry, bars")


class ModelConfig(_Section):
    """The five networks."""

    hidden_dim: int = Field(256, ge=16, le=2048, description="width of latents and blocks")
    residual_blocks: int = Field(1, ge=1, le=8, description="residual blocks per network")
    support_bins: int = Field(601, ge=3, le=2001, description="bins of the value and reward support (odd)")
    support_min_pips: float = Field(-300.0, description="lowest value of the support, pips")
    support_max_pips: float = Field(300.0, description="highest value of the support, pips")
    value_transform: bool = Field(False, description="whether the support is spaced by MuZero's h transform")
    chance: Literal["outcomes", "codebook"] = Field("outcomes", description="what a chance code is")
    chance_outcomes: int = Field(3, ge=2, le=64, description="bins of the observable market move")
    codebook_size: int = Field(32, ge=2, le=512, description="codes of the learned chance encoder")
    consistency_weight: float = Field(0.0, ge=0, le=10, description="weight of the consistency loss")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the representation network")

    @field_validator("support_bins")
    @classmethod
    def _odd(cls, bins: int) -> int:
        if bins % 2 == 0:
            raise ValueError(f"{bins} bins have no atom in the middle; allowed: an odd number")
        return bins


class SearchConfig(_Section):
    """Planning, the same in self-play, validation and live trading."""

    algorithm: Literal["standard", "gumbel", "rezero"] = Field("standard", description="search algorithm")
    simulations: int = Field(15, ge=1, le=1000, description="simulations per decision")
    discount: float = Field(0.997, gt=0, le=1, description="γ, per bar")
    c_puct: float = Field(1.25, gt=0, description="pUCT's first constant")
    pb_c_base: float = Field(19_652.0, gt=0, description="pUCT's second constant")
    temperature: float = Field(
        1.0,
        ge=0,
        description="T of the policy that search reports to learning, visits^(1/T); it does not change play",
    )
    evaluator: Literal["float32", "int8"] = Field(
        "float32",
        description="arithmetic of the networks in search on the CPU; int8: faster, nearly equal decisions",
    )
    minimum_value_range_pips: float = Field(
        16.0, ge=0, description="smallest range values are scaled to in pUCT, pips; 0: plain MuZero"
    )
    gumbel_considered: int = Field(4, ge=2, le=4, description="actions considered by Gumbel search")


class TradingConfig(_Section):
    """Rules of trading shared by training, validation and live."""

    units: int = Field(1, ge=1, le=100_000, description="order size, units of the base currency")
    minimum_confidence: float = Field(
        0.35, ge=0, le=1, description="visit share below which no entry is made"
    )
    max_entry_spread_pips: float = Field(
        8.0, gt=0, description="widest spread at which entries are allowed, pips"
    )
    no_entry_minutes_before_week_close: int = Field(
        60, ge=0, le=7200, description="no entries so late, minutes"
    )
    flat_minutes_before_week_close: int = Field(10, ge=0, le=7200, description="flat this early, minutes")
    slippage_pips: float = Field(0.0, ge=0, le=50, description="assumed adverse slippage of each fill, pips")
    financing_long_pips_per_day: float = Field(0.0, description="carry of a long position at rollover, pips")
    financing_short_pips_per_day: float = Field(
        0.0, description="carry of a short position at rollover, pips"
    )
    search: SearchConfig = Field(default_factory=SearchConfig, description="planning")


class TrainingConfig(_Section):
    """Self-play, replay, learner and the trainer daemon."""

    algorithm: Literal["path_value", "plain"] = Field(
        "path_value", description="path_value: exact values of all actions; plain: MuZero's own targets"
    )
    seed: int = Field(20_250_101, ge=0, description="root of every random draw")
    maximum_minutes: float | None = Field(
        None, gt=0, description="stop after this many minutes; none: by limits"
    )
    reward: Literal["clean", "amddp1", "amddp5", "dense"] = Field("dense", description="reward preset")
    unroll_steps: int = Field(5, ge=1, le=20, description="K, steps the model is unrolled")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="peak learning rate")
    final_learning_rate: float = Field(1e-4, gt=0, le=1, description="learning rate at the end of the decay")
    fine_tune_learning_rate: float = Field(
        3e-4, gt=0, le=1, description="peak learning rate of a run that began from a checkpoint"
    )
    decay_sessions: int = Field(20_000, ge=1, description="learner sessions over which the rate decays")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="decoupled weight decay")
    gradient_clip: float = Field(1.0, gt=0, description="largest gradient norm")
    weight_averaging: float = Field(
        0.98,
        ge=0,
        lt=1,
        description="share of the average that each step keeps; its weights play and are published; 0: none",
    )
    head_start_steps: int = Field(
        32, ge=0, description="learner steps before self-play begins, with nothing to wait for"
    )
    head_start_threads: int = Field(2, ge=1, le=64, description="threads of the learner during them")
    sessions_per_step: int = Field(16, ge=1, le=512, description="fresh sessions in each path-value step")
    gradient_share: float = Field(
        0.125, gt=0, le=1, description="share of each session's bars at which a step takes its gradient"
    )
    entropy_weight: float = Field(0.3, ge=0, description="entropy bonus of the prior, pips per decision")
    value_weight: float = Field(0.25, ge=0, description="weight of the value loss")
    model_weight: float = Field(0.25, ge=0, description="weight of the unrolled model's losses")
    value_trace: float = Field(
        0.95,
        ge=0,
        le=1,
        description="λ of the value targets: 1 is the whole path, less is more bootstrapping",
    )
    search_policy_weight: float = Field(
        0.05, ge=0, description="weight of the search's policy where self-play was"
    )
    replayed_sessions_per_step: int = Field(
        4, ge=0, le=512, description="sessions of each step that come from the replay buffer"
    )
    unroll_batch: int = Field(128, ge=8, le=4096, description="positions unrolled by the model in each step")
    action_value_roots: int = Field(
        192, ge=8, le=100_000, description="bars per step where every action of every side is valued"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where the learner computes; auto: a CUDA GPU where torch has one, else the CPU"
    )
    bfloat16: bool = Field(True, description="bf16 autocast in the learner")
    actors: int = Field(0, ge=0, le=1024, description="actor processes; 0: 85 % of the cores, at least one")
    episodes_per_actor: int = Field(32, ge=1, le=1024, description="episodes in lock-step per actor")
    temperature_start: float = Field(2.0, gt=0, description="self-play temperature at the start")
    temperature_end: float = Field(0.5, gt=0, description="self-play temperature at the end")
    temperature_episodes: int = Field(20_000, ge=1, description="episodes over which temperature falls")
    dirichlet_alpha: float = Field(1.0, gt=0, description="root noise α in self-play")
    dirichlet_fraction: float = Field(0.5, ge=0, le=1, description="root noise fraction in self-play")
    replay_capacity_steps: int = Field(1_000_000, ge=360, description="replay capacity, steps")
    minimum_trading_share: float = Field(0.3, ge=0, le=1, description="least share of trading trajectories")
    oldest_weight: float = Field(
        0.5, gt=0, le=1, description="draw weight of the oldest replayed session; the newest has 1"
    )
    success_capacity_sessions: int = Field(
        1000, ge=1, le=100_000, description="sessions kept in the success memory"
    )
    success_share: float = Field(
        0.0,
        ge=0,
        le=0.15,
        description="largest share of a learner step's sessions drawn from the success memory; 0: none",
    )
    success_trade_pips: float = Field(
        5.0, description="a session with a trade above this enters the success memory, pips"
    )
    success_quantile: float = Field(
        0.8, ge=0, lt=1, description="so does one whose expectancy lies above this quantile of the history"
    )
    success_history_episodes: int = Field(
        500, ge=20, le=100_000, description="episodes with trades in the expectancy history"
    )
    initial_sessions: int = Field(
        0, ge=0, le=100_000, description="sessions played without search before the first learner step"
    )
    initial_policy: Literal["random", "guided"] = Field(
        "guided", description="who plays them: at random, or going with or against the last bars' move"
    )
    curriculum_sessions: int = Field(
        0,
        ge=0,
        description="learner sessions over which calm sessions join the lively ones; 0: no curriculum",
    )
    td_steps: int = Field(
        0, ge=0, le=10_000, description="plain: n of n-step value targets; 0: λ-returns with value_trace"
    )
    reanalyse_sessions_per_round: int = Field(
        0, ge=0, le=100_000, description="replayed sessions searched again each round; 0: none"
    )
    reanalyse_backwards: bool = Field(
        True, description="whether reanalysis reuses the next bar's value (ReZero), or searches every bar"
    )
    reinitialise: Literal["heads", "shrink_perturb"] = Field(
        "shrink_perturb",
        description="heads: last layers start anew; shrink_perturb: all weights move towards fresh ones",
    )
    reinitialise_every_steps: int = Field(
        0, ge=0, description="learner steps between re-initialisations; 0: never"
    )
    reinitialise_keep: float = Field(
        0.8, ge=0, le=1, description="share of each weight that shrink_perturb keeps"
    )
    steps_per_round: int = Field(
        16, ge=1, description="learner steps per collected round: pins the replay ratio"
    )
    checkpoint_every_episodes: int = Field(10, ge=1, description="episodes between checkpoints")
    checkpoint_minimum_seconds: float = Field(60.0, ge=0, description="least time between checkpoints, s")
    selection_sessions: int = Field(100, ge=10, description="fixed validation sessions that choose the best")
    keep_last_checkpoints: int = Field(5, ge=1, description="newest checkpoints that are kept")
    keep_improvement_pips: float = Field(
        0.5, gt=0, description="gain in expectancy over all before that keeps a checkpoint for good, pips"
    )


class ValidationConfig(_Section):
    """The validator and its verdict."""

    level: Literal["QUICK", "STANDARD", "FULL"] = Field(
        "FULL", description="depth of an automatic validation"
    )
    quick_sessions: int = Field(50, ge=1, description="sessions of a QUICK validation")
    monte_carlo_runs: int = Field(1000, ge=50, description="resampled equity curves")
    poll_seconds: float = Field(5.0, gt=0, description="how often checkpoints/ is looked at, s")
    minimum_interval_minutes: float = Field(
        15.0, ge=0, description="least time between automatic runs, minutes"
    )
    improvement_share: float = Field(
        0.1, ge=0, description="relative gain in expectancy that triggers an automatic run"
    )
    every_episodes: int = Field(100, ge=1, description="episodes after which an automatic run is due")
    every_hours: float = Field(6.0, gt=0, description="hours after which an automatic run is due, h")
    time_limit_minutes: float = Field(
        30.0, gt=0, description="a run stops here with a partial report, minutes"
    )
    permutations: int = Field(1000, ge=99, description="random re-placements of the trades for the p-value")
    initial_risk_pips: float = Field(1.0, gt=0, description="1 R: what a trade is said to risk, pips")
    traded_fraction: float | None = Field(
        None, gt=0, le=20, description="size really traded, notional over equity; none: safe-f"
    )
    seed: int = Field(7, ge=0, description="seed of resampling")
    verdict_days: int = Field(30, ge=1, description="how long a DEPLOY verdict stays valid, days")


class LiveConfig(_Section):
    """The live trader."""

    environment: Literal["embedded", "practice", "live"] = Field("embedded", description="which broker")
    broker_url: str = Field("http://127.0.0.1:8095", description="address of the embedded practice server")
    account_id: str = Field("101-001-0000001-001", description="account at the embedded practice server")
    confirm_live_account: bool = Field(False, description="second consent that trading real money needs")
    allow_unvalidated: bool = Field(
        False, description="trade without a DEPLOY verdict (practice accounts only)"
    )
    decision_delay_seconds: float = Field(1.0, ge=0, le=30, description="wait after a bar's close, s")
    stale_after_seconds: float = Field(
        10.0, gt=0, description="nothing received for so long: the feed is stale, s"
    )
    quarantine_seconds: float = Field(60.0, gt=0, description="an unseen order stays open for so long, s")
    reconcile_minutes: float = Field(5.0, gt=0, description="time between reconciliations, minutes")
    stop_flattens: bool = Field(
        True, description="removing START_TRADING closes the position (else holds it)"
    )
    price_bound_pips: float = Field(
        5.0, gt=0, description="worst acceptable distance of an entry's fill, pips"
    )
    close_bound_pips: float = Field(
        50.0, gt=0, description="the same of a closing order's; doubled with every try, pips"
    )
    snapshot_minutes: float = Field(
        60.0, gt=0, description="whole account read so often, its changes in between, minutes"
    )
    shadow_checkpoint: str = Field(
        "",
        description="candidate traded on paper: best, newest, a name or the start of a sha256; none if empty",
    )
    replay_every_decisions: int = Field(
        10, ge=0, description="every so many decisions one is recomputed from the journal; 0: never"
    )
    minimum_free_disk_mb: float = Field(
        100.0, ge=0, description="no entries while less is free for the journal, MB"
    )
    flag_poll_seconds: float = Field(
        1.0, gt=0, le=60, description="how often START_TRADING and EMERGENCY_STOP are looked at, s"
    )
    status_seconds: float = Field(10.0, gt=0, description="time between two writings of status.json, s")
    health_port: int = Field(8080, ge=0, le=65_535, description="port of /health and /metrics on loopback")


class TradingSafetyConfig(_Section):
    """Limits that halt trading; reducing a position is always allowed."""

    max_position_units: int = Field(1, ge=1, description="largest position, units")
    position_check_seconds: float = Field(30.0, gt=0, description="how often the broker is asked, s")
    emergency_violations: int = Field(3, ge=1, description="violations that shut trading down")
    max_daily_loss_pips: float = Field(150.0, gt=0, description="daily loss that halts entries, pips")
    max_drawdown_pips: float = Field(400.0, gt=0, description="drawdown that halts entries, pips")
    max_consecutive_losses: int = Field(10, ge=1, description="losses in a row before a cool-down")
    cooldown_minutes: float = Field(60.0, ge=0, description="length of the cool-down, minutes")
    max_trades_per_hour: int = Field(20, ge=1, description="entries an hour")
    max_slippage_pips: float = Field(3.0, gt=0, description="slippage that counts as a violation, pips")
    fill_tolerance: float = Field(
        0.1, ge=0, le=1, description="fill above request that counts as oversize, share"
    )


class ProcessLimitsConfig(_Section):
    """Hard limits of a managed process; counters persist over restarts."""

    maximum_episodes: int = Field(1_000_000, ge=1, description="episodes")
    maximum_hours: float = Field(24.0 * 365, gt=0, description="wall time, hours")
    maximum_memory_gb: float = Field(6.0, gt=0, description="resident memory, GB")
    maximum_cpu_percent: float = Field(100.0, gt=0, le=100, description="share of all cores, %")
    maximum_checkpoints: int = Field(100_000, ge=1, description="checkpoints written")
    heartbeat_seconds: float = Field(60.0, gt=0, description="time between heartbeats, s")
    resource_check_seconds: float = Field(300.0, gt=0, description="time between resource checks, s")
    stop_seconds: float = Field(30.0, gt=0, description="time for a graceful stop, s")


class TrainerAlarmsConfig(_Section):
    """What the trainer calls a collapse, and when it goes back to its last good state."""

    window_sessions: int = Field(500, ge=1, description="self-play sessions that rolling figures look at")
    action_share: float = Field(
        0.95, gt=0, le=1, description="share of decisions, or of entries, above which one action is alone"
    )
    least_trades_per_session: float = Field(
        0.5, ge=0, description="closed trades a session below which mostly holding is an alarm"
    )
    unused_codes_share: float = Field(
        0.5, gt=0, le=1, description="share of unused chance codes that is an alarm"
    )
    value_share_of_support: float = Field(
        0.9, gt=0, le=1, description="mean |value| over the support's bound that is an alarm"
    )
    nonfinite_steps: int = Field(
        3, ge=1, description="learner steps in a row that are not finite, until the last good state returns"
    )
    maximum_rollbacks: int = Field(
        5, ge=1, description="returns to the last good state without progress, after which the trainer ends"
    )
    longest_round_minutes: float = Field(
        30.0, gt=0, description="a round that takes longer beats no heartbeat, so a watchdog ends it, minutes"
    )


class PoolConfig(_Section):
    """The worker pool on which actors and validation play."""

    kind: Literal["local", "ray"] = Field(
        "local", description="local: processes of this machine; ray: a Ray cluster (extra `ray`)"
    )
    ray_address: str | None = Field(
        None, description="of the cluster, or auto; none: $RAY_ADDRESS, else a cluster of this machine alone"
    )
    heartbeat_seconds: float = Field(1.0, gt=0, description="how often a worker says that it lives, s")
    silence_seconds: float = Field(
        60.0,
        gt=0,
        description="a worker that says nothing for so long is replaced, s; longer than the longest kernel",
    )
    task_timeout_seconds: float = Field(
        1800.0, gt=0, description="a worker that takes longer for one task is replaced, s"
    )


class SWTConfig(_Section):
    """The whole configuration."""

    data: DataConfig = DataConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    trading: TradingConfig = TradingConfig()
    validation: ValidationConfig = ValidationConfig()
    live: LiveConfig = LiveConfig()
    trading_safety: TradingSafetyConfig = TradingSafetyConfig()
    process_limits: ProcessLimitsConfig = ProcessLimitsConfig()
    trainer_alarms: TrainerAlarmsConfig = TrainerAlarmsConfig()
    pool: PoolConfig = PoolConfig()

    @field_validator("trading_safety")
    @classmethod
    def _an_order_fits_the_limit(
        cls, safety: TradingSafetyConfig, info: ValidationInfo
    ) -> TradingSafetyConfig:
        trading = info.data.get("trading")
        if trading is not None and trading.units > safety.max_position_units:
            raise ValueError(
                f"max_position_units {safety.max_position_units} is below trading.units {trading.units}: "
                "every order would break the limit; raise the limit or lower the order size"
            )
        return safety
