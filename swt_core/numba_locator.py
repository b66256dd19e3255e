"""numba's hook for the place of its cache; numba imports it when `configure_numba_cache` named it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from numba.core import config
from numba.core.caching import UserProvidedCacheLocator

from swt_core.numba_cache import sources_hash


class SourcesCacheLocator(UserProvidedCacheLocator):  # type: ignore[misc]
    """Keeps the kernels of a module in a directory named after the hash of all their sources."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)
        file = Path(py_file).resolve()
        self._stamp = sources_hash(file)
        self._cache_path = os.path.join(
            config.CACHE_DIR, f"{file.parent.name}.{file.stem}-{self._stamp[:16]}"
        )

    def get_source_stamp(self) -> str:
        return self._stamp
