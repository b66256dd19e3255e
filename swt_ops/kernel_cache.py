"""Which kernels are compiled: numba's cache compared with the kernels in the sources."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swt_core.numba_cache import DIRECTORY_VARIABLE, sources_hash

_SOURCES = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class KernelCache:
    """Kernels as ``module.name``, those with compiled code of today's sources and those without."""

    directory: Path
    warm: tuple[str, ...]
    cold: tuple[str, ...]


def read_kernel_cache(directory: Path | None = None, sources: Path = _SOURCES) -> KernelCache:
    """Look, without importing or compiling anything.

    Args:
        directory: the cache; by default the one this process was told to use (`configure_numba_cache`).
        sources: where the packages ``swt_*`` lie.
    """
    root = directory or Path(os.environ.get(DIRECTORY_VARIABLE, ""))
    warm: list[str] = []
    cold: list[str] = []
    for file in sorted(path for package in sources.glob("swt_*") for path in package.rglob("*.py")):
        names = list(cached_kernels(file.read_text(encoding="utf-8")))
        if not names:
            continue
        place = _place(root, file, sources)
        stored = [path.name for path in place.glob("*.nbi")] if place.is_dir() else []
        module = ".".join(file.relative_to(sources).with_suffix("").parts)
        for name in names:
            found = any(entry.startswith(f"{file.stem}.{name}-") for entry in stored)
            (warm if found else cold).append(f"{module}.{name}")
    return KernelCache(root, tuple(warm), tuple(cold))


def cache_directories(directory: Path, sources: Path = _SOURCES) -> list[Path]:
    """The cache's directories that belong to today's sources, for a copy without the others."""
    files = sorted(path for package in sources.glob("swt_*") for path in package.rglob("*.py"))
    with_kernels = (file for file in files if any(cached_kernels(file.read_text(encoding="utf-8"))))
    return [place for file in with_kernels if (place := _place(directory, file, sources)).is_dir()]


def _place(root: Path, file: Path, sources: Path) -> Path:
    """As `swt_core.numba_locator` names it."""
    return root / f"{file.parent.name}.{file.stem}-{sources_hash(file, sources)[:16]}"


def cached_kernels(source: str) -> Iterator[str]:
    """Names of the functions that numba compiles into its cache, in the order of the source.

    One that is always inlined has no code of its own.
    """
    if "njit" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("njit"):
                options = {word.arg: ast.unparse(word.value) for word in decorator.keywords}
                if options.get("cache") == "True" and options.get("inline") != "'always'":
                    yield node.name
