"""The Jacobian of a function on arrays in its module: the letters of its terms, and its pytree."""

from __future__ import annotations

from collections.abc import Iterator

from gradgen.ir.array_module import ArrayJacobian, ArrayModule
from gradgen.ir.patterns import Letters, letters
from gradgen.targets.jax.layout import Doc, Group, call, layout, prefixed, quote, tuple_of
from gradgen.targets.jax.plumbing import Names
from gradgen.targets.jax.pytrees import construct


def entries_of(jacobian: ArrayJacobian) -> dict[tuple[str, str], tuple[Letters, ...]]:
    """For each pair of an output and an input that has an entry, the letters of its terms."""
    return {pair: tuple(map(letters, terms)) for pair, terms in jacobian.entries}


def entry_keys(module: ArrayModule, jacobian: ArrayJacobian) -> list[str]:
    """For each pair that has an entry, the place of its output."""
    place = {output.path: k for k, output in enumerate(module.trace.outputs)}
    items = [prefixed(f"{_pair(pair)}: ", str(place[pair[0]])) for pair, _ in jacobian.entries]
    lines = layout("_ENTRIES = ", Group("{", tuple(items), "}"))
    return [lines[0].removeprefix("_ENTRIES = "), *lines[1:]]


def jacobian_body(module: ArrayModule, names: Names) -> list[str]:
    """The entries, dense, in the containers of the result and of the arguments."""
    trace = module.trace
    floats = {output.path for output in trace.float_outputs}
    outputs = {output.path: k for k, output in enumerate(trace.outputs)}
    leaves = {i.path: k for k, i in enumerate(trace.inputs) if i.wrt}
    chosen = {path.split(".")[0] for path in leaves}

    def row(output: str) -> Iterator[Doc]:
        for argument in (a for a in trace.arguments if a.name in chosen):
            yield construct(
                argument.structure,
                lambda path: _dense(output, path) if path in leaves else "None",
                names.types,
                argument.name,
            )

    def _dense(output: str, path: str) -> Doc:
        values = f"outputs[{outputs[output]}]", f"leaves[{leaves[path]}]"
        return call("_dense", ["terms", _pair((output, path)), *values])

    tree = construct(
        trace.result,
        lambda output: tuple_of(list(row(output))) if output in floats else "None",
        names.types,
    )
    return layout("return ", tree, "", 4)


def _pair(pair: tuple[str, str]) -> str:
    return f"({quote(pair[0])}, {quote(pair[1])})"
