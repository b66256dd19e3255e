"""How many cores this process may use: the machine's, or its container's share of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Cores this process may keep busy; at least one.

    A container with a CPU limit sees all of its machine's cores: as many workers as those would only wait
    for each other.

    Args:
        cgroup: where control groups (version 1 or 2) are mounted.
    """
    cores = float(os.cpu_count() or 1)
    limit = _limit(cgroup)
    return max(1, int(cores if limit is None else min(cores, limit)))


def _limit(cgroup: Path) -> float | None:
    """The control group's CPU limit in cores; None: no limit, or none that can be read."""
    try:
        if (found := cgroup / "cpu.max").is_file():
            quota, period = found.read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return None if quota == "max" or int(quota) <= 0 else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
