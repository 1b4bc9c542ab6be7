"""Hessian-vector products beside JAX's: `python -m benchmarks.second_order`.

Prints how many operations the generated `f_hvp` takes, and how many the jaxpr of
`jax.jvp(jax.grad(f))` has by the same rule of counting: for models in `models/`, made to return one
number, and for losses in `models/networks/`, at their recorded sizes. What JAX computes in vain is
not counted.
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import Front, open_front
from gradgen.compile.stages import cheapest
from gradgen.config import Settings
from gradgen.frontend.arrays.dims import shape_of
from gradgen.frontend.arrays.reading import Reading
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.gradient import gradient_of, loss_gradient
from gradgen.frontend.tracing.interpret import Interpreter, scalar
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.builder import Builder
from gradgen.ir.code import live_code
from gradgen.ir.emitted import HVP
from gradgen.ir.program import PRIMAL, Program, Section, count_operations
from gradgen.ir.results import OutputValue
from gradgen.lowering.passes import finish
from gradgen.targets.jax.arrays import counted

ROOT = Path(__file__).resolve().parent.parent
MODELS = (
    "adex", "eif", "fitzhugh_nagumo", "hodgkin_huxley", "izhikevich", "lif", "lif_2023",
    "morris_lecar", "qif", "tsodyks_markram",
)  # fmt: skip
LOSSES = ("van_rossum_loss", "hodgkin_huxley_loss")

_WEIGHTED = """

def _weighted(results):
    import jax
    import jax.numpy as jnp

    leaves = jax.tree.leaves(results)
    floats = [x for x in leaves if jnp.issubdtype(jnp.result_type(x), jnp.floating)]
    return sum((0.5 + 0.25 * k) * x for k, x in enumerate(floats))
"""


def with_one_result(path: Path) -> str:
    """The text of a model whose step returns a weighted sum of its results."""
    text = path.read_text(encoding="utf-8")
    *_, step = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    *_, last = (node for node in ast.walk(step) if isinstance(node, ast.Return))
    assert last.value is not None
    lines = text.split("\n")
    returned = ast.get_source_segment(text, last.value)
    lines[last.lineno - 1 : last.end_lineno] = [f"    return _weighted(({returned}))"]
    return "\n".join(lines) + _WEIGHTED


def settings_for(path: Path, folder: Path) -> Settings:
    """Settings for the Hessian-vector product of a model or a loss; models are written anew."""
    if path.parent.name == "networks":
        return Settings(str(path), emit=(HVP,))
    source = folder / path.name
    source.write_text(with_one_result(path), encoding="utf-8")
    return Settings(f"{source}", function=_step_of(path), emit=(HVP,))


def _step_of(path: Path) -> str:
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef)][-1]


def generated_operations(settings: Settings) -> int:
    """What the generated program takes, at the recorded sizes."""
    module = cheapest(settings)
    assert module.second is not None
    if isinstance(module, ArrayModule):
        return counted(module, module.second.program).total
    return module.second.jvp.chosen.operations.total


def jax_operations(front: Front | ArrayFront) -> int:
    """What the jaxpr of `jax.jvp(jax.grad(f))` takes, all in one and without what is in vain."""
    chosen = [k for k, i in enumerate(front.trace.inputs) if i.wrt]
    if isinstance(front, ArrayFront):
        gradient = loss_gradient(front.function, front.signature, chosen)
        with jax_compat.x64(False):
            return _on_arrays(front, _pushed(front, gradient, chosen), chosen)
    gradient = gradient_of(front.function, front.signature, chosen, vmapped=False)
    with jax_compat.x64(False):
        avals = front.signature.avals("float32")
        vectors = [avals[k] for k in chosen]
        closed = jax.make_jaxpr(_pushed(front, gradient, chosen))(*avals, *vectors)
        tape = Tape()
        given = [scalar(f"x{k}") for k in range(len(avals) + len(vectors))]
        found = Interpreter(tape, "float32", None, with_rules=False).run(closed, given)
    roots = [atom for tensor in found for atom in np.ravel(tensor)]
    return count_operations(live_code(tape.primal, roots)).total


def _pushed(
    front: Front | ArrayFront, gradient: Callable[..., Any], chosen: Sequence[int]
) -> Callable[..., Any]:
    def product(*flat: Any) -> Any:
        leaves, tangents = flat[: len(front.trace.inputs)], flat[len(front.trace.inputs) :]

        def along(*values: Any) -> Any:
            given = list(leaves)
            for position, value in zip(chosen, values, strict=True):
                given[position] = value
            return front.signature.call(gradient, given)

        return jax.jvp(along, tuple(leaves[k] for k in chosen), tangents)[1]

    return product


def _on_arrays(front: ArrayFront, product: Callable[..., Any], chosen: Sequence[int]) -> int:
    avals = front.stated.avals("float32")
    given = [*avals, *(avals[k] for k in chosen)]
    closed = jax.make_jaxpr(product)(*given)
    names = [f"x{k}" for k in range(len(given))]
    shapes = {name: shape_of(aval.shape) for name, aval in zip(names, given, strict=True)}
    reading = Reading(front.source, "float32", Builder("v"), dict(shapes))
    atoms = reading.run(closed, names)
    code = live_code(reading.builder.instructions, atoms)
    results = tuple((OutputValue(str(k)), atom) for k, atom in enumerate(atoms))
    program = finish(Program(tuple(names), (Section(PRIMAL, code),), results))
    return count_arrays(program, shapes, dict(front.trace.sizes)).total


def main() -> None:
    """Print the table, for models and losses by name if some are named."""
    named = sys.argv[1:] or [*MODELS, *LOSSES]
    table = Table("of", "JAX", "f_hvp", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name in named:
            place = "models/networks" if name in LOSSES else "models"
            settings = settings_for(ROOT / place / f"{name}.py", Path(folder))
            theirs, ours = jax_operations(open_front(settings)), generated_operations(settings)
            table.add_row(name, f"{theirs:,}", f"{ours:,}", f"{ours / theirs:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
