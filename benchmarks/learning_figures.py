"""The figures of the learning benchmark, from what each agent earned in each session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.heldout import HeldOut, ci95
from benchmarks.registry import Scalar

Float64 = NDArray[np.float64]

GOAL_SHARE: Final = 0.9
TIMED: Final = ("search", "ppo", "dqn", "plain")


@dataclass(frozen=True)
class Curve:
    """Mean pips per session of an agent's weights along its training, both ``[k]``."""

    seconds: Float64
    pips: Float64

    def first_s(self, goal_pips: float) -> float:
        """When the curve first reached the goal, seconds; infinite if never."""
        reached = np.flatnonzero(self.pips >= goal_pips)
        return float(self.seconds[reached[0]]) if len(reached) else float("inf")

    def lowest_late(self) -> float:
        """The lowest of its second half in time, pips: what it earns at least once it has learned."""
        return float(self.pips[self.seconds >= self.seconds[-1] / 2.0].min())


@dataclass(frozen=True)
class SeedFigures:
    """One seed: every agent's sessions and curve, and the reference on the same sessions.

    Attributes:
        reference: None where no rule is known.
        disjoint: whether no two held-out sessions share a bar.
        curve_sessions: how many of the sessions, the first ones, the curves are measured on.
        results, curves: by agent: search, ppo, dqn, plain; results also prior and the best checkpoint.
        episodes, learner_sessions: sessions that were searched, and that the learner saw.
        training_s: how long our run and each peer's took.
    """

    seed: int
    reference: HeldOut | None
    reference_name: str
    disjoint: bool
    curve_sessions: int
    results: Mapping[str, HeldOut]
    curves: Mapping[str, Curve]
    episodes: int
    learner_sessions: int
    training_s: float

    def time_to_goal_s(self, agent: str) -> float | None:
        """Seconds to 90 % of the reference; infinite if never, None without such an agent or goal."""
        goal = self.goal_pips()
        return None if goal is None or agent not in self.curves else self.curves[agent].first_s(goal)

    def steady_share(self, agent: str) -> float | None:
        """The lowest share of the reference in the second half of the time; None without either."""
        goal = self.goal_pips()
        if goal is None or agent not in self.curves:
            return None
        return self.curves[agent].lowest_late() / (goal / GOAL_SHARE)

    def goal_pips(self) -> float | None:
        """90 % of what the reference earns on the curve's sessions; None where that is nothing."""
        return None if self.reference is None else goal_pips(self.reference, self.curve_sessions)


def goal_pips(reference: HeldOut, sessions: int) -> float | None:
    """90 % of what the reference earns on the first sessions; None where that is nothing."""
    pips = float(reference.pips[:sessions].mean())
    return GOAL_SHARE * pips if pips > 0 else None


def seed_figures(found: SeedFigures, limit_s: float) -> dict[str, Scalar]:
    """The keys of one seed."""
    return {
        "seed": found.seed,
        **_figures([found], limit_s),
        "reference": found.reference_name,
        "episodes": found.episodes,
        "learner_sessions": found.learner_sessions,
        "training_s": found.training_s,
    }


def pooled_figures(found: Sequence[SeedFigures], limit_s: float) -> dict[str, Scalar]:
    """The same keys over all seeds: sessions pooled, times as medians."""
    return _figures(found, limit_s)


def _figures(found: Sequence[SeedFigures], limit_s: float) -> dict[str, Scalar]:
    pips = _sessions(found, "search")
    assert pips is not None
    trades = np.concatenate([f.results["search"].trades for f in found])
    known = [f.reference.pips for f in found if f.reference is not None]
    reference = float(np.concatenate(known).mean()) if known else None
    times = {agent: _median_s([f.time_to_goal_s(agent) for f in found]) for agent in TIMED}
    prior = _sessions(found, "prior")
    assert prior is not None
    gain = pips - prior
    half = ci95(pips)
    return {
        "pips_per_episode": float(pips.mean()),
        "ci95": half,
        "trades_per_episode": float(trades.mean()),
        "reference_pips": reference,
        "share_of_reference": float(pips.mean()) / reference if reference else None,
        "ppo_pips": _mean(_sessions(found, "ppo")),
        "dqn_pips": _mean(_sessions(found, "dqn")),
        "time_to_90_s": _finite(times["search"]),
        "time_ratio_ppo": _time_ratio(times["search"], times["ppo"], limit_s),
        "plain_pips": _mean(_sessions(found, "plain")),
        "prior_pips": float(prior.mean()),
        "search_pips": float(pips.mean()),
        "search_gain_pips": float(gain.mean()),
        "search_gain_ci95": ci95(gain),
        "best_checkpoint_pips": _mean(_sessions(found, "best")),
        "ppo_time_to_90_s": _finite(times["ppo"]),
        "dqn_time_to_90_s": _finite(times["dqn"]),
        "steady_share": _lowest(f.steady_share("search") for f in found),
        "ppo_steady_share": _lowest(f.steady_share("ppo") for f in found),
        "dqn_steady_share": _lowest(f.steady_share("dqn") for f in found),
        "profit_beyond_chance": bool(pips.mean() > half),
        "test_sessions": len(pips),
        "test_sessions_disjoint": all(f.disjoint for f in found),
    }


def _sessions(found: Sequence[SeedFigures], agent: str) -> Float64 | None:
    if any(agent not in f.results for f in found):
        return None
    return np.concatenate([f.results[agent].pips for f in found])


def _mean(values: Float64 | None) -> float | None:
    return None if values is None else float(values.mean())


def _median_s(times: Sequence[float | None]) -> float | None:
    known = [t for t in times if t is not None]
    # Never reaching the goal is infinitely late, so the middle one has to have reached it.
    return float(np.sort(known)[len(known) // 2]) if known else None


def _lowest(shares: Iterable[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return min(known) if known else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _time_ratio(ours_s: float | None, ppo_s: float | None, limit_s: float) -> float | None:
    """Our time over the smaller of PPO's and the limit; None if we never got there, or there is no PPO."""
    if ours_s is None or ppo_s is None or not np.isfinite(ours_s):
        return None
    return ours_s / min(ppo_s, limit_s)
