"""Compile every kernel, then copy what today's sources need: ``warm_kernels.py CACHE TARGET``.

CACHE outlives builds, so that a change of one file compiles only what depends on it.
"""

import shutil
import sys
from pathlib import Path

from swt_core.numba_cache import configure_numba_cache

cache, target = Path(sys.argv[1]), Path(sys.argv[2])
configure_numba_cache(cache)

from swt_ops.kernel_cache import cache_directories, read_kernel_cache  # noqa: E402
from swt_ops.warm import warm_kernels  # noqa: E402

warm_kernels(lambda what: print(f"compiling: {what}", flush=True))
target.mkdir(parents=True, exist_ok=True)
for directory in cache_directories(cache):
    shutil.copytree(directory, target / directory.name)
found = read_kernel_cache(target)
print(f"{len(found.warm)} kernels compiled, {len(found.cold)} not")
