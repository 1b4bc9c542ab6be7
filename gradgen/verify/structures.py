"""Checks the containers, shapes and dtypes that generated functions return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.emitted import EmittedFunction
from gradgen.verify.generated import CallArguments, Generated
from gradgen.verify.subject import Subject, Verified, abstract
from gradgen.verify.verdict import Failure


@dataclass(frozen=True)
class Slot:
    """A leaf by its number."""

    number: int


def describe(tree: Any, leaf: Callable[[Any], str]) -> str:
    """A pytree's containers by kind and class name, so that equal classes of two modules agree."""
    if tree is None:
        return "None"
    if isinstance(tree, Slot | jax.ShapeDtypeStruct):
        return leaf(tree)
    children: list[tuple[str, Any]]
    if isinstance(tree, dict):
        children = sorted(tree.items())
    elif isinstance(tree, Mapping):
        children = [(str(key), _unwrapped(part)) for key, part in tree.items()]
    elif isinstance(tree, tuple) and hasattr(tree, "_fields"):
        children = [(field, getattr(tree, field)) for field in tree._fields]
    elif isinstance(tree, tuple | list):
        children = [("", child) for child in tree]
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        children = [(field.name, getattr(tree, field.name)) for field in dataclasses.fields(tree)]
    else:
        return leaf(tree)
    inside = ", ".join(f"{key}: {describe(child, leaf)}" for key, child in children)
    return f"{type(tree).__name__}({inside})"


def _unwrapped(part: Any) -> Any:
    """What the one leaf is of something in a mapping that stands for it, as `flax.nnx.Param`."""
    leaves = jax.tree.leaves(part, is_leaf=lambda leaf: leaf is None)
    return part if isinstance(part, Mapping) or len(leaves) != 1 else leaves[0]


