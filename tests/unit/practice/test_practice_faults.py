from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from swt_broker.records import Heartbeat, OrderRequest, Price
from swt_core.errors import OutcomeUnknown, Rejected, Unavailable
from swt_data.bars import Bars
from swt_live.practice.faults import Fault, FaultPlan, seeded_faults

ORDER = OrderRequest("GBP_JPY", 1, "intent-1")


async def plan(desk: Any, *faults: Fault) -> None:
    reply = await desk.http.post("/control/faults", json={"faults": [fault.to_json() for fault in faults]})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("fault", "applied"),
    [
        (Fault("request_lost", match="POST"), False),
        (Fault("answer_lost", match="POST"), True),
        (Fault("status", match="/orders", status=503), False),
        (Fault("status", match="/orders", status=504, applied=True), True),
        (Fault("non_json", match="/orders"), False),
        (Fault("non_json", match="/orders", applied=True), True),
        (Fault("reset", match="/orders"), False),
        (Fault("reset", match="/orders", applied=True), True),
    ],
)
async def test_only_the_log_tells_what_became_of_an_unknown_order(
    open_desk: Any, fault: Fault, applied: bool
) -> None:
    async with open_desk(request_timeout_s=0.05) as desk:
        await plan(desk, fault)
        with pytest.raises(OutcomeUnknown):
            await desk.client.create_order(ORDER)
        fills = [t for t in await desk.client.transactions_since(2) if t.is_fill]
        assert [fill.client_order_id for fill in fills] == (["intent-1"] if applied else [])
        assert (await desk.client.account()).units("GBP_JPY") == int(applied)


async def test_a_delayed_order_is_applied_after_the_client_gave_up(open_desk: Any) -> None:
    async with open_desk(request_timeout_s=0.05) as desk:
        await plan(desk, Fault("delay", match="POST", seconds=0.1))
        with pytest.raises(OutcomeUnknown):
            await desk.client.create_order(ORDER)
        assert await desk.client.transactions_since(2) == ()
        while not await desk.client.transactions_since(2):
            await asyncio.sleep(0.01)
        assert (await desk.client.account()).units("GBP_JPY") == 1


@pytest.mark.parametrize(("status", "error"), [(401, Rejected), (429, Unavailable), (503, Unavailable)])
async def test_reads_fail_as_told_and_then_recover(open_desk: Any, status: int, error: Any) -> None:
    async with open_desk() as desk:
        await plan(desk, Fault("status", match="openPositions", status=status))
        with pytest.raises(error):
            await desk.client.open_positions()
        assert await desk.client.open_positions() == ()


async def test_an_oversize_fill_is_reported_as_it_is(open_desk: Any) -> None:
    async with open_desk() as desk:
        await plan(desk, Fault("oversize_fill", units=66))
        result = await desk.client.create_order(ORDER)
        assert (result.filled_units, result.fill.requested_units) == (66, 1)
        assert (await desk.client.account()).units("GBP_JPY") == 66


async def test_a_partial_fill_fills_less(open_desk: Any) -> None:
    async with open_desk() as desk:
        await plan(desk, Fault("partial_fill", units=3))
        assert (await desk.client.create_order(OrderRequest("GBP_JPY", -10, "x"))).filled_units == -3


async def test_rejections_and_cancellations_come_on_demand(open_desk: Any) -> None:
    async with open_desk() as desk:
        await plan(
            desk, Fault("reject", reason="INSUFFICIENT_MARGIN"), Fault("cancel", reason="MARKET_HALTED")
        )
        with pytest.raises(Rejected) as caught:
            await desk.client.create_order(ORDER)
        assert caught.value.code == "INSUFFICIENT_MARGIN"
        assert (await desk.client.create_order(ORDER)).cancel.reason == "MARKET_HALTED"
        assert (await desk.client.create_order(ORDER)).filled


async def test_a_truncated_page_is_completed_by_the_client(open_desk: Any) -> None:
    async with open_desk() as desk:
        await desk.client.create_order(ORDER)
        await plan(desk, Fault("truncated", units=1))
        log = await desk.client.transactions_since(1)
        assert [item.transaction_id for item in log] == [2, 3, 4]


async def test_an_order_may_be_hidden_just_after_its_201(open_desk: Any) -> None:
    async with open_desk() as desk:
        result = await desk.client.create_order(ORDER)
        await plan(desk, Fault("not_found", match="@intent-1"))
        assert (await desk.get("/orders/@intent-1")).json()["errorCode"] == "NO_SUCH_ORDER"
        order = (await desk.get("/orders/@intent-1")).json()["order"]
        assert order["id"] == str(result.create.transaction_id)


