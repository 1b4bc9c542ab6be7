"""Whether a function indexes beyond arrays whose axes have different sizes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import checkify

from gradgen.frontend.arrays.stated import Stated
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.shapes import axes_in, size

_INDEXING = ("gather", "scatter", "dynamic_slice", "dynamic_update_slice")


def reaches_beyond(function: Callable[..., Any], signature: Signature, stated: Stated) -> bool:
    """Whether it does at sizes that grow, or shrink, from the first axis on.

    JAX raises nothing there: it clips, fills in or trusts. Integers are zero, so that none but
    those that are made of sizes lead anywhere.
    """
    names = axes_in(stated.shapes)

    def flat(*leaves: Any) -> Any:
        return signature.call(function, leaves)

    def beyond(sizes: dict[str, int]) -> bool:
        leaves = [
            _zeros(tuple(size(dim, sizes) for dim in shape), dtype)
            for shape, dtype in zip(stated.shapes, stated.dtypes, strict=True)
        ]
        made = str(jax.make_jaxpr(flat)(*leaves))
        if not any(f"{name}[" in made for name in _INDEXING):
            return False
        return checkify.checkify(flat, errors=checkify.index_checks)(*leaves)[0].get() is not None

    orders = names, names[::-1]
    try:
        return any(beyond(dict(zip(order, count(2), strict=False))) for order in orders)
    except Exception:  # it runs at other sizes alone, of which nothing follows here
        return False


def _zeros(shape: tuple[int, ...], dtype: str) -> Any:
    if dtype == "key":
        return jax.random.key(0)
    return jnp.zeros(shape, {"float": jnp.float32, "int": jnp.int32}.get(dtype, dtype))
