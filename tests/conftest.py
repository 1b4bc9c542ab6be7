"""Options and set-up that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept",
        action="store_true",
        help="write what the commands in docs/tutorial.md print into it anew",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let everything keep what XLA compiled, in one place: the tests compile much that is equal.

    JAX does not write these files atomically. What is read too early cannot be decompressed: then
    it warns, and compiles.
    """
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # where JAX is loaded, commands execute sources in this process: no other has to be waited for
    import jax  # noqa: F401


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_code() -> Iterator[None]:
    """Give back what JAX keeps of everything it ever compiled: gigabytes, over a whole run."""
    yield
    import jax

    jax.clear_caches()
