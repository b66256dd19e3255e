"""The lock-step clock: time waits for the streams, and for everybody who is still busy."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from swt_core.errors import Unavailable
from swt_live.replay_clock import ClockReply, HttpClockControl, ReplayClock


class Control:
    """A control port that moves to where it is asked to, or a little later."""

    def __init__(self) -> None:
        self.time_s = 100.0
        self.asked: list[float] = []
        self.streams: dict[str, int] = {}
        self.late_s = 0.0
        self.fails = False
        self.left = False

    def reply(self) -> ClockReply:
        return ClockReply(mode="lockstep", time_s=self.time_s, streams=self.streams)

    async def now(self) -> ClockReply:
        return self.reply()

    async def advance(self, until_s: float) -> ClockReply:
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable("gone")
        self.asked.append(until_s)
        self.time_s = max(self.time_s, until_s + self.late_s)
        return self.reply()

    async def leave(self) -> None:
        self.left = True


class Lines:
    """A stream that has consumed some lines."""

    def __init__(self, stream_id: str | None) -> None:
        self.stream_id = stream_id
        self.wanted: list[int] = []
        self.gate = asyncio.Event()

    async def wait_consumed(self, lines: int) -> None:
        self.wanted.append(lines)
        await self.gate.wait()


async def test_sleepers_wake_in_the_order_of_their_times_and_one_advance_serves_one_time() -> None:
    control, woken = Control(), []
    async with ReplayClock(control) as clock:

        async def sleep(until_s: float) -> None:
            await clock.sleep_until(until_s)
            woken.append((until_s, clock.time_s()))

        await asyncio.gather(sleep(130.0), sleep(110.0), sleep(110.0), sleep(90.0))
    assert woken == [(90.0, 100.0), (110.0, 110.0), (110.0, 110.0), (130.0, 130.0)]
    assert control.asked == [110.0, 130.0]
    assert control.left


async def test_time_stands_still_until_the_streams_lines_are_consumed() -> None:
    control, lines = Control(), Lines("s1")
    async with ReplayClock(control) as clock:
        clock.watch(lines)
        control.streams = {"s1": 7, "somebody else's": 99}
        sleeper = asyncio.ensure_future(clock.sleep_until(160.0))
        for _ in range(40):
            await asyncio.sleep(0)
        assert (clock.time_s(), lines.wanted, sleeper.done()) == (100.0, [7], False)
        lines.gate.set()
        await sleeper
        assert clock.time_s() == clock.monotonic_s() == 160.0
        clock.unwatch(lines)
        await clock.sleep_until(170.0)
        assert lines.wanted == [7]
        clock.watch(Lines(None))
        clock.unwatch(Lines(None))


async def test_an_answer_may_come_from_later_than_was_asked_for() -> None:
    control = Control()
    control.late_s = 25.0
    async with ReplayClock(control) as clock:
        await asyncio.gather(clock.sleep_until(110.0), clock.sleep_until(130.0))
        assert clock.time_s() == 135.0
    assert control.asked == [110.0]


async def test_time_waits_for_requests_in_flight() -> None:
    control, idle = Control(), asyncio.Event()

    async def wait_idle() -> None:
        await idle.wait()

    async with ReplayClock(control, wait_idle=wait_idle) as clock:
        sleeper = asyncio.ensure_future(clock.sleep_until(110.0))
        for _ in range(40):
            await asyncio.sleep(0)
        assert control.asked == []
        idle.set()
        await sleeper
    assert control.asked == [110.0]


async def test_a_cancelled_sleeper_moves_no_time() -> None:
    control = Control()
    async with ReplayClock(control) as clock:
        sleeper = asyncio.ensure_future(clock.sleep_until(500.0))
        await asyncio.sleep(0)
        sleeper.cancel()
        for _ in range(40):
            await asyncio.sleep(0)
        assert control.asked == []
        await clock.sleep_until(120.0)
    assert control.asked == [120.0]


async def test_a_lost_practice_server_wakes_everybody_with_the_error() -> None:
    control = Control()
    async with ReplayClock(control) as clock:
        control.fails = True
        results = await asyncio.gather(
            clock.sleep_until(110.0), clock.sleep_until(120.0), return_exceptions=True
        )
        assert all(isinstance(result, Unavailable) for result in results)


async def test_the_control_port_speaks_json_over_http() -> None:
    seen: list[tuple[str, str, bytes, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.path, request.content, request.headers["authorization"]))
        return httpx.Response(200, json={"mode": "lockstep", "time_s": 5.0, "new_field": 1})

    control = HttpClockControl("http://practice", "secret", httpx.MockTransport(answer))
    assert (await control.now()).time_s == 5.0
    await control.advance(7.5)
    await control.leave()
    await control.close()
    assert [item[:2] for item in seen] == [
        ("GET", "/control/clock"),
        ("POST", "/control/clock/advance"),
        ("POST", "/control/clock/leave"),
    ]
    assert b'"until_s":7.5' in seen[1][2].replace(b" ", b"")
    assert seen[0][3] == "Bearer secret"


@pytest.mark.parametrize("reply", [httpx.Response(502, text="<html>"), httpx.Response(200, json={"mode": 1})])
async def test_a_control_port_that_answers_nonsense_is_unavailable(reply: httpx.Response) -> None:
    control = HttpClockControl("http://practice", "t", httpx.MockTransport(lambda _: reply))
    with pytest.raises(Unavailable):
        await control.now()
