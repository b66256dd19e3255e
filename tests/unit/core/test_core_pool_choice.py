"""Which pool a configuration asks for."""

from __future__ import annotations

import sys

import pytest

from swt_core.config import PoolConfig
from swt_core.errors import ConfigError
from swt_core.local_pool import LocalPool
from swt_core.pool import open_pool


def test_the_local_pool_is_the_default_and_takes_its_figures_from_the_configuration() -> None:
    pool = open_pool(PoolConfig(silence_seconds=7.0), 3, at_once=False)
    assert isinstance(pool, LocalPool)
    assert pool.workers == 3
    assert pool._silence_s == 7.0
    pool.close()


def test_no_number_means_85_percent_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    pool = open_pool(PoolConfig(), at_once=False)
    assert pool.workers == 6
    pool.close()


def test_ray_that_is_not_installed_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install -c requirements.lock -e '\.\[ray\]'"):
        open_pool(PoolConfig(kind="ray"))
