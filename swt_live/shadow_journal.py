"""The shadow's tables in the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from swt_core.records import TradeResult
from swt_live.journal import Journal


@dataclass(frozen=True)
class ShadowDecision:
    """What candidate and trader did at one bar.

    Attributes:
        side, equity_pips: the candidate's paper position before the decision, −1/0/+1, and its open profit.
        champion_action: None where the trader took no decision.
        champion_side, champion_equity_pips: the trader's position at that moment.
    """

    model_hash: str
    bar_time_s: int
    action: int
    side: int
    confidence: float
    equity_pips: float
    observation_sha256: str
    champion_hash: str | None
    champion_action: int | None
    champion_side: int
    champion_equity_pips: float


@dataclass(frozen=True)
class ShadowTrade:
    """One closed paper trade."""

    side: int
    entry_time_s: int
    exit_time_s: int
    pnl_pips: float
    mae_pips: float
    bars: int
    forced: bool


class ShadowJournal:
    """Reads and writes decisions and trades of candidates, by checkpoint hash."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def record_decision(self, decision: ShadowDecision) -> bool:
        """Note a decision; False when this bar was decided already."""
        return self._journal.insert_new("shadow_decisions", asdict(decision))

    def record_trade(self, model_hash: str, trade: TradeResult) -> None:
        known = {name: getattr(trade, name) for name in ShadowTrade.__dataclass_fields__}
        self._journal.insert_new("shadow_trades", {"model_hash": model_hash, **known})

    def decisions(self, model_hash: str) -> list[ShadowDecision]:
        rows = self._journal.rows(
            "SELECT * FROM shadow_decisions WHERE model_hash = ? ORDER BY bar_time_s", (model_hash,)
        )
        return [ShadowDecision(**{n: row[n] for n in ShadowDecision.__dataclass_fields__}) for row in rows]

    def trades(self, model_hash: str) -> list[ShadowTrade]:
        rows = self._journal.rows(
            "SELECT * FROM shadow_trades WHERE model_hash = ? ORDER BY number", (model_hash,)
        )
        names = ShadowTrade.__dataclass_fields__
        return [ShadowTrade(**{n: row[n] for n in names} | {"forced": bool(row["forced"])}) for row in rows]

    def models(self) -> list[str]:
        """Hashes of all candidates that have decided, the latest last."""
        rows = self._journal.rows(
            "SELECT model_hash FROM shadow_decisions GROUP BY model_hash ORDER BY MAX(id)", ()
        )
        return [str(row[0]) for row in rows]