async def test_someone_elses_trade_has_no_client_id(open_desk: Any) -> None:
    async with open_desk() as desk:
        await desk.http.post("/control/trade", json={"units": -3})
        _, fill = await desk.client.transactions_since(2)
        assert fill.client_order_id is None
        assert (await desk.client.account()).units("GBP_JPY") == -3


async def test_streams_stall_gap_repeat_and_break(open_desk: Any, bars: Bars, open_row: int) -> None:
    start_s = float(bars.time_s[open_row])
    async with open_desk() as desk, desk.client.price_stream(["GBP_JPY"], snapshot=False) as stream:
        await plan(
            desk,
            Fault("stall", at_s=start_s + 60, seconds=60),
            Fault("price_gap", at_s=start_s + 120, seconds=60),
            Fault("duplicate", at_s=start_s + 180, seconds=60),
            Fault("stream_reset", at_s=start_s + 240),
        )
        seen: list[Price | Heartbeat] = []

        async def feed() -> None:
            async for event in stream:
                seen.append(event)  # noqa: PERF401 - read while it grows

        reader = asyncio.create_task(feed())
        counts = []
        for minute in range(1, 5):
            reply = await desk.advance(start_s + 60 * minute - 0.1)
            await stream.wait_consumed(reply["streams"][stream.stream_id])
            counts.append(
                (sum(isinstance(e, Price) for e in seen), sum(isinstance(e, Heartbeat) for e in seen))
            )
            seen.clear()
        whole, stalled, gap, repeated = counts
        assert whole[0] >= 2
        assert whole[1] == 11
        assert stalled == (0, 0)
        assert gap == (0, 12)
        assert repeated[1] == 24
        await desk.advance(start_s + 300)
        with pytest.raises(Unavailable):
            await reader
        assert stream.ended


async def test_a_broken_stream_is_not_waited_for(open_desk: Any, bars: Bars, open_row: int) -> None:
    start_s = float(bars.time_s[open_row])
    async with open_desk() as desk, desk.client.price_stream(["GBP_JPY"]) as stream:
        await plan(desk, Fault("stream_reset", match="pricing"))
        reply = await desk.advance(start_s + 60)
        assert reply["streams"] == {}
        assert isinstance(await anext(stream), Price)  # the snapshot
        with pytest.raises(Unavailable):
            await anext(stream)


def test_a_fault_strikes_as_often_as_planned_and_is_remembered() -> None:
    faults = FaultPlan()
    faults.add(Fault("status", match="GET", times=2, at_s=10.0))
    assert faults.take("request", 9.0, "GET /x") is None
    assert faults.take("request", 10.0, "POST /x") is None
    assert [faults.take("request", 10.0, "GET /x") is not None for _ in range(3)] == [True, True, False]
    assert faults.struck == [(10.0, "status", "GET /x")] * 2


@pytest.mark.parametrize("body", [{"kind": "gremlins"}, {"match": "GET"}, {"kind": "reset", "when": 3}])
async def test_an_unknown_fault_is_refused(open_desk: Any, body: dict[str, Any]) -> None:
    async with open_desk() as desk:
        assert (await desk.http.post("/control/faults", json={"faults": [body]})).status_code == 400


def test_a_seed_decides_the_schedule() -> None:
    one, same = (seeded_faults(np.random.default_rng(7), 0.0, 86_400.0, 4.0) for _ in range(2))
    assert one == same
    assert one != seeded_faults(np.random.default_rng(8), 0.0, 86_400.0, 4.0)
    assert 50 < len(one) < 150
    assert all(0.0 <= fault.at_s < 86_400.0 for fault in one)


async def test_a_skewed_clock_shows_in_prices(open_desk: Any) -> None:
    async with open_desk() as desk:
        (before,) = await desk.client.pricing(["GBP_JPY"])
        await desk.http.post("/control/skew", json={"seconds": -3})
        (after,) = await desk.client.pricing(["GBP_JPY"])
        assert after.time_s == before.time_s - 3


async def test_too_many_requests_are_refused_with_429(open_desk: Any) -> None:
    async with open_desk(mode="real_time", requests_per_second=5.0) as desk:
        statuses = [(await desk.get("/openPositions")).status_code for _ in range(12)]
    assert statuses[0] == 200
    assert 429 in statuses
