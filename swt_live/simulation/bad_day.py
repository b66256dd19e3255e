"""One bad day: the trader, the practice server, faults, foreign hands and sudden deaths, out of one seed.

A day is cut down to ``minutes`` in which much happens, at the week's opening, before its close, around the
daily break or anywhere else, followed by calm minutes in which everything must come right. Market, faults,
deaths, latencies and the trader's decisions all come from the seed, so a day that fails fails again.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from swt_broker.client import OandaClient
from swt_broker.records import BrokerSettings
from swt_core.calendar import MINUTE_S
from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.position import BUY, CLOSE, HOLD, SELL
from swt_core.state import StateDirectory
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.practice.faults import Fault, FaultPlan, seeded_faults
from swt_live.practice.server import PracticeServer
from swt_live.practice.settings import PracticeSettings
from swt_live.simulation.mortal import MortalProcess, mortal_tasks, silence_the_dead
from swt_live.simulation.network import SimulatedNetwork
from swt_live.simulation.stand_ins import PlainFeatures, ScriptedModel, ScriptedPolicy, random_walk
from swt_live.simulation.virtual_time import LoopClock, VirtualLoop, run_virtual
from swt_live.trader import LiveTrader
from swt_live.trader_parts import EMERGENCY_FLAG, START_FLAG, TraderParts

PAIR: Final = instrument("GBP_JPY")
TOKEN: Final = "simulation"  # noqa: S105 - opens nothing but the simulation
LOOKBACK: Final = 8
# Quarantine, the longest retry and a periodic reconciliation fit into the calm end.
CALM_MINUTES: Final = 6
# Sunday 2024-01-07 17:00 New York, the opening of a week.
_WEEK_S: Final = 1_704_664_800
_DAY_S: Final = 86_400
# Share of days on which EMERGENCY_STOP falls on orders in flight, of their orders on which it does, and of
# these (entries, reductions) those that the server keeps waiting: longer than the trader waits for an answer.
_IN_FLIGHT_DAYS: Final = 0.4
_IN_FLIGHT_ORDERS: Final = 0.5
_HANGS: Final = (0.25, 0.8)
_HANGS_S: Final = 20.0


@dataclass(frozen=True)
class DaySettings:
    """How bad a day is.

    Attributes:
        minutes: bad minutes, before the calm ones.
        faults_per_hour: at the broker and on the wire.
    """

    minutes: int = 12
    faults_per_hour: float = 120.0


@dataclass
class DayRecord:
    """What happened on a day, seen from outside.

    Attributes:
        posted: client ids of the orders that left the trader, in order.
        entries_while_stopped: those that may open a position and left while nobody wanted trading.
        down, halted: intervals, UTC seconds; emergencies: in which EMERGENCY_STOP was there.
        hung: when orders left that the server kept waiting for the sake of an emergency.
        failures: errors the trader died of, which it never should.
    """

    posted: list[str] = field(default_factory=list)
    entries_while_stopped: list[str] = field(default_factory=list)
    down: list[tuple[float, float]] = field(default_factory=list)
    halted: list[tuple[float, float]] = field(default_factory=list)
    emergencies: list[tuple[float, float]] = field(default_factory=list)
    hung: list[float] = field(default_factory=list)
    emergencies_in_flight: int = 0
    deaths: int = 0
    foreign_trades: int = 0
    failures: list[str] = field(default_factory=list)
    decisions: int = 0


class BadDay:
    """The world of one day; `live` lets it pass."""

    def __init__(self, seed: int, directory: Path, settings: DaySettings, loop: VirtualLoop) -> None:
        streams = np.random.SeedSequence(seed).spawn(6)
        self._rng, self._network_rng, market_rng, fault_rng, self._death_rng, self._flight_rng = (
            np.random.default_rng(stream) for stream in streams
        )
        self._strikes_in_flight = bool(self._flight_rng.random() < _IN_FLIGHT_DAYS)
        self._strikes: set[asyncio.Task[None]] = set()
        self.settings = settings
        self.loop = loop
        self.clock = LoopClock(loop)
        self.start_s = loop.time()
        self.calm_s = self.start_s + settings.minutes * MINUTE_S
        self.end_s = self.calm_s + CALM_MINUTES * MINUTE_S
        self.config = _config(self._rng)
        self.directory = StateDirectory(directory)
        minutes = settings.minutes + CALM_MINUTES + 2
        self.bars = random_walk(PAIR, int(self.start_s), 4 * LOOKBACK, minutes, market_rng)
        faults = seeded_faults(fault_rng, self.start_s, self.calm_s, settings.faults_per_hour)
        self.faults = FaultPlan(faults)
        practice = PracticeSettings(TOKEN, mode="real_time")
        self.server = PracticeServer(self.bars, practice, start_s=self.start_s, faults=self.faults)
        self.record = DayRecord()
        actions = self._rng.choice([HOLD, BUY, SELL, CLOSE, CLOSE], 4 * minutes)
        self._model = ScriptedModel(ScriptedPolicy(actions), PAIR)
        self._server_context = contextvars.copy_context()
        self.process: MortalProcess | None = None
        self.trader: LiveTrader | None = None
        self.journal: Journal | None = None
        self._graves: list[MortalProcess] = []

    @property
    def calm(self) -> bool:
        return self.loop.time() >= self.calm_s

    async def live(self) -> None:
        """From the first minute to the last."""
        self.loop.set_task_factory(mortal_tasks)
        self.loop.set_exception_handler(silence_the_dead)
        self._pump()
        self.press_start()
        person = asyncio.ensure_future(self._disturb())
        supervisor = asyncio.ensure_future(self._supervise())
        await self.clock.sleep_until(self.calm_s)
        people = [person, *self._strikes]
        for one in people:
            one.cancel()
        await asyncio.gather(*people, return_exceptions=True)
        self._calm_down()
        await self.clock.sleep_until(self.calm_s + 2.0)
        self.press_start()
        await self.clock.sleep_until(self.end_s)
        supervisor.cancel()
        await asyncio.gather(supervisor, return_exceptions=True)
        if self.process is not None and self.process.dead:
            self.journal = Journal(self.directory.file(JOURNAL_FILE))

    def close(self) -> None:
        """After the invariants were looked at."""
        if self.process is not None:
            self.process.kill()
        for process in self._graves:
            process.bury()

    # -- the market --------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Ticks and heartbeats go out at their time, whether anybody asks or not."""
        exchange = self.server.exchange
        exchange.advance(self.loop.time())
        self.loop.call_at(exchange.next_event_s, self._pump)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.server.exchange.advance(self.loop.time())
        await self.server.app(scope, receive, send)

    # -- the trader --------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        """Restart the trader whenever it has died."""
        while True:
            process = self._start_trader()
            await process.gone.wait()
            began_s = self.loop.time()
            self.record.deaths += 1
            if process.failure is not None:
                self.record.failures.append(repr(process.failure))
            await asyncio.sleep(float(self._death_rng.choice([0.01, 0.2, 3.0, 20.0, 90.0])))
            self.record.down.append((began_s, self.loop.time()))

    def _start_trader(self) -> MortalProcess:
        dies_at = None
        if not self.calm:
            most = 60 if self._death_rng.random() < 0.3 else 2400
            dies_at = int(self._death_rng.integers(1, most))
        process = self.process = MortalProcess(dies_at)
        self._graves.append(process)
        journal = self.journal = Journal(self.directory.file(JOURNAL_FILE))
        process.on_death.append(journal.close)
        network = SimulatedNetwork(
            self._serve,
            process,
            self._network_rng,
            self._server_context,
            before_send=self._on_send,
            death_rate=lambda: 0.0 if self.calm else 0.03,
        )
        process.start(self._trade(network, journal))
        return process

    async def _trade(self, network: SimulatedNetwork, journal: Journal) -> None:
        settings = BrokerSettings("http://practice", "http://practice", TOKEN, self._account_id)
        client = OandaClient(settings, network)
        trader = self.trader = LiveTrader(
            TraderParts(
                config=self.config,
                instrument=PAIR,
                broker=client,
                clock=self.clock,
                journal=journal,
                directory=self.directory,
                features=PlainFeatures(),
                models=self._model,  # type: ignore[arg-type]
                alerts=_NoAlerts(),
                rng=np.random.default_rng(self._death_rng.integers(2**32)),
                lookback=LOOKBACK,
                on_decision=self._on_decision,
                guard_clock=self.clock,
            )
        )
        await trader.run()

    def _on_decision(self, _point: object) -> None:
        self.record.decisions += 1

    @property
    def _account_id(self) -> str:
        return self.server.settings.account_id

    def _on_send(self, method: str, path: str, body: Any) -> None:
        if method != "POST" or not path.endswith("/orders"):
            return
        order = body["order"]
        client_id = str(order.get("clientExtensions", {}).get("id"))
        self.record.posted.append(client_id)
        stopped = not self.directory.flag(START_FLAG) or self.directory.flag(EMERGENCY_FLAG)
        if stopped and order.get("positionFill") != "REDUCE_ONLY":
            self.record.entries_while_stopped.append(client_id)
        quiet = self.calm or self.directory.flag(EMERGENCY_FLAG)
        if self._strikes_in_flight and not quiet and self._flight_rng.random() < _IN_FLIGHT_ORDERS:
            # In the server's context: what a person does does not end with the trader.
            strike = self.loop.create_task(self._emergency_in_flight(), context=self._server_context)
            self._strikes.add(strike)
            strike.add_done_callback(self._strikes.discard)
            if self._flight_rng.random() < _HANGS[order.get("positionFill") == "REDUCE_ONLY"]:
                now_s = self.loop.time()
                self.record.hung.append(now_s)
                self.faults.waiting.insert(0, Fault("delay", match="POST", at_s=now_s, seconds=_HANGS_S))

    # -- what comes from outside -------------------------------------------------------------------

    def press_start(self) -> None:
        self.directory.raise_flag(START_FLAG)

    async def _disturb(self) -> None:
        """Every few minutes a person, or the market, does something."""
        deeds: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._restart_trading, 4.0),
            (self._stop_trading, 1.0),
            (self._emergency, 1.0),
            (self._foreign_trade, 2.0),
            (self._halt, 1.0),
            (self._skew, 1.0),
        ]
        weights = np.array([weight for _, weight in deeds])
        while True:
            await asyncio.sleep(float(self._rng.exponential(90.0)))
            await deeds[int(self._rng.choice(len(deeds), p=weights / weights.sum()))][0]()

    def _raise_emergency(self) -> None:
        if not self.directory.flag(EMERGENCY_FLAG):
            self.directory.raise_flag(EMERGENCY_FLAG)
            self.record.emergencies.append((self.loop.time(), self.end_s))

    def _lower_emergency(self) -> None:
        if self.directory.flag(EMERGENCY_FLAG):
            self.directory.lower_flag(EMERGENCY_FLAG)
            begun_s, _ = self.record.emergencies[-1]
            self.record.emergencies[-1] = (begun_s, self.loop.time())

    async def _emergency_in_flight(self) -> None:
        """EMERGENCY_STOP falls while an order is on its way, or its answer, or neither comes."""
        await asyncio.sleep(float(self._flight_rng.uniform(0.0, 0.15)))
        self.record.emergencies_in_flight += 1
        self._raise_emergency()
        await asyncio.sleep(float(self._flight_rng.uniform(30.0, 90.0)))
        await self._restart_trading()

    async def _restart_trading(self) -> None:
        """What a person does after a halt."""
        self._lower_emergency()
        self.directory.lower_flag(START_FLAG)
        await asyncio.sleep(float(self._rng.choice([0.3, 8.0])))
        self.press_start()

    async def _stop_trading(self) -> None:
        self.directory.lower_flag(START_FLAG)
        await asyncio.sleep(float(self._rng.uniform(1.0, 300.0)))
        self.press_start()

    async def _emergency(self) -> None:
        self._raise_emergency()
        await asyncio.sleep(float(self._rng.uniform(1.0, 120.0)))
        await self._restart_trading()

    async def _foreign_trade(self) -> None:
        # What happened before a trader first looked is its starting point, no trade behind its back.
        if self.trader is None or self.trader.ledger.cursor is None:
            return
        self.record.foreign_trades += 1
        self.server.exchange.manual_trade(int(self._rng.choice([-3, -1, 1, 2])))

    async def _halt(self) -> None:
        now_s = self.loop.time()
        until_s = now_s + float(self._rng.uniform(10.0, 200.0))
        self.server.exchange.market.forced_halt_until_s = until_s
        self.record.halted.append((now_s, until_s))

    async def _skew(self) -> None:
        self.server.exchange.skew_s = float(self._rng.choice([-30.0, -3.0, 3.0, 300.0]))
        await asyncio.sleep(float(self._rng.uniform(5.0, 150.0)))
        self.server.exchange.skew_s = 0.0

    def _calm_down(self) -> None:
        """Nothing bad comes any more; what is under way goes on."""
        self.faults.clear()
        exchange = self.server.exchange
        exchange.skew_s = 0.0
        exchange.market.forced_halt_until_s = float("-inf")
        self.record.halted = [(begin, min(end, self.calm_s)) for begin, end in self.record.halted]
        self._lower_emergency()
        self.directory.lower_flag(START_FLAG)
        if self.process is not None:
            self.process.dies_at = None


