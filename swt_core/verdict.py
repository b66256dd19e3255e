"""The verdict: the one paper that lets a checkpoint trade.

The validator writes ``validation_state/<checkpoint sha256>/verdict.json``, the live trader reads it and
nobody else promotes a model. It names exactly what was judged (the checkpoint's bytes, the configuration,
the bars), and it expires.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from swt_core.config.models import SWTConfig

VERDICT_SCHEMA: Final = 1
VERDICT_FILE = "verdict.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="lower-case hex sha256")]


class Decision(StrEnum):
    """What may be done with a checkpoint."""

    DEPLOY = "DEPLOY"
    TEST = "TEST"
    IMPROVE = "IMPROVE"
    REJECT = "REJECT"


class VerdictData(BaseModel):
    """Which bars the verdict was reached on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(description="file, snapshot or synthetic market the bars came from")
    sha256: Sha256 = Field(description="hash of the evaluated bars (`Bars.sha256`)")
    instrument: str = Field(description="currency pair")
    synthetic: bool = Field(description="whether the bars were simulated: such a verdict moves no real money")
    start_s: int = Field(description="open of the first evaluated bar, UTC epoch seconds")
    end_s: int = Field(description="end of the last evaluated bar, UTC epoch seconds")


class VerdictStatistics(BaseModel):
    """The key figures behind the verdict; None where a figure is undefined. All after costs."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    trades: int = Field(ge=0, description="closed trades")
    weeks: int = Field(0, ge=0, description="trading weeks replayed")
    expectancy_pips: float | None = Field(None, description="mean profit of a trade, pips")
    total_pips: float | None = Field(None, description="sum of profits, pips")
    sqn: float | None = Field(None, description="SQN, trades capped at 100")
    win_rate: float | None = Field(None, ge=0, le=1, description="share of winning trades")
    profit_factor: float | None = Field(None, ge=0, description="Σ wins / |Σ losses|; inf without losses")
    sharpe: float | None = Field(None, description="annualised, daily NAV")
    sortino: float | None = Field(None, description="annualised, daily NAV")
    max_drawdown_share: float | None = Field(
        None, ge=0, description="largest drawdown at the size really traded, share of equity"
    )
    safe_f: float | None = Field(None, ge=0, description="largest safe fraction")
    car25: float | None = Field(None, description="25th percentile of compound annual return at safe-f")
    p_value: float | None = Field(None, ge=0, le=1, description="of the expectancy being positive")
    deflated_sharpe: float | None = Field(None, ge=0, le=1, description="probability, for the trials made")
    pbo: float | None = Field(None, ge=0, le=1, description="probability of backtest overfitting")


class Verdict(BaseModel):
    """One validated checkpoint: what was judged, how it did, what may be done with it, until when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = VERDICT_SCHEMA
    checkpoint_name: str = Field(description="file name of the checkpoint")
    checkpoint_sha256: Sha256 = Field(description="hash of the checkpoint file's bytes")
    config_hash: Sha256 = Field(description="`judged_config_hash` of the configuration it was judged under")
    level: Literal["QUICK", "STANDARD", "FULL", "COMPREHENSIVE"] = Field(
        description="depth of the validation"
    )
    decision: Decision = Field(description="DEPLOY, TEST, IMPROVE or REJECT")
    reasons: tuple[str, ...] = Field((), description="why not better, one sentence each")
    score: float = Field(ge=0, le=100, description="composite score")
    grade: str = Field(description="A+ … F")
    data: VerdictData = Field(description="the bars it was judged on")
    statistics: VerdictStatistics = Field(description="key figures")
    created_s: float = Field(description="when it was reached, UTC epoch seconds")
    expires_s: float = Field(description="until when it may authorise trading, UTC epoch seconds")

    def refusals(
        self, *, checkpoint_sha256: str, config_hash: str, now_s: float, real_money: bool
    ) -> tuple[str, ...]:
        """Why this verdict does not authorise trading that checkpoint; empty when it does."""
        found = []
        if self.checkpoint_sha256 != checkpoint_sha256:
            found.append(
                f"it judges checkpoint {self.checkpoint_sha256[:12]}…, not {checkpoint_sha256[:12]}…"
            )
        if self.decision is not Decision.DEPLOY:
            found.append(f"it says {self.decision}, not DEPLOY")
        if self.config_hash != config_hash:
            found.append(
                f"it was reached under configuration {self.config_hash[:12]}…, not {config_hash[:12]}…"
            )
        if now_s >= self.expires_s:
            found.append(f"it expired {(now_s - self.expires_s) / 86_400:.1f} days ago")
        if real_money and self.data.synthetic:
            found.append("it was reached on synthetic data, which never authorises real money")
        return tuple(found)


def judged_config_hash(config: SWTConfig) -> str:
    """Hash of every setting a decision depends on: instrument, features, model, trading rules and search.

    The validator writes it into the verdict and the live trader compares it, so that a changed rule voids
    the verdict while a changed port number does not. sha256 hex of canonical JSON.
    """
    judged = {
        "instrument": config.data.instrument,
        "features": config.features.model_dump(mode="json"),
        "model": config.model.model_dump(mode="json"),
        "trading": config.trading.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(judged, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verdict_path(validation_state: Path, checkpoint_sha256: str) -> Path:
    """Where the verdict on a checkpoint lies."""
    return validation_state / checkpoint_sha256 / VERDICT_FILE
