"""The bar store: appending touches one month, nothing half-written is ever seen, conflicts are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swt_core.clock import ManualClock
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data import store as store_module
from swt_data.bars import Bars
from swt_data.manifest import Provenance
from swt_data.store import BarStore
from swt_data.synthetic import synthetic_bars

GBP_JPY = instrument("GBP_JPY")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return synthetic_bars("realistic", 50, 1, GBP_JPY)


def provenance(bars: Bars) -> Provenance:
    return Provenance(
        source="test",
        format="synthetic",
        bars=len(bars),
        first_s=int(bars.time_s[0]),
        last_s=int(bars.time_s[-1]),
        added_s=ManualClock(5.0).time_s(),
    )


def test_pieces_in_any_order_make_the_same_series(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    edges = [0, 100, 30_000, 30_001, 50_000, len(bars)]
    for piece in (3, 0, 4, 2, 1):
        part = bars.rows(slice(edges[piece], edges[piece + 1]))
        store.add(part, provenance(part))
    assert store.read(4.0).sha256 == bars.sha256
    manifest = store.manifest()
    assert manifest is not None
    assert manifest.bars == len(bars)
    assert len(manifest.sources) == 5
    assert manifest.spread_recorded


def test_appending_a_day_writes_its_month_only(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars.rows(slice(0, 65_000)), provenance(bars))
    before = store.manifest()
    added = store.add(bars.rows(slice(64_000, len(bars))), provenance(bars))
    after = store.manifest()
    assert before is not None
    assert after is not None
    assert (added.new, added.unchanged) == (len(bars) - 65_000, 1000)
    assert added.months == ("2015-03",)
    assert after.parts[:2] == before.parts[:2]
    assert after.parts[2] != before.parts[2]


def test_adding_what_is_there_writes_no_part(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars, provenance(bars))
    added = store.add(bars, provenance(bars))
    assert (added.new, added.unchanged, added.months) == (0, len(bars), ())


def test_a_span_reads_what_lies_in_it(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars, provenance(bars))
    low, high = int(bars.time_s[20_000]), int(bars.time_s[50_000])
    assert store.read(4.0, low, high).sha256 == bars.rows(slice(20_000, 50_000)).sha256
    with pytest.raises(DataError, match="no bars of this span"):
        store.read(4.0, 0, 1000)


def conflicting(bars: Bars) -> Bars:
    some = bars.rows(slice(1000, 1100))
    close = some.close_hp.copy()
    close[7] = some.high_hp[7] + 2
    return replace(some, close_hp=close, high_hp=np.maximum(some.high_hp, close))


def test_a_different_bar_of_a_stored_minute_is_refused_and_nothing_stored(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars, provenance(bars))
    files = sorted(path.name for path in store.directory.iterdir())
    with pytest.raises(DataError, match=r"1 bars differ .* nothing was stored"):
        store.add(conflicting(bars), provenance(bars))
    assert sorted(path.name for path in store.directory.iterdir()) == files
    assert store.read(4.0).sha256 == bars.sha256


def test_a_conflict_can_be_kept_or_replaced(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars, provenance(bars))
    store.add(conflicting(bars), provenance(bars), "keep")
    assert store.read(4.0).sha256 == bars.sha256
    assert store.add(conflicting(bars), provenance(bars), "replace").replaced == 1
    assert store.read(4.0).close_hp[1007] == conflicting(bars).close_hp[7]


def test_a_crash_between_part_and_manifest_leaves_the_series_as_it_was(
    tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars.rows(slice(0, 65_000)), provenance(bars))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_module.state, "write_json", crash)
        with pytest.raises(KeyboardInterrupt):
            store.add(bars.rows(slice(65_000, len(bars))), provenance(bars))
    assert len(store.read(4.0)) == 65_000
    store.add(bars.rows(slice(65_000, len(bars))), provenance(bars))
    assert store.read(4.0).sha256 == bars.sha256


def test_a_reader_with_the_old_manifest_still_finds_its_parts(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars.rows(slice(0, 65_000)), provenance(bars))
    old = store.manifest()
    assert old is not None
    store.add(bars.rows(slice(65_000, 66_000)), provenance(bars))
    assert all((store.directory / part.file).is_file() for part in old.parts)
    store.add(bars.rows(slice(66_000, 67_000)), provenance(bars))
    assert not (store.directory / old.parts[-1].file).exists()


def test_a_changed_part_is_not_read(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    store.add(bars, provenance(bars))
    manifest = store.manifest()
    assert manifest is not None
    path = store.directory / manifest.parts[0].file
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"not what current\.json says"):
        store.read(4.0)
    path.unlink()
    with pytest.raises(DataError, match="absent"):
        store.read(4.0)


def test_foreign_unsorted_and_mixed_bars_are_refused(tmp_path: Path, bars: Bars) -> None:
    store = BarStore(tmp_path, GBP_JPY)
    with pytest.raises(DataError, match="no bars"):
        store.read(4.0)
    with pytest.raises(DataError, match="do not belong"):
        store.add(synthetic_bars("martingale", 1, 1, instrument("EUR_USD")), provenance(bars))
    with pytest.raises(DataError, match="sorted"):
        store.add(bars.rows(np.array([5, 4])), provenance(bars))
    store.add(bars, provenance(bars))
    with pytest.raises(DataError, match="recorded spreads"):
        store.add(synthetic_bars("martingale", 1, 1, GBP_JPY), provenance(bars))
