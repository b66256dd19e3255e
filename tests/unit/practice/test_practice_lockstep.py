from __future__ import annotations

import asyncio
import itertools
from typing import Any

from swt_broker.records import Heartbeat, OrderRequest, Price
from swt_data.bars import Bars


async def test_every_line_up_to_the_wake_up_is_known_before_it_is_answered(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    async with open_desk() as desk, desk.client.price_stream(["GBP_JPY"]) as stream:
        seen: list[Price | Heartbeat] = []

        async def feed() -> None:
            async for event in stream:
                seen.append(event)  # noqa: PERF401 - read while it grows

        reader = asyncio.create_task(feed())
        for row in range(open_row, open_row + 20):
            reply = await desk.advance(float(bars.time_s[row]) + 60.0)
            await stream.wait_consumed(reply["streams"][stream.stream_id])
            prices = [event for event in seen if isinstance(event, Price)]
            assert prices[-1].bid * 1000 == int(bars.bid_close[row])
            assert prices[-1].time_s <= reply["time_s"]
            first = next(p for p in prices if p.time_s >= bars.time_s[row])
            assert first.ask * 1000 == int(bars.ask_open[row])
        beats = [event.time_s for event in seen if isinstance(event, Heartbeat)]
        assert {b - a for a, b in itertools.pairwise(beats)} == {5.0}
        reader.cancel()


async def test_time_never_runs_backwards_and_an_order_moves_it_to_its_tick(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    start_s = float(bars.time_s[open_row])
    async with open_desk() as desk:
        await desk.advance(start_s + 1.0)
        await desk.client.create_order(OrderRequest("GBP_JPY", 1, "a"))
        assert (await desk.advance(start_s + 1.5))["time_s"] == start_s + 2.0
        assert (await desk.advance(start_s - 100))["time_s"] == start_s + 2.0


async def test_two_participants_move_together_at_the_earlier_wake_up(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    start_s = float(bars.time_s[open_row])
    async with open_desk() as desk:
        await desk.advance(start_s + 1.0, "shadow")
        late = asyncio.create_task(desk.advance(start_s + 90.0, "trader"))
        early = asyncio.create_task(desk.advance(start_s + 30.0, "shadow"))
        assert (await early)["time_s"] == start_s + 30.0
        assert not late.done()
        await desk.http.post("/control/clock/leave", json={"participant": "shadow"})
        assert (await late)["time_s"] == start_s + 90.0


async def test_a_participant_that_disconnects_is_not_waited_for(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    start_s = float(bars.time_s[open_row])
    async with open_desk() as desk:
        await desk.advance(start_s + 1.0, "shadow")
        dead = asyncio.create_task(desk.advance(start_s + 50.0, "trader"))
        while "trader" not in desk.server.clock._waiting:
            await asyncio.sleep(0)
        dead.cancel()
        while "trader" in desk.server.clock._waiting:
            await asyncio.sleep(0)
        assert (await desk.advance(start_s + 60.0, "shadow"))["time_s"] == start_s + 60.0


async def test_a_free_running_server_follows_the_loops_time(
    open_desk: Any, bars: Bars, open_row: int
) -> None:
    start_s = float(bars.time_s[open_row])
    async with open_desk(mode="accelerated", speed=20_000.0) as desk, desk.server.running():
        reply = await desk.advance(start_s + 120.0)
        assert reply["time_s"] >= start_s + 120.0
        assert reply["mode"] == "accelerated"


async def test_the_snapshot_can_be_declined(open_desk: Any, bars: Bars, open_row: int) -> None:
    async with open_desk() as desk, desk.client.price_stream(["GBP_JPY"], snapshot=False) as stream:
        await desk.advance(float(bars.time_s[open_row]) + 2.0)
        event = await anext(stream)
        assert isinstance(event, Price)
        assert event.time_s == bars.time_s[open_row] + 2.0


async def test_the_transaction_stream_tells_of_orders(open_desk: Any) -> None:
    async with open_desk() as desk, desk.client.transaction_stream() as stream:
        await desk.client.create_order(OrderRequest("GBP_JPY", 1, "seen"))
        kinds = [(await anext(stream)).raw["type"] for _ in range(2)]
        assert kinds == ["MARKET_ORDER", "ORDER_FILL"]


async def test_a_daily_break_is_waited_out_in_lock_step_but_halts_a_free_market(
    open_desk: Any, bars: Bars
) -> None:
    gaps = bars.time_s[1:] - bars.time_s[:-1]
    row = int((gaps >= 360).argmax())
    closed_s = float(bars.time_s[row]) + 61.0
    assert gaps[row] < 600
    async with open_desk(start_s=closed_s) as desk:
        result = await desk.client.create_order(OrderRequest("GBP_JPY", 1, "a"))
        assert result.price * 1000 == int(bars.ask_open[row + 1])
    async with open_desk(start_s=closed_s, mode="real_time") as desk:
        result = await desk.client.create_order(OrderRequest("GBP_JPY", 1, "a"))
        assert result.cancel.reason == "MARKET_HALTED"
