"""What public functions give at the same point, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradgen.ir.emitted import EmittedFunction
from gradgen.verify.comparisons import Comparison, Due
from gradgen.verify.generated import CallArguments, Generated
from gradgen.verify.subject import Array, Subject, result_leaves


@dataclass(frozen=True)
class Compared:
    """How derivatives of one form are compared."""

    flat: Callable[[Subject, Any], Any]
    """Without their pytree."""
    comparisons: Callable[[Due, str, Any], Iterator[Comparison]]
    """Each beside what it should be, for the function that gives them."""


def _leaves(subject: Subject, found: Any) -> list[Array]:
    return result_leaves(found)


def _floats(subject: Subject, found: Any) -> list[Array]:
    return [jnp.asarray(jax.tree.leaves(found)[k]) for k in subject.floats]


def _by_path(subject: Subject, found: Any) -> Any:
    return found


_COMPARED = {
    "cotangents": Compared(_leaves, Due.cotangents),
    "products": Compared(_leaves, Due.tangents),
    "tangents": Compared(_floats, Due.tangents),
    "jacobian": Compared(_leaves, Due.jacobian),
    "gradient": Compared(_leaves, Due.jacobian),
    "entries": Compared(_by_path, Due.entries),
    "so_far": Compared(_by_path, Due.so_far),
}
"""By the names that the records of functions have for them."""


class FunctionResults(NamedTuple):
    """What functions give."""

    derivatives: dict[tuple[str, str], Any]
    """By the names of the function and of their form."""
    values: dict[str, list[Array]]
    """The leaves of the source's result, by the name of the function."""


def everything(
    generated: Generated, given: CallArguments, functions: Sequence[EmittedFunction] | None = None
) -> FunctionResults:
    """Every emitted function, or those given, at the same point."""
    subject, found = generated.subject, FunctionResults({}, {})
    for function in subject.module.functions if functions is None else functions:
        parts = (generated.through if function.rule else generated.returned)(function, given)
        for name, part in parts.items():
            if name == "result":
                found.values[function.name] = result_leaves(part)
            elif name != "traces":  # they are among the derivatives so far
                found.derivatives[function.name, name] = _COMPARED[name].flat(subject, part)
    return found


def comparisons(due: Due, found: FunctionResults) -> Iterator[Comparison]:
    """Every derivative of every function beside what it should be."""
    for (function, form), derivatives in found.derivatives.items():
        yield from _COMPARED[form].comparisons(due, function, derivatives)
