"""Configuration of the networks, of their training, and of what a trainer calls a collapse."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from swt_core.config.section import Section


class ModelConfig(Section):
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


class TrainingConfig(Section):
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
    hidden_rate_factor: float = Field(
        25.0,
        ge=0,
        le=1000,
        description="rate of the hidden matrices (Muon), times the learning rate; 0: AdamW for them too",
    )
    early_sessions: int = Field(512, ge=0, description="learner sessions of the fast beginning; 0: none")
    early_rate_factor: float = Field(
        2.5, ge=1, le=100, description="learning rate at its start, times the usual one; falls to 1 in it"
    )
    early_gradient_steps: int = Field(
        2, ge=1, le=16, description="gradient steps for each batch of sessions in it; later 1"
    )
    early_sessions_per_step: int = Field(
        6,
        ge=1,
        le=512,
        description="sessions of its first step; they grow with those seen to sessions_per_step",
    )
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
    head_start_steps: int = Field(96, ge=0, description="learner steps before self-play begins, each a round")
    head_start_threads: int = Field(2, ge=1, le=64, description="threads of the learner during them")
    sessions_per_step: int = Field(
        16, ge=1, le=512, description="sessions in each learner step, replayed ones included"
    )
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
    bfloat16: bool = Field(True, description="bf16 autocast in the learner (Muon computes in bf16 anyway)")
    actors: int = Field(
        0, ge=0, le=1024, description="actor processes; 0: 85 % of the cores, as memory allows"
    )
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


class TrainerAlarmsConfig(Section):
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
