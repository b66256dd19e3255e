"""Configuration of market data and of what the agent sees."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from swt_core.config.section import Section


class DataConfig(Section):
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


class FeaturesConfig(Section):
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
