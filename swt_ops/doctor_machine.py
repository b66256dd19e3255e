"""The machine under the installation: versions, cores, memory, disk, GPU, compiled kernels."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Final

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from swt_ops.findings import Finding, fail, ok, warn
from swt_ops.kernel_cache import KernelCache

_GB: Final = 1e9
_LEAST_MEMORY_GB: Final = 2.0
_LOW_DISK_GB, _LEAST_DISK_GB = 5.0, 1.0
# Shown by name: those whose version changes numbers or speed.
_NAMED: Final = ("numpy", "numba", "torch", "pandas", "scipy", "duckdb")


def check_python(found: str | None = None) -> Finding:
    """The interpreter against what the distribution requires."""
    found = found or platform.python_version()
    try:
        wanted = distribution("swt").metadata["Requires-Python"] or ""
    except PackageNotFoundError:
        return warn("python", f"{found}; SWT is not installed as a distribution", "run `make install`")
    if not SpecifierSet(wanted).contains(found, prereleases=True):
        return fail("python", f"{found}, needed is {wanted}", f"install Python {wanted}, then `make install`")
    return ok("python", found)


def check_libraries(requirements: list[str] | None = None) -> Finding:
    """Every required library, at a version the distribution allows.

    Args:
        requirements: as in a distribution's metadata; by default those of SWT.
    """
    if requirements is None:
        try:
            requirements = distribution("swt").requires or []
        except PackageNotFoundError:
            return warn("libraries", "SWT is not installed as a distribution", "run `make install`")
    needed = [Requirement(text) for text in requirements]
    needed = [item for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]
    wrong = []
    for item in needed:
        try:
            found = version(item.name)
        except PackageNotFoundError:
            wrong.append(f"{item.name} is missing")
            continue
        if not item.specifier.contains(found, prereleases=True):
            wrong.append(f"{item.name} {found}, needed is {item.specifier}")
    if wrong:
        return fail("libraries", "; ".join(wrong), "run `make install` (or `pip install -e .`)")
    named = ", ".join(f"{item.name} {version(item.name)}" for item in needed if item.name in _NAMED)
    return ok("libraries", f"{len(needed)} as required: {named}")


def check_cores(cores: int | None = None) -> Finding:
    """Cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    if cores < 2:
        return warn("cores", "1", "give it two: the trader shares its core with training")
    return ok("cores", f"{cores}")


def check_memory(limit_gb: float, total_gb: float | None = None, free_gb: float | None = None) -> Finding:
    """Memory against the trainer's own limit."""
    if total_gb is None or free_gb is None:
        memory = psutil.virtual_memory()
        total_gb, free_gb = memory.total / _GB, memory.available / _GB
    text = f"{free_gb:.1f} of {total_gb:.1f} GB available"
    if free_gb < _LEAST_MEMORY_GB:
        return warn("memory", text, f"free some: a trainer starts with about {_LEAST_MEMORY_GB:g} GB")
    if limit_gb > total_gb:
        return warn(
            "memory",
            f"{text}; the trainer may take {limit_gb:g} GB",
            f"--set process_limits.maximum_memory_gb={max(1, int(total_gb * 0.6))}",
        )
    return ok("memory", text)


def check_disk(root: Path, free_gb: float | None = None) -> Finding:
    """Room below ``root``, or below its nearest directory that exists."""
    place = next(path for path in (root.absolute(), *root.absolute().parents) if path.is_dir())
    if free_gb is None:
        free_gb = shutil.disk_usage(place).free / _GB
    text = f"{free_gb:.1f} GB free in {place}"
    if free_gb < _LEAST_DISK_GB:
        return fail("disk", text, "free some: journal and checkpoints stop where the disk is full")
    if free_gb < _LOW_DISK_GB:
        return warn("disk", text, f"free some: below {_LEAST_DISK_GB:g} GB this is a failure")
    return ok("disk", text)


def check_gpu() -> Finding:
    """What torch can train on."""
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        return ok("gpu", f"{name}, {torch.cuda.get_device_properties(0).total_memory / _GB:.0f} GB")
    if torch.backends.mps.is_available():
        return ok("gpu", "Apple MPS")
    if Path("/dev/nvidia0").exists():
        return warn(
            "gpu",
            f"there is one, but torch {torch.__version__} cannot use it",
            "install torch's CUDA build, or the GPU image",
        )
    return ok("gpu", "none: training and search run on the CPU")


def check_kernels(cache: KernelCache) -> Finding:
    """Whether a first decision would wait for the compiler."""
    total = len(cache.warm) + len(cache.cold)
    if cache.cold:
        return warn(
            "kernels",
            f"cold: {len(cache.cold)} of {total} are not compiled in {cache.directory}",
            "run `swt doctor --warm`",
        )
    return ok("kernels", f"warm: all {total} are compiled in {cache.directory}")
