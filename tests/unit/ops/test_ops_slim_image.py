"""What the image leaves out of its packages is run by nothing in it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
# Everything the image's commands import, a step of the learner, and the charts' library.
PROGRAM = """
import importlib, json, pkgutil, sys
for name in PACKAGES:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
import torch
weights = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.AdamW([weights])
(weights * 2).sum().backward()
optimizer.step()
from torch.utils.tensorboard import SummaryWriter
import tensorboard.main, matplotlib.backends.backend_pdf
from swt_ops.dashboard.app import _plotly
_plotly()
print(json.dumps([m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)]))
"""
PACKAGES = (
    *("swt_core", "swt_broker", "swt_data", "swt_features", "swt_environments", "swt_models"),
    *("swt_inference", "swt_validation", "swt_live", "swt_ops"),
)


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slim_packages", ROOT / "docker" / "slim_packages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("12345")


def test_tests_headers_stubs_and_installers_go_and_the_rest_stays(tmp_path: Path) -> None:
    gone = (
        *("torch/include/a/b.h", "torch/test/x", "torch/bin/test_api", "torch/bin/HashStoreTest"),
        *("torch/bin/protoc-3", "pandas/tests/frame/test_x.py"),
        *("pip/__init__.py", "pip-1.dist-info/RECORD", "setuptools/x.py", "distutils-precedence.pth"),
        *("plotly/graph_objs/_bar.py", "torch/_C/__init__.pyi"),
    )
    kept = (
        *("torch/bin/torch_shm_manager", "torch/lib/libtorch_cpu.so", "torch/x/tests/needed.py"),
        *("torch/testing/__init__.py", "plotly/package_data/plotly.min.js", "pandas/testing.py"),
        *("pipeline/x.py", "numpy/testing/tests.py"),
    )
    write(tmp_path, *gone, *kept)
    assert load().slim(tmp_path) == 5 * len(gone)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
    assert load().slim(tmp_path) == 0


def test_nothing_that_the_commands_import_is_left_out() -> None:
    packages = Path(sysconfig.get_path("purelib"))
    gone = set(load().unneeded(packages))
    if packages / "plotly" / "graph_objs" not in gone:
        pytest.skip("the packages of this environment are slim already")
    program = f"PACKAGES = {PACKAGES!r}\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    used = [Path(file) for file in json.loads(done.stdout.splitlines()[-1])]
    assert any("torch" in file.parts for file in used)
    lost = {file for file in used if gone & {file, *file.parents}}
    # Python's own start-up file of setuptools runs in any environment that has one.
    assert {file.relative_to(packages).parts[0] for file in lost} <= {"_distutils_hack"}
