"""The cache of compiled kernels: stale after an edit anywhere below, warm otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from swt_core import numba_cache
from swt_core.numba_cache import configure_numba_cache, kernel_sources, sources_hash


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three modules: a kernel, its callee in another file, and a constant below that."""
    package = tmp_path / "swt_toy"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "constants.py").write_text("STEP = 1\n")
    (package / "callee.py").write_text(
        "import numba as nb\nfrom swt_toy.constants import (\n    STEP,\n)\n\n"
        "@nb.njit(cache=True)\ndef add_nb(x):\n    return x + STEP\n"
    )
    (package / "caller.py").write_text(
        "import numba as nb\nfrom swt_toy import callee\n\nadd_nb = callee.add_nb\n\n"
        "@nb.njit(cache=True)\ndef twice_nb(x):\n    return add_nb(add_nb(x))\n"
    )
    (package / "other.py").write_text("import swt_toy.constants\nUNRELATED = 1\n")
    return tmp_path


def run_kernel(tree: Path, cache: Path) -> str:
    """The kernel's result in a fresh process, and how many signatures came from the cache."""
    script = (
        "from pathlib import Path\n"
        "import sys\n"
        "from swt_core import numba_cache\n"
        f"numba_cache.configure_numba_cache(Path({str(cache)!r}))\n"
        "original = numba_cache.sources_hash\n"
        "from swt_core import numba_locator\n"
        f"numba_locator.sources_hash = lambda file: original(file, Path({str(tree)!r}))\n"
        "from swt_toy.caller import twice_nb\n"
        "print(twice_nb(1), sum(twice_nb.stats.cache_hits.values()))\n"
    )
    path = os.pathsep.join([str(tree), str(Path(numba_cache.__file__).parents[1])])
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    return result.stdout.strip()


def test_a_kernel_is_recompiled_after_an_edit_below_it_and_only_then(tree: Path) -> None:
    cache = tree / "cache"
    assert run_kernel(tree, cache) == "3 0"
    assert run_kernel(tree, cache) == "3 1"
    (tree / "swt_toy" / "constants.py").write_text("STEP = 10\n")
    assert run_kernel(tree, cache) == "21 0"
    (tree / "swt_toy" / "constants.py").write_text("STEP = 1\n")
    assert run_kernel(tree, cache) == "3 1"  # the old one is still there


def test_a_module_depends_on_what_it_imports_directly_or_not(tree: Path) -> None:
    def names(module: str) -> set[str]:
        return {path.name for path in kernel_sources(tree / "swt_toy" / f"{module}.py", tree)}

    assert names("caller") == {"caller.py", "__init__.py", "callee.py", "constants.py"}
    assert names("other") == {"other.py", "constants.py"}
    assert names("constants") == {"constants.py"}


def test_the_hash_changes_with_any_source_below_and_with_no_other(tree: Path) -> None:
    caller = tree / "swt_toy" / "caller.py"
    before = sources_hash(caller, tree)
    (tree / "swt_toy" / "other.py").write_text("UNRELATED = 2\n")
    assert sources_hash(caller, tree) == before
    for name in ("caller", "callee", "constants", "__init__"):
        path = tree / "swt_toy" / f"{name}.py"
        text = path.read_text()
        path.write_text(text + "# edited\n")
        assert sources_hash(caller, tree) != before
        path.write_text(text)
    assert sources_hash(caller, tree) == before


def test_the_hash_changes_with_the_cpu(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = tree / "swt_toy" / "caller.py"
    before = sources_hash(caller, tree)
    monkeypatch.setattr(numba_cache, "_cpu", lambda: "another")
    assert sources_hash(caller, tree) != before


def test_a_machine_without_cpuinfo_has_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert numba_cache._cpu.__wrapped__().strip()


@pytest.fixture
def restore_numba() -> Iterator[None]:
    import numba

    saved = (numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES)
    variables = {name: os.environ.get(name) for name in ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES")}
    yield
    numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES = saved
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.mark.usefixtures("restore_numba")
class TestTheDirectory:
    def test_is_told_to_numba_and_to_child_processes(self, tmp_path: Path) -> None:
        import numba

        root = configure_numba_cache(tmp_path / "cache")
        assert root == tmp_path / "cache"
        assert root.is_dir()
        assert numba.config.CACHE_DIR == os.environ["NUMBA_CACHE_DIR"] == str(root)
        assert os.environ["NUMBA_CACHE_LOCATOR_CLASSES"] == "swt_core.numba_locator.SourcesCacheLocator"

    def test_is_the_configured_one_else_in_the_user_s_cache(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
        assert configure_numba_cache() == tmp_path / "mine"
        monkeypatch.delenv("NUMBA_CACHE_DIR")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert configure_numba_cache() == tmp_path / "xdg" / "swt" / "numba"
        monkeypatch.delenv("NUMBA_CACHE_DIR")
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert configure_numba_cache() == tmp_path / "home" / ".cache" / "swt" / "numba"

    def test_that_cannot_be_written_is_copied_to_the_temporary_directory_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        readonly, temporary = tmp_path / "readonly", tmp_path / "tmpfs"
        (readonly / "swt_core.position-1").mkdir(parents=True)
        (readonly / "swt_core.position-1" / "kernel.nbc").write_text("warm")
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        writable = numba_cache._is_writable
        monkeypatch.setattr(numba_cache, "_is_writable", lambda path: path != readonly and writable(path))
        root = configure_numba_cache(readonly)
        assert root.parent == temporary
        kernel = root / "swt_core.position-1" / "kernel.nbc"
        assert kernel.read_text() == "warm"
        kernel.write_text("newer")
        assert configure_numba_cache(readonly) == root
        assert kernel.read_text() == "newer"

    def test_that_cannot_be_made_gives_way_to_the_temporary_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        (tmp_path / "file").write_text("")
        assert configure_numba_cache(tmp_path / "file" / "cache").parent == tmp_path

    def test_forgets_what_was_not_used_for_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(numba_cache, "_KEPT_MODULES", 2)
        for age in range(5):
            module = tmp_path / f"m{age}"
            module.mkdir()
            os.utime(module, (1000 - age, 1000 - age))
        configure_numba_cache(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m0", "m1"]
