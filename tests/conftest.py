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


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_code() -> Iterator[None]:
    """Give back what JAX keeps of everything it ever compiled: gigabytes, over a whole run."""
    yield
    import jax

    jax.clear_caches()
