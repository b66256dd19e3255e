"""What the dashboard shows, as records; the page draws exactly this."""

from __future__ import annotations

from pydantic import Field

from swt_core.state import StateRecord
from swt_ops.status import InstallationStatus
from swt_ops.training import TrainingView


class Course(StateRecord):
    """One curve: ``y[i]`` at ``x[i]``; both of one length, oldest first."""

    name: str = Field(description="metric, or name of the curve")
    x: tuple[float, ...] = Field(description="episodes, or market time in UTC epoch seconds")
    y: tuple[float, ...]


class Decision(StateRecord):
    """One decision of the trader and what its search saw."""

    bar_time_s: int = Field(description="open of the decided bar, UTC epoch seconds")
    action: str
    searched_action: str = Field(description="what search alone would have done")
    confidence: float = Field(description="share of visits of the chosen action")
    root_value: float
    visits: dict[str, int] = Field(description="visit counts of search by action")
    side: int = Field(description="position before it, −1/0/+1")
    equity_pips: float = Field(description="its open profit at that bar's close")
    latency_ms: float
    outcome: str = Field(description="what was done about it")


class Trade(StateRecord):
    """One closed trade, pips after costs."""

    side: int
    entry_time_s: int
    exit_time_s: int
    pnl_pips: float
    mae_pips: float
    bars: int
    forced: bool


class Event(StateRecord):
    """A line of the trader's audit trail that is no routine."""

    time_s: float
    event: str
    detail: str


class ShadowSide(StateRecord):
    """One side of the comparison with the candidate on paper."""

    trades: int
    pips: float
    open_pips: float
    win_rate: float | None
    profit_factor: float | None
    max_drawdown_pips: float


class Shadow(StateRecord):
    """The candidate on paper beside the trader, on the same bars."""

    name: str
    since_s: int
    compared: int
    disagreements: int
    trader: ShadowSide
    candidate: ShadowSide


class Trading(StateRecord):
    """What the trader's journal says."""

    realised: Course | None = Field(None, description="sum of closed trades, pips, by market time")
    marked: Course | None = Field(None, description="the same with the open position, recent days")
    decisions: tuple[Decision, ...] = Field((), description="latest first")
    acted: tuple[Decision, ...] = Field((), description="those that were no HOLD, latest first")
    trades: tuple[Trade, ...] = Field((), description="latest first")
    events: tuple[Event, ...] = Field((), description="latest first")
    shadow: Shadow | None = None


class VerdictRow(StateRecord):
    """One verdict with its reports."""

    checkpoint_name: str
    sha256: str
    level: str
    decision: str
    score: float
    grade: str
    reasons: tuple[str, ...]
    instrument: str
    synthetic: bool
    trades: int
    expectancy_pips: float | None
    sqn: float | None
    sharpe: float | None
    profit_factor: float | None
    max_drawdown_share: float | None
    deflated_sharpe: float | None
    created_s: float
    expires_s: float
    expired: bool
    in_force: bool = Field(description="this one decides whether the checkpoint may trade")
    reports: dict[str, str] = Field(default_factory=dict, description="file name: path on this server")


class Problem(StateRecord):
    """A state file that could not be understood."""

    source: str
    text: str


class DashboardView(StateRecord):
    """Everything the page shows at one moment."""

    time_s: float
    control: bool = Field(description="whether the page may start, stop and halt the trader")
    status: InstallationStatus
    training: TrainingView
    courses: tuple[Course, ...] = Field((), description="training curves by episode")
    trading: Trading = Trading(schema_version=1)
    verdicts: tuple[VerdictRow, ...] = Field((), description="newest first")
    problems: tuple[Problem, ...] = Field((), description="broken state files")
