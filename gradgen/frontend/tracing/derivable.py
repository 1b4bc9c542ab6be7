"""Whether JAX differentiates a function at all, in one precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp


def is_derivable(call: Callable[..., Any], avals: Sequence[Any], chosen: Sequence[int]) -> bool:
    """Whether a function of flat leaves has derivatives by the chosen ones, in some mode.

    A derivative rule may return a dtype that JAX does not take. The precision is that which holds.
    """

    def both(*leaves: Any) -> tuple[Callable[..., list[Any]], list[Any]]:
        def of_chosen(*values: Any) -> list[Any]:
            given = list(leaves)
            for position, value in zip(chosen, values, strict=True):
                given[position] = value
            results = map(jnp.asarray, jax.tree.leaves(call(*given)))
            return [x for x in results if jnp.issubdtype(x.dtype, jnp.floating)]

        return of_chosen, [leaves[k] for k in chosen]

    def backwards(*leaves: Any) -> Any:
        function, values = both(*leaves)
        outputs, pull = jax.vjp(function, *values)
        return pull(outputs)

    def forwards(*leaves: Any) -> Any:
        function, values = both(*leaves)
        return jax.jvp(function, values, values)

    for mode in (backwards, forwards):
        try:
            code = jax.make_jaxpr(mode)(*avals)
        except Exception:
            continue
        if _OF_BACKWARD_RULES not in str(code):
            return True
    return False


_OF_BACKWARD_RULES = "custom_lin"
"""What stands for a backward rule in code of forward mode, which can be traced, and never runs."""
