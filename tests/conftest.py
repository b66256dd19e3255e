"""Shared fixtures: where the real data lies, when it lies anywhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from swt_core.numba_cache import configure_numba_cache

configure_numba_cache()
# For runs that only ask which branches are reached: `pytest --hypothesis-profile few`.
settings.register_profile("few", max_examples=5)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command run in this process sends all logs to its own standard error, which is gone afterwards."""
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**configuration)


_SHARED = Path(__file__).resolve().parents[2] / "shared"


def _directory(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable, default))
    if not path.is_dir():
        pytest.skip(f"{variable} is not set and {default.name}/ is absent: real data needed")
    return path


@pytest.fixture(scope="session")
def fx_dir() -> Path:
    """Real market data; the test is skipped where there is none."""
    return _directory("SWT_DATA_DIR", _SHARED / "data" / "fx")


@pytest.fixture(scope="session")
def oanda_dir() -> Path:
    """OANDA's specification and recorded responses; the test is skipped where there are none."""
    return _directory("SWT_OANDA_DIR", _SHARED / "oanda")
