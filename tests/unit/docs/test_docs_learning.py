"""The README's table of learning is what was measured and recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
RECORD = json.loads((ROOT / "docs" / "benchmark_results.json").read_text())["benchmarks"]
ROWS = re.findall(
    r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\w. ]+) \| ([\w. ]+) \|$",
    (ROOT / "README.md").read_text(),
    re.MULTILINE,
)


def recorded(market: str) -> dict[str, Any]:
    (found,) = (
        entry["result"]
        for name, entry in RECORD.items()
        if name.split("@")[0] == "learning"
        and entry["result"]["market"] == market
        and entry["result"]["ppo_pips"] is not None
    )
    figures: dict[str, Any] = found
    return figures


def test_the_markets_with_a_known_edge_are_shown() -> None:
    assert [row[0] for row in ROWS] == ["regimes", "faint", "reversion"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_readme_shows_what_was_recorded(row: tuple[str, ...]) -> None:
    market, *pips, ours, theirs = row
    figures = recorded(market)
    assert (figures["minutes"], len(figures["seeds"]), figures["cores"]) == (5.0, 3, 2)
    for shown, key in zip(pips, ("reference_pips", "pips_per_episode", "ppo_pips"), strict=True):
        assert shown == f"{figures[key]:.1f}", key
    for shown, key in ((ours, "time_to_90_s"), (theirs, "ppo_time_to_90_s")):
        seconds = figures[key]
        if seconds is None:
            assert shown == "never"
        else:
            assert shown in (f"{seconds:.1f} s", f"{seconds:.0f} s"), key


def test_the_readme_says_what_was_recorded_without_peers() -> None:
    text = (ROOT / "README.md").read_text()
    by_label = {name.partition("@")[2]: entry["result"] for name, entry in RECORD.items() if "@" in name}
    for market in ("martingale", "shuffled-future"):
        figures = by_label[market]
        assert (figures["minutes"], len(figures["seeds"]), figures["market"]) == (5.0, 3, market)
        assert re.search(rf"{figures['pips_per_episode']:.2f}(?: pips a session)? on `{market}`", text)
    for profile in ("micro", "full", "episode_13475"):
        assert RECORD[f"learning@{profile}"]["settings"]["profile"] == profile
        assert f"{by_label[profile]['pips_per_episode']:.1f} (`{profile}`)" in text
        assert f"of {by_label[profile]['reference_pips']:.1f}" in text
    assert f"the plain algorithm in the same time {by_label['plain']['plain_pips']:.1f}" in text
