"""How each public function is called, and what its structure and its derivatives are held against.

The other facts about a function are in `gradgen.ir.emitted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradgen.verify.comparisons import Comparison, Due
from gradgen.verify.generated import Generated, cotangent_tree
from gradgen.verify.report import Failure
from gradgen.verify.structures import Structures
from gradgen.verify.subject import Array, result_leaves


@dataclass(frozen=True)
class Given:
    """What functions are called with."""

    leaves: Sequence[Array]
    cotangents: Sequence[Array]
    """Of the float outputs."""
    tangents: Sequence[Array]
    """Of the differentiated leaves."""
    result: Any
    """A result of the source, for its pytree."""


@dataclass(frozen=True)
class Check:
    """How verification treats a function."""

    call: Callable[[Generated, str, Given], tuple[Any, Any]]
    """What it returns of the source's result, None if nothing, and the derivatives it gives: a
    flat list, or a dict by output and input path."""
    structure: Callable[[Structures, str], str | None]
    """What is wrong with containers, shapes and dtypes; None if nothing is."""
    compare: Callable[[Due, str, Any], Iterator[Comparison]]
    """The derivatives beside what they should be."""
    drop_in: bool = False
    """Whether it stands for the source: differentiating by what is held constant is an error."""
    sums: bool = False
    """Whether it sums over the neurons that share an input."""


def _pulled_through(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    value = generated.call(name, given.leaves)
    return value, generated.gradient(given.leaves, given.cotangents)


def _pushed_through(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    value, pushed = generated.pushed(given.leaves, given.tangents)
    return value, _floats(generated, pushed)


def _value_and_nested(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    value, nested = generated.call(name, given.leaves)
    return value, result_leaves(nested)


def _nested(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    return None, result_leaves(generated.call(name, given.leaves))


def _by_path(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    return None, generated.call(name, given.leaves)


def _vjp(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    tree = cotangent_tree(given.result, generated.subject.floats, given.cotangents)
    return None, result_leaves(generated.vjp(given.leaves, tree))


def _jvp(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    value, pushed = generated.jvp(given.leaves, given.tangents)
    return value, _floats(generated, pushed)


def _traces(generated: Generated, name: str, given: Given) -> tuple[Any, Any]:
    value, _, so_far = generated.traces(given.leaves, given.tangents)
    return value, so_far


def _floats(generated: Generated, pushed: Any) -> list[Array]:
    return [jnp.asarray(jax.tree.leaves(pushed)[k]) for k in generated.subject.floats]


_VALUE_AND_JACOBIAN = Check(_value_and_nested, Structures.value_and_jacobian, Due.jacobian)

CHECKS = {
    "f": Check(_pulled_through, Structures.drop_in, Due.cotangents, drop_in=True, sums=True),
    "forward": Check(_pushed_through, Structures.drop_in, Due.tangents, drop_in=True),
    "value_and_jacobian": _VALUE_AND_JACOBIAN,
    "jacobian": Check(_nested, Structures.jacobian, Due.jacobian),
    "jacobian_entries": Check(_by_path, Structures.entries, Due.entries),
    "value_and_grad": _VALUE_AND_JACOBIAN,
    "vjp": Check(_vjp, Structures.vjp, Due.cotangents, sums=True),
    "jvp": Check(_jvp, Structures.jvp, Due.tangents),
    "traces": Check(_traces, Structures.traces, Due.so_far),
}
"""By the function's name."""


class Found(NamedTuple):
    """What functions give at the same point, by their names."""

    derivatives: dict[str, Any]
    values: dict[str, list[Array]]
    """The leaves of the source's result, of those that return it."""


def everything(generated: Generated, given: Given, names: Sequence[str] | None = None) -> Found:
    """Every emitted function, or those named, at the same point."""
    found = Found({}, {})
    for name in generated.emitted if names is None else names:
        value, found.derivatives[name] = CHECKS[name].call(generated, name, given)
        if value is not None:
            found.values[name] = result_leaves(value)
    return found


def misshapen(generated: Generated, working: str) -> Iterator[Failure]:
    """Everything that has another structure, shape or dtype than it should.

    To be used where `working` is available as a dtype.
    """
    structures = Structures(generated, working)
    for name in generated.emitted:
        try:
            message = CHECKS[name].structure(structures, name)
        except Exception as error:
            first = str(error).strip().split("\n", 1)[0]
            message = f"raises {type(error).__name__}: {first}"
        if message is not None:
            yield Failure("inexact", name, message)
    for name in generated.emitted:
        if CHECKS[name].drop_in:
            yield from structures.constants(name)


def comparisons(due: Due, found: Found) -> Iterator[Comparison]:
    """Every derivative of every function beside what it should be."""
    for name, derivatives in found.derivatives.items():
        yield from CHECKS[name].compare(due, name, derivatives)