class Structures:
    """Abstract calls of the generated functions, held against abstract calls of the source."""

    def __init__(self, generated: Generated, leaves: Sequence[Any]) -> None:
        """To be used where the dtypes of the leaves, which are abstract, are available."""
        self._generated = generated
        self._subject: Verified[Any] = generated.subject
        self._leaves = list(leaves)
        self.result = jax.eval_shape(lambda *flat: self._subject.source(flat), *self._leaves)
        self._outputs = jax.tree.leaves(self.result)
        self._chosen = [self._leaves[k] for k in self._subject.wrt]
        self._floats = [self._outputs[k] for k in self._subject.floats]

    def failures(self) -> Iterator[Failure]:
        """Everything that has another structure, shape or dtype than it should."""
        functions = self._subject.module.functions
        for function in functions:
            try:
                message = self._check(function)
            except Exception as error:
                first = str(error).strip().split("\n", 1)[0]
                message = f"raises {type(error).__name__}: {first}"
            if message is not None:
                yield Failure("inexact", function.name, message)
        for function in functions:
            if function.rule:
                yield from self._constants(function.name)

    def _check(self, function: EmittedFunction) -> str | None:
        def called(leaves: Any, cotangents: Any, tangents: Any) -> dict[str, Any]:
            given = CallArguments(leaves, cotangents, tangents, self.result)
            return self._generated.returned(function, given)

        found = jax.eval_shape(called, self._leaves, self._floats, self._chosen)
        for name in function.returns:
            if message := _PARTS[name](self, found[name]):
                return message
        if function.rule:
            return self._defaults(function.name) or self._mixed(function.name)
        return None

    def _value(self, value: Any) -> str | None:
        return self._compare(value, self._result(), self._outputs)

    def _compare(self, found: Any, description: str, leaves: Sequence[Any]) -> str | None:
        shown = describe(found, lambda _: "*")
        if shown != description:
            return f"returns the structure {shown} and not {description}"
        for got, wanted in zip(jax.tree.leaves(found), leaves, strict=True):
            if (got.shape, got.dtype) != (wanted.shape, wanted.dtype):
                return f"returns {got.dtype}{got.shape} where {wanted.dtype}{wanted.shape} is due"
        return None

    def _tangents(self, found: Any) -> str | None:
        leaves = [
            leaf if k in self._subject.floats else abstract(leaf.shape, jax.dtypes.float0)
            for k, leaf in enumerate(self._outputs)
        ]
        return self._compare(found, self._result(), leaves)

    def _cotangents(self, found: Any) -> str | None:
        return self._compare(found, self._over_arguments(), self._chosen)

    def _products(self, found: Any) -> str | None:
        """On neurons the source is a gradient, each part of which is of the result's shape."""
        if isinstance(self._subject.module, ArrayModule):
            return self._cotangents(found)
        return self._compare(found, self._over_arguments(), self._outputs)

    def _gradient(self, found: Any) -> str | None:
        if isinstance(self._subject.module, ArrayModule):
            # of the first output, whatever else is returned beside it
            return self._cotangents(found)
        return self._nested(found)

    def _nested(self, found: Any) -> str | None:
        expected = [
            abstract(output.shape + leaf.shape, output.dtype)
            for output in self._floats
            for leaf in self._chosen
        ]
        return self._compare(found, self._jacobian(), expected)

    def _of_any_shape(self, found: Any) -> None:
        """Nothing: these have the axes of the traces that were given."""

    def _traces(self, found: Any) -> str | None:
        """On arrays they are what the next step takes, so that a loop can carry them."""
        if not isinstance(self._subject.module, ArrayModule):
            return None

        def start(leaves: Any) -> Any:
            positional, keyword = self._subject.bind(leaves)
            return self._generated.function("traces_init")((*positional, *keyword.values()))

        due = jax.eval_shape(start, self._leaves)
        return self._compare(found, describe(due, lambda _: "*"), jax.tree.leaves(due))

    def _result(self) -> str:
        return describe(self._subject.without_objects(self.result), lambda _: "*")

    def _jacobian(self) -> str:
        """The result's containers, with a tuple over the arguments at every float."""
        row = self._over_arguments()
        slots = [Slot(k) for k in range(len(self._outputs))]
        labelled = jax.tree.unflatten(jax.tree.structure(self.result), slots)
        labelled = self._subject.without_objects(labelled)
        floats = self._subject.floats
        return describe(labelled, lambda slot: row if slot.number in floats else "None")

    def _over_arguments(self) -> str:
        """A tuple over the differentiated arguments, None where a leaf is held constant."""
        subject = self._subject
        slots = [Slot(k) for k in range(len(self._leaves))]
        positional, keyword = subject.bind(slots)
        chosen = {subject.paths[k].split(".")[0] for k in subject.wrt}
        given = dict(zip(self._positional_names(), positional, strict=True)) | keyword

        def leaf(slot: Any) -> str:
            return "*" if isinstance(slot, Slot) and slot.number in subject.wrt else "None"

        arguments = subject.module.trace.arguments
        trees = tuple(given[a.name] for a in arguments if a.name in chosen)
        return describe(subject.without_objects(trees), leaf)

    def _positional_names(self) -> list[str]:
        return [a.name for a in self._subject.module.trace.arguments if not a.keyword_only]

    def _entries(self, found: dict[tuple[str, str], Any]) -> str | None:
        """The keys are the pairs that a path joins; each value fits into its output."""
        if isinstance(self._subject.module, ArrayModule):
            return self._terms(self._subject.module, found)
        trace = self._subject.module.trace
        expected = reachable_pairs(self._subject)
        if set(found) != expected:
            missing, extra = expected - set(found), set(found) - expected
            return f"entries are missing: {sorted(missing)}, superfluous: {sorted(extra)}"
        outputs = {o.path: leaf for o, leaf in zip(trace.outputs, self._outputs, strict=True)}
        for key, value in found.items():
            if value.shape != ():
                return f"the entry {key} of one neuron has shape {value.shape}"
            if not jnp.issubdtype(value.dtype, jnp.floating):
                return f"the entry {key} of {outputs[key[0]].dtype} has dtype {value.dtype}"
        return None

    def _terms(self, module: ArrayModule, found: dict[tuple[str, str], Any]) -> str | None:
        """The keys are those that the module knows; the terms are of their output's dtype."""
        assert module.jacobian is not None
        expected = {pair: len(terms) for pair, terms in module.jacobian.entries}
        if (there := {pair: len(terms) for pair, terms in found.items()}) != expected:
            return f"has so many terms: {there}, and not {expected}"
        outputs = zip((o.path for o in module.trace.outputs), self._outputs, strict=True)
        dtypes = {path: leaf.dtype for path, leaf in outputs}
        for pair, terms in found.items():
            for term in terms:
                if term.dtype != dtypes[pair[0]]:
                    return f"a term of {pair} has dtype {term.dtype}, not {dtypes[pair[0]]}"
        return None

    def _defaults(self, name: str) -> str | None:
        """Left-out arguments have the source's default values, weakly typed as there."""
        subject = self._subject
        trace = subject.module.trace
        if not any(a.default is not None for a in trace.arguments):
            return None
        call = self._generated.function(name)
        for dtype in (None, jnp.bfloat16):
            leaves = [
                abstract(leaf.shape, dtype)
                if dtype is not None and jnp.issubdtype(leaf.dtype, jnp.floating)
                else leaf
                for leaf in self._leaves
            ]
            try:
                wanted = jax.eval_shape(
                    lambda *flat: _without_defaults(subject, flat, None), *leaves
                )
            except Exception:
                continue  # the source does not run in low precision, or on numbers of Python
            try:
                found = jax.eval_shape(
                    lambda *flat: _without_defaults(subject, flat, call), *leaves
                )
            except TypeError:
                if dtype is None:
                    raise
                continue  # refused
            for got, due in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
                if got.dtype != due.dtype:
                    given = leaves[subject.wrt[0]].dtype
                    return f"with {given} and default values returns {got.dtype}, not {due.dtype}"
        return None

    def _mixed(self, name: str) -> str | None:
        """Leaves of several dtypes give the source's, or are refused by a TypeError."""
        floats = [
            k for k, leaf in enumerate(self._leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)
        ]
        wide = self._leaves[0].dtype if not floats else self._leaves[floats[0]].dtype
        usual = jnp.result_type(float)  # which numbers of Python are of
        weak = jax.ShapeDtypeStruct((), usual, weak_type=True)  # type: ignore[no-untyped-call]
        narrow, whole = abstract((), jnp.bfloat16), abstract((), jnp.int32)
        for kinds in ((narrow, abstract((), wide)), (narrow, weak), (whole, narrow)):
            leaves = list(self._leaves)
            for number, k in enumerate(floats):
                leaves[k] = kinds[number % 2].update(shape=leaves[k].shape)
            try:
                due = jax.tree.leaves(
                    jax.eval_shape(lambda *flat: self._subject.source(flat), *leaves)
                )
            except Exception:
                continue  # the source does not take them
            try:
                found = jax.eval_shape(lambda *flat: self._generated.call(name, flat), *leaves)
            except (TypeError, ValueError):
                continue  # refused
            for got, wanted in zip(jax.tree.leaves(found), due, strict=True):
                if got.dtype != wanted.dtype:
                    given = " and ".join(str(leaf.dtype) for leaf in kinds)
                    return f"with {given} in turn returns {got.dtype}, not {wanted.dtype}"
        return None

    def _constants(self, name: str) -> Iterator[Failure]:
        """A float that is held constant raises when it is differentiated."""
        subject = self._subject
        for position, leaf in enumerate(subject.module.trace.inputs):
            given = self._leaves[position]
            if leaf.wrt or not jnp.issubdtype(given.dtype, jnp.floating):
                continue

            def along(x: Any, position: int = position) -> Any:
                def of_one(x: Any) -> Any:
                    leaves: list[Any] = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in self._leaves]
                    leaves[position] = x
                    return self._generated.call(name, leaves)

                return jax.jvp(of_one, (x,), (x,))

            try:
                jax.eval_shape(along, given)
            except TypeError as error:
                if leaf.path in str(error):
                    continue
            except Exception:
                pass
            yield Failure(
                "inexact", name, f"{leaf.path} is held constant, and differentiating it is no error"
            )


