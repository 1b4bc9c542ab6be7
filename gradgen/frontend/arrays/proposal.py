"""Shapes to propose for a function that does not work on single numbers."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradgen.errors import GradgenError
from gradgen.frontend.arrays.packed import packed_arguments, path_of
from gradgen.frontend.arrays.stated import read_stated
from gradgen.frontend.arrays.trace import failure_of
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.shapes import written
from gradgen.ir.source import Directive, Position, Source

_BATCH, _INPUTS, _NEURONS, _OUTPUTS = "batch", "n_in", "n", "n_out"
_NOWHERE = Position(0, 0, 0, 0)


def proposed_shapes(
    source: Source, function: Callable[..., Any], signature: Signature
) -> str | None:
    """A directive with shapes on which the function can be traced; None if none was found.

    What is packed has an axis for its variables, and all else has those of neurons. Else, what
    stands before a matrix in a product has a batch and the matrix's rows; all else that has to be
    passed is taken for the state of the neurons in a batch, then for that of one neuron's. Where
    matrices stand before what is computed, they stand before columns. An instance tells its own
    shapes.
    """
    paths = {leaf.path for leaf in signature.leaves if leaf.kind == "float"}
    passed = _passed(source, signature)
    products = [
        (a if a in paths else None, b if b in paths else None) for a, b in _products(source)
    ]
    states = ((_BATCH, _NEURONS), (_NEURONS,))
    guesses = list(_before_columns(passed, products) if products else _with_packed(source, passed))
    guesses += [
        _shapes(passed, products, state, last)
        for state, last in itertools.product(states, (_OUTPUTS, _NEURONS))
    ]
    for found in guesses:
        directive = _directive(found)
        tried = replace(source, directives=(*source.directives, directive))
        try:
            if failure_of(tried, function, signature, read_stated(tried, signature)) is None:
                return f"# gradgen: shape {directive.text}"
        except GradgenError:
            continue
    return None


def shapes_of_code(source: Source, signature: Signature) -> Iterator[Directive]:
    """What may be stated of a function without products.

    What has to be passed to a method whose instance holds arrays has any axes beside these. What is
    taken apart by constant places is packed, and all else has the axes of neurons. Nothing is to be
    stated where annotations or an example tell of what has to be passed.
    """
    passed = _passed(source, signature)
    given = {leaf.path: leaf.given.shape for leaf in signature.leaves if leaf.given}
    told = source.annotated or not given.keys().isdisjoint(passed)
    if told or _products(source):
        return
    if any(given.values()):
        yield _directive(dict.fromkeys(passed, ("...",)))
    for guess in _with_packed(source, passed):
        # what has no axes in front may as well be an array of neurons
        if {axes[0] for axes in guess.values() if axes} <= {"...", _BATCH}:
            yield _directive(guess)


def _directive(shapes: Mapping[str, Sequence[str]]) -> Directive:
    shown = " ".join(f"{path}={written(axes)}" for path, axes in shapes.items())
    return Directive("shape", shown, _NOWHERE)


def _passed(source: Source, signature: Signature) -> list[str]:
    """The floats that have to be passed, but for those of an instance."""
    required = {a.name for a in signature.arguments if a.default is None} - {source.instance}
    floats = [leaf.path for leaf in signature.leaves if leaf.kind == "float"]
    return [path for path in floats if path.split(".")[0] in required]


def _with_packed(source: Source, passed: list[str]) -> Iterator[dict[str, tuple[str, ...]]]:
    """Guesses where variables are packed: all else has the axes of neurons, or is one number."""
    packed = {
        each.path: each
        for each in packed_arguments(source.text, source.position.line)
        if each.path in passed
    }
    fronts = {each.front for each in packed.values()}
    if len(fronts) == 1:
        (front,) = fronts
        for others in (front, ()):
            yield {path: packed[path].axes if path in packed else others for path in passed}


def _before_columns(
    passed: list[str], products: list[tuple[str | None, str | None]]
) -> Iterator[dict[str, tuple[str, ...]]]:
    """Guesses for `w @ x`, where that and not `x @ w` is the order of all products."""
    mirrored = [(right, left) for left, right in products]
    computed = {side for pair in products for side, at in enumerate(pair) if at is None}
    if computed == {1}:
        matrices = {matrix for _, matrix in mirrored}
        for last in (_OUTPUTS, _NEURONS):
            shapes = _shapes(passed, mirrored, (_NEURONS,), last)
            yield {p: axes[::-1] if p in matrices else axes for p, axes in shapes.items()}


def _shapes(
    passed: list[str],
    products: list[tuple[str | None, str | None]],
    state: tuple[str, ...],
    last: str,
) -> dict[str, tuple[str, ...]]:
    """A guess; `last` is the axis of what comes of a product with something computed."""
    found: dict[str, tuple[str, ...]] = {}
    matrices = [right for _, right in products]
    for left, right in products:
        if right not in passed or right is None or right in found:
            continue
        if left in passed and left not in matrices:
            rows = found.get(str(left), (*state[:-1], _INPUTS))[-1]
            drives = not any(a == left for a, b in products[: products.index((left, right))])
            first = drives and _INPUTS not in {axis for axes in found.values() for axis in axes}
            rows = _INPUTS if first else rows if left in found else _NEURONS
            found[str(left)] = (*state[:-1], rows)
            found[right] = (rows, _NEURONS)
        else:
            found[right] = (_NEURONS, last)
    return {path: found.get(path, state) for path in passed}


def _products(source: Source) -> list[tuple[str | None, str | None]]:
    """The operands of matrix products in the function, as paths where they are leaves."""
    found = []
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.FunctionDef) and node.lineno == source.position.line:
            for inner in ast.walk(node):
                if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.MatMult):
                    place = inner.end_lineno or 0, inner.end_col_offset or 0
                    found.append((place, path_of(inner.left), path_of(inner.right)))
    return [(left, right) for _, left, right in sorted(found, key=lambda each: each[0])]
