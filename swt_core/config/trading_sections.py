"""Configuration of planning and trading: the rules, the live trader, its limits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from swt_core.config.section import Section


class SearchConfig(Section):
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


class TradingConfig(Section):
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


class LiveConfig(Section):
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


class TradingSafetyConfig(Section):
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
