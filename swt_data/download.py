"""Bars from the broker: pages of candles, fetched side by side, stored in order of time.

A batch of pages goes into the store by one atomic write, which also notes the minutes it answers in full.
Whatever is killed, and when, the store therefore knows exactly what is still to be asked for: the next run
fetches that and nothing else. What is not final is never asked for: the series ends before the newest
candle as long as the broker calls it incomplete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from swt_broker.records import Candle
from swt_core.calendar import MINUTE_S
from swt_core.clock import Clock, iso_utc
from swt_core.errors import DataError, Unavailable
from swt_core.logs import get_logger
from swt_data.bars import Bars
from swt_data.candles import candle_bars
from swt_data.manifest import Provenance, Span, missing_spans
from swt_data.store import Added, BarStore, OnConflict

# One less than a request may span, so that it does not matter whether the last minute is counted in.
PAGE_MINUTES: Final = 4999
BATCH_PAGES: Final = 16
ATTEMPTS: Final = 8
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

_log = get_logger(__name__)


class CandleSource(Protocol):
    """What is needed of `swt_broker.client.OandaClient`."""

    async def candles(
        self,
        instrument: str,
        *,
        granularity: str = "M1",
        count: int | None = None,
        from_s: float | None = None,
        to_s: float | None = None,
        price: str = "BA",
        include_first: bool = True,
    ) -> tuple[Candle, ...]: ...


@dataclass(frozen=True)
class Downloaded:
    """What a download did.

    Attributes:
        end_s: the store is complete up to here; before what was asked for when the broker has no more yet.
    """

    new: int
    unchanged: int
    replaced: int
    pages: int
    end_s: int

    def and_also(self, added: Added) -> Downloaded:
        return replace(
            self,
            new=self.new + added.new,
            unchanged=self.unchanged + added.unchanged,
            replaced=self.replaced + added.replaced,
        )


@dataclass(frozen=True)
class Downloader:
    """Brings candles of ``store``'s pair into it.

    Attributes:
        source_name: named in the store's provenance.
        concurrency: requests on their way at once; the client's own rate limit holds besides.
        pause: waits between attempts, seconds.
    """

    client: CandleSource
    store: BarStore
    clock: Clock
    source_name: str
    concurrency: int = 8
    on_conflict: OnConflict = "refuse"
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def fetch(
        self,
        start_s: int,
        end_s: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Downloaded:
        """Store every complete candle of ``[start_s, end_s)`` that was not downloaded before.

        Args:
            end_s: None: up to the newest complete candle.
            progress: called with minutes done and minutes in all.

        Raises:
            Unavailable: the broker did not answer several times; what was stored stays, a new call goes on.
            Rejected: the broker refuses the request.
            DataError: a candle cannot be used, or contradicts a stored bar.
        """
        start_s -= start_s % MINUTE_S
        edge_s = await self._edge()
        end_s = edge_s if end_s is None else min(-(-end_s // MINUTE_S) * MINUTE_S, edge_s)
        manifest = self.store.manifest()
        wanted = Span(start_s=start_s, end_s=max(start_s, end_s))
        pages = [
            page
            for span in missing_spans(manifest.downloaded if manifest else (), wanted)
            for page in _pages(span)
        ]
        result = Downloaded(0, 0, 0, len(pages), wanted.end_s)
        total = sum(page.end_s - page.start_s for page in pages) // MINUTE_S
        done = 0
        batches = [pages[i : i + BATCH_PAGES] for i in range(0, len(pages), BATCH_PAGES)]
        limit = asyncio.Semaphore(self.concurrency)
        # While one batch is written, the next one is on its way.
        ahead = [asyncio.ensure_future(self._batch(batch, limit)) for batch in batches[:1]]
        try:
            for i, batch in enumerate(batches):
                replies = await ahead.pop()
                if i + 1 < len(batches):
                    ahead.append(asyncio.ensure_future(self._batch(batches[i + 1], limit)))
                for span, candles in _contiguous(batch, replies):
                    final, whole = _final(span, candles)
                    result = result.and_also(await asyncio.to_thread(self._store, final, candles))
                    if not whole:
                        _log.warning("candle not complete yet", time=iso_utc(final.end_s))
                        return replace(result, end_s=final.end_s)
                done += sum(page.end_s - page.start_s for page in batch) // MINUTE_S
                if progress is not None:
                    progress(done, total)
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)
        return result

    async def top_up(self, progress: Callable[[int, int], None] | None = None) -> Downloaded:
        """Store what the broker has and the store lacks, from the first download (or the last bar) on.

        Raises: as `fetch`; DataError: the store is empty, so there is no beginning.
        """
        manifest = self.store.manifest()
        if manifest is None or not (manifest.downloaded or manifest.parts):
            raise DataError(
                f"{self.store.directory} is empty: from when on should it be kept up to date?",
                remedy="run `swt data download --from …` once",
            )
        if manifest.downloaded:
            return await self.fetch(manifest.downloaded[0].start_s, progress=progress)
        return await self.fetch(manifest.parts[-1].last_s + MINUTE_S, progress=progress)

    async def _edge(self) -> int:
        """Up to where candles are final: before the newest one, or after it once it is complete."""
        newest = await self._ask(lambda: self._candles(count=1))
        if not newest:
            raise DataError(f"the broker has no candles of {self.store.instrument.name}")
        last = newest[-1]
        return last.time_s + MINUTE_S if last.complete else last.time_s

    async def _batch(self, pages: Sequence[Span], limit: asyncio.Semaphore) -> list[tuple[Candle, ...]]:
        async def page(span: Span) -> tuple[Candle, ...]:
            async with limit:
                return await self._ask(lambda: self._candles(from_s=span.start_s, to_s=span.end_s))

        tasks = [asyncio.ensure_future(page(span)) for span in pages]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _candles(
        self, count: int | None = None, from_s: float | None = None, to_s: float | None = None
    ) -> tuple[Candle, ...]:
        return await self.client.candles(
            self.store.instrument.name,
            granularity="M1",
            count=count,
            from_s=from_s,
            to_s=to_s,
            price="MBA",
        )

    async def _ask(self, request: Callable[[], Awaitable[tuple[Candle, ...]]]) -> tuple[Candle, ...]:
        """A read may be repeated; the pauses between attempts double."""
        for attempt in range(ATTEMPTS):
            try:
                return await request()
            except Unavailable as error:
                if attempt == ATTEMPTS - 1:
                    raise
                pause_s = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
                _log.warning("candles unavailable, asking again", error=str(error), pause_s=pause_s)
                await self.pause(pause_s)
        raise AssertionError("unreachable")

    def _store(self, span: Span, candles: Sequence[Candle]) -> Added:
        if span.start_s == span.end_s:
            return Added(0, 0, 0, ())
        bars = candle_bars(
            [c for c in candles if span.start_s <= c.time_s < span.end_s], self.store.instrument
        )
        return self.store.add(bars, self._provenance(bars, span), self.on_conflict, span)

    def _provenance(self, bars: Bars, span: Span) -> Provenance:
        first_s, last_s = (bars.time_s[0], bars.time_s[-1]) if len(bars) else (span.start_s, span.end_s)
        return Provenance(
            source=self.source_name,
            format="v20 candles M1 (mid, bid, ask)",
            timezone="UTC",
            timezone_evidence="the stamps say so",
            sha256="",
            bars=len(bars),
            first_s=int(first_s),
            last_s=int(last_s),
            added_s=self.clock.time_s(),
        )


def _pages(span: Span) -> list[Span]:
    step_s = PAGE_MINUTES * MINUTE_S
    return [
        Span(start_s=at_s, end_s=min(at_s + step_s, span.end_s))
        for at_s in range(span.start_s, span.end_s, step_s)
    ]


def _contiguous(
    pages: Sequence[Span], replies: Sequence[tuple[Candle, ...]]
) -> list[tuple[Span, list[Candle]]]:
    """Pages that follow on one another as one span with its candles: one write each."""
    runs: list[tuple[Span, list[Candle]]] = []
    for page, candles in zip(pages, replies, strict=True):
        own = [candle for candle in candles if page.start_s <= candle.time_s < page.end_s]
        if runs and runs[-1][0].end_s == page.start_s:
            span, before = runs.pop()
            runs.append((Span(start_s=span.start_s, end_s=page.end_s), before + own))
        else:
            runs.append((page, own))
    return runs


def _final(span: Span, candles: Sequence[Candle]) -> tuple[Span, bool]:
    """What of ``span`` can be stored: all of it, or what lies before the first incomplete candle."""
    first = next((candle for candle in candles if not candle.complete), None)
    if first is None:
        return span, True
    return Span(start_s=span.start_s, end_s=first.time_s), False
