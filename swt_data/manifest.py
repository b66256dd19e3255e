"""What a bar store says of itself: its parts, where they came from, and what the broker was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Record):
    """One month of bars in one file that never changes."""

    file: str = Field(description="file name in the store")
    month: str = Field(description="UTC month, YYYY-MM")
    sha256: str = Field(description="hash of the file")
    bars: int = Field(ge=1, description="bars in it")
    first_s: int = Field(description="open of its first bar, UTC epoch seconds")
    last_s: int = Field(description="open of its last bar, UTC epoch seconds")


class Provenance(_Record):
    """Where bars came from."""

    source: str = Field(description="publisher, broker or file name")
    format: str = Field(description="layout that was read")
    timezone: str = Field("UTC", description="time zone of the source's stamps")
    timezone_evidence: str = Field("", description="what the time zone was settled by")
    sha256: str = Field("", description="hash of the source file; empty for a download")
    bars: int = Field(ge=0, description="bars it gave")
    first_s: int = Field(description="open of the first, UTC epoch seconds")
    last_s: int = Field(description="open of the last, UTC epoch seconds")
    added_s: float = Field(description="when it was added, UTC epoch seconds")


class Span(_Record):
    """Minutes ``[start_s, end_s)`` that a broker was asked for and answered in full."""

    start_s: int = Field(description="UTC epoch seconds")
    end_s: int = Field(description="UTC epoch seconds")


class Manifest(_Record):
    """What the store holds."""

    schema_version: int = Field(1, ge=1, description="version of this layout")
    instrument: str = Field(description="pair, as OANDA names it")
    spread_recorded: bool = Field(description="whether bid and ask were recorded")
    parts: tuple[Part, ...] = Field(description="the series, in order of time")
    previous_files: tuple[str, ...] = Field((), description="parts of the manifest before, kept for readers")
    sources: tuple[Provenance, ...] = Field(description="everything that was ever added")
    downloaded: tuple[Span, ...] = Field((), description="what was downloaded, disjoint and in order")

    @property
    def bars(self) -> int:
        return sum(part.bars for part in self.parts)


def with_span(spans: Iterable[Span], added: Span) -> tuple[Span, ...]:
    """``spans`` and one more, joined where they touch or overlap, in order."""
    joined: list[Span] = []
    for span in sorted((*spans, added), key=lambda item: item.start_s):
        if joined and span.start_s <= joined[-1].end_s:
            last = joined.pop()
            span = Span(start_s=last.start_s, end_s=max(last.end_s, span.end_s))
        joined.append(span)
    return tuple(joined)


def missing_spans(spans: Sequence[Span], wanted: Span) -> list[Span]:
    """The parts of ``wanted`` that none of ``spans`` (disjoint, in order) covers."""
    missing = []
    at_s = wanted.start_s
    for span in spans:
        if at_s < min(span.start_s, wanted.end_s):
            missing.append(Span(start_s=at_s, end_s=min(span.start_s, wanted.end_s)))
        at_s = max(at_s, span.end_s)
    if at_s < wanted.end_s:
        missing.append(Span(start_s=at_s, end_s=wanted.end_s))
    return missing


def continued(known: Sequence[Provenance], added: Sequence[Provenance]) -> tuple[Provenance, ...]:
    """``known`` and then downloads; one that goes on where the last one was is the same entry."""
    sources = list(known)
    for entry in added:
        if sources and (sources[-1].source, sources[-1].format) == (entry.source, entry.format):
            last = sources.pop()
            entry = entry.model_copy(
                update={
                    "bars": last.bars + entry.bars,
                    "first_s": min(last.first_s, entry.first_s),
                    "last_s": max(last.last_s, entry.last_s),
                }
            )
        sources.append(entry)
    return tuple(sources)
