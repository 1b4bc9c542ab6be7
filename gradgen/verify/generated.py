"""Calls of a generated module's public functions, with flat leaves in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.emitted import EmittedFunction, public_name
from gradgen.verify.stacks import has_arrays, in_parts
from gradgen.verify.subject import Array, Verified, result_leaves
from gradgen.verify.verdict import Failure


@dataclass(frozen=True)
class CallArguments:
    """What functions are called with."""

    leaves: Sequence[Array]
    cotangents: Sequence[Array]
    """Of the float outputs."""
    tangents: Sequence[Array]
    """Of the differentiated leaves."""
    result: Any
    """A result of the source, for its pytree."""


@dataclass(frozen=True)
class Generated:
    """A loaded text, and what it is called with."""

    subject: Verified[Any]
    loaded: ModuleType

    def function(self, member: str) -> Any:
        """A public function; AttributeError if the text lacks it.

        The arrays that the source's result has in parts are in parts here as well.
        """
        module = self.subject.module
        found = getattr(self.loaded, public_name(module.source.name, member))
        if not has_arrays(module.trace.result):
            return found
        known = {last: each.returns for each in module.functions for *_, last in [each.public]}
        return in_parts(found, module.trace.result, known.get(member, ()))

    def call(self, member: str, leaves: Sequence[Array]) -> Any:
        """A function that takes the source's arguments."""
        positional, keyword = self.subject.bind(leaves)
        return self.function(member)(*positional, **keyword)

    def returned(self, function: EmittedFunction, given: CallArguments) -> dict[str, Any]:
        """What a function returns, by the names that its record has for it."""
        *_, member = function.public
        if function.takes:
            found = self.function(member)(*(_ARGUMENTS[n](self, given) for n in function.takes))
        else:
            found = self.call(member, given.leaves)
        found = self.subject.without_objects(found)
        parts = (found,) if len(function.returns) == 1 else found
        return dict(zip(function.returns, parts, strict=True))

    def through(self, function: EmittedFunction, given: CallArguments) -> dict[str, Any]:
        """The result of a function with a rule, and what JAX obtains through it."""
        subject, leaves = self.subject, given.leaves
        chosen = tuple(leaves[k] for k in subject.wrt)

        def result(*chosen: Array) -> Any:
            return self.call(function.name, subject.with_differentiated(leaves, chosen))

        def of_floats(*chosen: Array) -> list[Array]:
            outputs = result_leaves(result(*chosen))
            return [outputs[k] for k in subject.floats]

        if function.rule == "tangents":
            value, pushed = jax.jvp(result, chosen, tuple(given.tangents))
            return {"result": value, "tangents": pushed}
        value, (_, pull) = result(*chosen), jax.vjp(of_floats, *chosen)
        return {"result": value, "cotangents": list(pull(list(given.cotangents)))}

    def _primals(self, given: CallArguments) -> tuple[Any, ...]:
        """All arguments in order, those that are passed by keyword included."""
        positional, keyword = self.subject.bind(given.leaves)
        return (*positional, *keyword.values())

    def _cotangents(self, given: CallArguments) -> Any:
        return self.vectors(given.cotangents, given.result)

    def vectors(self, cotangents: Sequence[Any], result: Any) -> Any:
        """Cotangents in the result's pytree: of type float0 for what is not a float."""
        leaves, tree = jax.tree.flatten(result)
        flat: list[Any] = [np.zeros(jnp.shape(leaf), jax.dtypes.float0) for leaf in leaves]
        for position, cotangent in zip(self.subject.floats, cotangents, strict=True):
            flat[position] = cotangent
        return jax.tree.unflatten(tree, flat)

    def _presynaptic(self, given: CallArguments) -> dict[str, Array]:
        """An input's tangent as its factor."""
        traces = self.subject.module.traces
        assert traces is not None
        tangents = self._by_path(given)
        return {path: tangents[path] for path, _ in traces.factors}

    def _traces(self, given: CallArguments) -> Any:
        """Each state's tangent as its traces; on arrays those before the first step."""
        if isinstance(self.subject.module, ArrayModule):
            return self.function("traces_init")(self._primals(given))
        start = self._primals(given), self._presynaptic(given)
        zeros, tangents = self.function("traces_init")(*start), self._by_path(given)
        return {pair: jnp.broadcast_to(tangents[pair[0]], zeros[pair].shape) for pair in zeros}

    def _by_path(self, given: CallArguments) -> dict[str, Array]:
        paths = (self.subject.paths[k] for k in self.subject.wrt)
        return dict(zip(paths, given.tangents, strict=True))

    def _tangents(self, given: CallArguments) -> tuple[Any, ...]:
        """A tuple over the arguments: None for every leaf that is held constant."""
        subject = self.subject
        flat: list[Any] = [None] * len(subject.paths)
        for position, tangent in zip(subject.wrt, given.tangents, strict=True):
            flat[position] = tangent
        trees = self._primals(replace(given, leaves=flat))
        chosen = {subject.paths[k].split(".")[0] for k in subject.wrt}
        order = _in_order(subject)
        return tuple(
            tree if name in chosen else None for name, tree in zip(order, trees, strict=True)
        )


def missing(generated: Generated) -> list[Failure]:
    """Public functions that were asked for and are not there."""
    name = generated.subject.module.source.name
    failures = []
    for function in generated.subject.module.functions:
        for public in (public_name(name, member) for member in function.public):
            if not callable(getattr(generated.loaded, public, None)):
                message = f"the text has no function {public}"
                failures.append(Failure("inexact", function.name, message))
    return failures


def _in_order(subject: Verified[Any]) -> list[str]:
    arguments = subject.module.trace.arguments
    positional = [a.name for a in arguments if not a.keyword_only]
    return [*positional, *(a.name for a in arguments if a.keyword_only)]


_ARGUMENTS: dict[str, Callable[[Generated, CallArguments], Any]] = {
    "primals": Generated._primals,
    "cotangents": Generated._cotangents,
    "tangents": Generated._tangents,
    "traces": Generated._traces,
    "presynaptic": Generated._presynaptic,
}
"""What functions take, by the names that their records have for it."""
