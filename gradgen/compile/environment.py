"""What the environment asks of JAX, which reads it when it is imported."""

from __future__ import annotations

import os

from gradgen.errors import GradgenError


def require_jax() -> None:
    """Import JAX; raises GradgenError for a variable of the environment that it does not take."""
    try:
        import jax  # noqa: F401
    except ValueError as error:
        said = str(error).lower()
        names = [n for n in os.environ if n.startswith("JAX_") and n.lower() in said]
        if not names:
            raise
        raise GradgenError(
            f"JAX does not take what the environment says: {names[0]}={os.environ[names[0]]!r}",
            hint=f"leave it out: unset {names[0]}",
        ) from None