class _NoAlerts:
    def alert(self, event: str, detail: str) -> None:
        """Nobody is told."""


def _config(rng: np.random.Generator) -> SWTConfig:
    """The product's settings; limits that would end most days at once are wide, order size varies."""
    units = int(rng.choice([1, 1, 3]))
    return SWTConfig.model_validate(
        {
            "live": {"flag_poll_seconds": 4.0, "stop_flattens": bool(rng.random() < 0.7)},
            "trading": {"units": units, "max_entry_spread_pips": 100.0},
            "trading_safety": {
                "max_position_units": units,
                "emergency_violations": int(rng.choice([3, 1000])),
                "max_slippage_pips": 100.0,
                "max_trades_per_hour": 1000,
                "max_consecutive_losses": 1000,
                "max_daily_loss_pips": 1e6,
                "max_drawdown_pips": 1e6,
            },
        }
    )


def _start_s(seed: int, minutes: int) -> float:
    """Where in the week the day begins."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, 1)))
    length_s = (minutes + CALM_MINUTES) * MINUTE_S
    place = rng.integers(6)
    if place == 0:  # Sunday's opening
        return float(_WEEK_S + 4 * MINUTE_S)
    if place == 1:  # ends before Friday's close
        return float(_WEEK_S + 5 * _DAY_S - 4 * MINUTE_S - length_s)
    if place == 2:  # the daily break falls into its middle
        return float(_WEEK_S + int(rng.integers(1, 5)) * _DAY_S - length_s // 2 // MINUTE_S * MINUTE_S)
    minute = int(rng.integers(10, 23 * 60 - length_s // MINUTE_S))
    return float(_WEEK_S + int(rng.integers(0, 5)) * _DAY_S + minute * MINUTE_S)


def live_through(seed: int, directory: Path, settings: DaySettings, judge: Callable[[BadDay], Any]) -> Any:
    """One day; returns ``judge(day)`` of its end."""
    start_s = _start_s(seed, settings.minutes)

    async def main(loop: VirtualLoop) -> Any:
        day = BadDay(seed, directory, settings, loop)
        try:
            await day.live()
            return judge(day)
        finally:
            day.close()

    return run_virtual(main, start_s)