_PARTS: dict[str, Callable[[Structures, Any], str | None]] = {
    "result": Structures._value,
    "cotangents": Structures._cotangents,
    "tangents": Structures._tangents,
    "products": Structures._products,
    "jacobian": Structures._nested,
    "gradient": Structures._gradient,
    "entries": Structures._entries,
    "traces": Structures._traces,
    "so_far": Structures._of_any_shape,
}
"""What is wrong with what functions return, by the names that their records have for it."""


def _without_defaults(subject: Verified[Any], leaves: Sequence[Any], call: Any) -> Any:
    """The source or a generated function, called without the arguments that have defaults."""
    positional, keyword = subject.bind(leaves)
    arguments = subject.module.trace.arguments
    given = [a for a in arguments if not a.keyword_only]
    # what is bound may have another default in the source, one that it cannot be called with
    required = {a.name for a in arguments if a.default is None or a.bound}
    while given and len(positional) and given[-1].name not in required:
        given, positional = given[:-1], positional[:-1]
    chosen = {name: value for name, value in keyword.items() if name in required}
    function = subject.function if call is None else call
    return function(*positional, **chosen)


def reachable_pairs(subject: Subject) -> set[tuple[str, str]]:
    """(output path, input path) wherever the graph has a path from one to the other."""
    graph = subject.module.graph
    return {
        (graph.vertices[v].path, graph.vertices[i].path)
        for v, inputs in graph.reach().items()
        for i in inputs
    }
