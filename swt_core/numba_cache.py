"""Where numba keeps compiled kernels, and when they are stale.

numba stamps a cached kernel with its own file only: after an edit to a kernel in another file it would
silently reuse callers compiled with the old one. Here each kernel lies in a directory named after a
hash of everything it is made of: its file, all SWT modules that file imports (directly or not), and
the CPU. `swt_core.numba_locator` plugs this into numba.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

DIRECTORY_VARIABLE = "NUMBA_CACHE_DIR"
LOCATOR_VARIABLE = "NUMBA_CACHE_LOCATOR_CLASSES"
LOCATOR = "swt_core.numba_locator.SourcesCacheLocator"
_SOURCE_ROOT = Path(__file__).resolve().parents[1]
_KEPT_MODULES = 400
_IMPORT = re.compile(
    r"^\s*(?:from\s+(?P<source>swt_[\w.]+)\s+import\s+(?P<names>\([^)]*\)|[^\n]*)"
    r"|import\s+(?P<module>swt_[\w.]+))",
    re.MULTILINE,
)


def configure_numba_cache(directory: Path | None = None) -> Path:
    """Point numba at SWT's cache; call it before the first module with kernels is imported.

    Child processes inherit it through the environment. A cache that cannot be written (a read-only
    container) is copied to the temporary directory first, so that it stays warm.

    Args:
        directory: root of the cache; by default ``$NUMBA_CACHE_DIR``, else the user's cache directory.
    """
    root = directory or _default_directory()
    if not _is_writable(root):
        readonly, root = root, Path(tempfile.gettempdir()) / f"swt-numba-{os.getuid()}"
        if readonly.is_dir() and not root.is_dir():
            shutil.copytree(readonly, root)
        root.mkdir(parents=True, exist_ok=True)
    _forget_old_modules(root)
    os.environ[DIRECTORY_VARIABLE] = str(root)
    os.environ[LOCATOR_VARIABLE] = LOCATOR
    if "numba" in sys.modules:
        import numba

        numba.config.CACHE_DIR = str(root)
        numba.config.CACHE_LOCATOR_CLASSES = LOCATOR
    return root


def sources_hash(file: Path, source_root: Path = _SOURCE_ROOT) -> str:
    """Hash of the sources of a module with kernels (`kernel_sources`), and of the CPU."""
    digest = hashlib.sha256(_cpu().encode())
    for path in kernel_sources(file, source_root):
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kernel_sources(file: Path, source_root: Path = _SOURCE_ROOT) -> list[Path]:
    """``file`` and every SWT module that it imports, directly or not."""
    pending, found = [file], set()
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += _imports(path, path.stat().st_mtime_ns, source_root)
    return sorted(found)


@lru_cache(maxsize=4096)
def _imports(path: Path, _mtime_ns: int, source_root: Path) -> tuple[Path, ...]:
    candidates = _imported_names(path.read_text(encoding="utf-8"), source_root)
    return tuple(dict.fromkeys(candidate for candidate in candidates if candidate.is_file()))


def _imported_names(text: str, source_root: Path) -> Iterator[Path]:
    for match in _IMPORT.finditer(text):
        base = source_root / (match["source"] or match["module"]).replace(".", "/")
        yield base.with_suffix(".py")
        yield base / "__init__.py"
        for name in re.findall(r"\w+", match["names"] or ""):
            yield base / f"{name}.py"


@lru_cache(maxsize=1)
def _cpu() -> str:
    """The processor's model and features: compiled code is good for no other."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "CPU part", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _default_directory() -> Path:
    if configured := os.environ.get(DIRECTORY_VARIABLE):
        return Path(configured)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "swt" / "numba"
    return Path(os.path.expanduser("~")) / ".cache" / "swt" / "numba"


def _is_writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def _forget_old_modules(root: Path) -> None:
    """Keep the directories written last; each edit of a kernel's sources starts a new one."""
    modules = [path for path in root.iterdir() if path.is_dir()]
    if len(modules) > 2 * _KEPT_MODULES:
        modules.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in modules[_KEPT_MODULES:]:
            shutil.rmtree(path, ignore_errors=True)
