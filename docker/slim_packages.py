"""Remove from installed packages what nothing in the image runs: ``slim_packages.py SITE_PACKAGES``.

Tests of libraries, headers, type stubs, installers, and the parts of plotly beside its JavaScript file.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PATTERNS: Final = (
    *("torch/include", "torch/test", "torch/share"),
    # Programs that test torch, and protoc; torch_shm_manager stays.
    *("torch/bin/*test*", "torch/bin/*Test", "torch/bin/protoc*"),
    *("plotly/graph_objs", "plotly/validators", "plotly/labextension", "plotly/figure_factory"),
    *("plotly/express", "plotly/data", "plotly/package_data/datasets", "plotly/package_data/widgetbundle.js"),
    "matplotlib/mpl-data/sample_data",
    *("pip", "pip-*", "setuptools", "setuptools-*", "pkg_resources", "_distutils_hack"),
    "distutils-precedence.pth",
    "**/*.pyi",
)


def unneeded(packages: Path) -> Iterator[Path]:
    """Files and directories of ``packages`` that go."""
    for pattern in PATTERNS:
        yield from packages.glob(pattern)
    for directory in packages.glob("**/tests"):
        # torch has modules of that name which are no tests of its own.
        if directory.is_dir() and directory.relative_to(packages).parts[0] != "torch":
            yield directory


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(size_of(inner) for inner in path.iterdir())


def slim(packages: Path) -> int:
    """Remove it; returns how many bytes that was."""
    removed = 0
    for path in sorted(set(unneeded(packages))):
        if path.exists():  # it may have gone with its directory
            removed += size_of(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return removed


if __name__ == "__main__":
    print(f"{slim(Path(sys.argv[1])) / 1e6:,.0f} MB removed that nothing here runs")
