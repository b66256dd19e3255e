"""Every branch of the money-bearing kernels and of the checkpoint store, with numba's compiler off.

Coverage sees nothing inside compiled code, so their tests run a second time as plain Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
CASES = {
    "accounting": (
        ["position", "trading_rules"],
        ["swt_core/position.py", "swt_core/rewards.py", "swt_core/trading_rules.py"],
    ),
    "checkpoint store": (
        ["checkpoints", "state"],
        [
            "swt_core/checkpoints.py",
            "swt_core/checkpoint_files.py",
            "swt_core/retention.py",
            "swt_core/state.py",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_branch_is_tested(case: str, tmp_path: Path) -> None:
    tests, sources = CASES[case]
    data, config, report = tmp_path / "coverage", tmp_path / "coveragerc", tmp_path / "report.json"
    config.write_text("[run]\nbranch = true\n[report]\nexclude_also = \\.\\.\\.$\n")
    environ = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "COVERAGE_FILE": str(data),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis"),
    }
    coverage = [sys.executable, "-m", "coverage"]
    pytest_run = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--hypothesis-profile",
        "few",
    ]
    for command in (
        [
            *coverage,
            "run",
            f"--rcfile={config}",
            f"--include={','.join(sources)}",
            *pytest_run,
        ]
        + [str(HERE / f"test_core_{name}.py") for name in tests],
        [*coverage, "json", f"--rcfile={config}", "-q", "-o", str(report)],
    ):
        result = subprocess.run(
            command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=200, check=False
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    files = json.loads(report.read_text())["files"]
    assert set(files) == set(sources)
    gaps = {
        name: (entry["missing_lines"], entry["missing_branches"])
        for name, entry in files.items()
        if entry["missing_lines"] or entry["missing_branches"]
    }
    assert gaps == {}
