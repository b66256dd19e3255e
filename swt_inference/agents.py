"""The agent factory: a search algorithm by its configured name."""

from __future__ import annotations

from swt_core.config.models import SearchConfig
from swt_core.errors import ConfigError
from swt_inference.search.base import LegalRule, RootNoise, Search, position_rule
from swt_inference.search.gumbel import GumbelSearch
from swt_inference.search.standard import StandardSearch


def create_search(
    config: SearchConfig, noise: RootNoise | None = None, rule: LegalRule | None = None
) -> Search:
    """The search that ``config.algorithm`` names.

    ``rezero`` decides like ``standard``; it differs in how trajectories are reanalysed
    (`swt_inference.search.rezero`).

    Raises:
        ConfigError: there is no such algorithm.
    """
    rule = rule or position_rule()
    if config.algorithm in ("standard", "rezero"):
        return StandardSearch(config, noise or RootNoise(), rule)
    if config.algorithm == "gumbel":
        return GumbelSearch(config, rule)
    raise ConfigError(
        f"unknown search algorithm {config.algorithm!r}", remedy="use standard, gumbel or rezero"
    )
