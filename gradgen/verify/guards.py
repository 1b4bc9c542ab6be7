"""Checks that arguments which do not fit are refused, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax

from gradgen.ir.shapes import LEADING, Shape, names_in
from gradgen.verify.array_points import Sizes, abstract_leaves
from gradgen.verify.generated import CallArguments, Generated
from gradgen.verify.subject import ArraySubject, abstract
from gradgen.verify.verdict import Failure


def unguarded(generated: Generated, sizes: Sizes, dtype: str) -> Iterator[Failure]:
    """Functions that take an argument of another rank or size, or do not say which it is."""
    subject: ArraySubject = generated.subject
    trace = subject.module.trace
    leaves = abstract_leaves(trace, sizes, dtype)
    result = jax.eval_shape(lambda *flat: subject.source(flat), *leaves)
    outputs = jax.tree.leaves(result)
    for position, leaf in enumerate(leaves):
        for shape, culprits in _unfit(subject, position, leaf.shape):
            given = list(leaves)
            given[position] = abstract(shape, leaf.dtype)
            vectors = [outputs[k] for k in subject.floats], [given[k] for k in subject.wrt]
            for function in subject.module.functions:

                def called(leaves: Any, cotangents: Any, tangents: Any, one: Any = function) -> Any:
                    return generated.returned(
                        one, CallArguments(leaves, cotangents, tangents, result)
                    )

                try:
                    jax.eval_shape(called, given, *vectors)
                    problem = "is taken"
                except ValueError as error:
                    if any(path in str(error) for path in culprits):
                        continue
                    problem = f"is refused without a word of it: {str(error).splitlines()[0]}"
                except Exception as error:
                    problem = f"raises {type(error).__name__} and no ValueError"
                message = f"{subject.paths[position]} of shape {shape} {problem}"
                yield Failure("inexact", function.name, message)


def _unfit(
    subject: ArraySubject, position: int, shape: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Sequence[str]]]:
    """Shapes that a leaf must not have, with the leaves that may be blamed."""
    trace = subject.module.trace
    path, stated = subject.paths[position], trace.shapes[position]
    in_front = [dim for dim in stated if dim == LEADING]
    sharing = _sharing(subject, position, stated, 0) if in_front else []
    if sharing or not in_front:
        yield (1, *shape), [path, *sharing]
    for axis, dim in enumerate(stated, start=len(shape) - len(stated)):
        if dim == LEADING:
            continue
        others = _sharing(subject, position, stated, axis - len(shape))
        if isinstance(dim, int) or others or not dim.isidentifier():
            longer = [number + (k == axis) for k, number in enumerate(shape)]
            yield tuple(longer), [path, *others]


def _sharing(subject: ArraySubject, position: int, stated: Shape, axis: int) -> list[str]:
    """The leaves that have an axis of the same name."""
    names = names_in(stated[axis])
    own = [d for k, d in enumerate(stated) if k != axis % len(stated)]
    return [
        path
        for k, (path, shape) in enumerate(
            zip(subject.paths, subject.module.trace.shapes, strict=True)
        )
        if any(names & names_in(dim) for dim in (own if k == position else shape))
    ]
