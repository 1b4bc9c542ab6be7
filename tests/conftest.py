"""Options and set-up that all tests share."""

from __future__ import annotations

import gc
import math
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# JAX would look at every frame of every error, of which verification makes hundreds
os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")

LAST = ("test_examples.py", "test_alphazero_training.py")
"""Files that train networks: what fails in another one is known before. Long tests come before many
short ones, with which no process stays idle at the end."""
MOST_MEMORY = 4e9
"""The bytes that a process may have before it forgets what JAX compiled for earlier modules."""
MORE_MEMORY = 1e9
"""The bytes after which it does so again: that takes seconds, and gives back less than all."""


_forgets_at = [MOST_MEMORY]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept",
        action="store_true",
        help="write what the commands in docs/tutorial.md print into it anew",
    )
    parser.addoption(
        "--full",
        action="store_true",
        help="the full matrix: every test on every model and style, and more random models",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let everything keep what XLA compiled, in one place: the tests compile much that is equal.

    JAX does not write these files atomically. What is read too early cannot be decompressed: then
    it warns, and compiles.
    """
    # a shell has its background jobs ignore Ctrl-C, and what they start would inherit that
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # a commit passes or fails each time; the full matrix looks for what no run has met
    hypothesis.settings.register_profile("repeatable", derandomize=True)
    if not config.getoption("--full"):
        hypothesis.settings.load_profile("repeatable")
        # most of what is compiled runs once; the full matrix compiles as users do, and
        # verification asks for what it needs
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {flags}".strip()
    # where JAX is loaded, commands execute sources in this process: no other has to be waited for
    import jax  # noqa: F401
    from generating import SHARED

    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="gradgen-tests-")
        config.add_cleanup(folder.cleanup)
        os.environ[SHARED] = folder.name  # workers inherit it


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to the full matrix alone, and train last."""
    if not config.getoption("--full"):
        left_out = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]
    items.sort(key=lambda item: 1 + LAST.index(name) if (name := item.path.name) in LAST else 0)


def pytest_collection_finish() -> None:
    """Have Python look for garbage less often: tracing makes much, and little of it is cyclic."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_code() -> Iterator[None]:
    """Give back what JAX keeps of everything it ever compiled: gigabytes, over a whole run."""
    yield
    if _memory() > _forgets_at[-1]:
        import jax

        jax.clear_caches()
        _forgets_at.append(_memory() + MORE_MEMORY)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what is generated to be exact, in tests of something else: verifying takes longest."""
    from projects import trust

    trust(monkeypatch)


def _memory() -> float:
    """The bytes that this process has in memory; infinitely many where that is not known."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return math.inf
    return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
