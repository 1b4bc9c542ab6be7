"""Whether JAX differentiates a function in float64, or in float32 alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.load import importable_beside
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.source import Source


def rules_fit_float64(
    source: Source,
    function: Callable[..., Any],
    signature: Signature,
    avals: Callable[[str], Sequence[Any]],
    chosen: Sequence[int],
) -> bool:
    """Whether derivative rules are not for float32 alone, or JAX goes through them in neither.

    `avals` are stand-ins for the leaves in a precision, `chosen` those to differentiate by.
    """

    def derivable(working: str) -> bool:
        with jax_compat.x64(working == "float64"), importable_beside(source.path):
            return _is_derivable(
                lambda *leaves: signature.call(function, leaves), avals(working), chosen
            )

    return derivable("float64") or not derivable("float32")


def _is_derivable(call: Callable[..., Any], avals: Sequence[Any], chosen: Sequence[int]) -> bool:
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
