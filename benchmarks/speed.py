"""How fast generated programs run, beside JAX's own Jacobians and other generators'.

`python -m benchmarks.speed` times value and Jacobian of the cases of `benchmarks.rival_models` for
65,536 neurons in float32 under `jax.jit`, every array of a result on its own. The programs of a
case are called in turn, in an order shuffled anew in each round, and each figure is the median of
the ratios to the better of `jacfwd` and `jacrev` in the same round. Every program is compiled
several times, and its time in a round is the mean over these copies: one program's copies differ by
up to 15 % from each other, by where their results come to lie in memory. There are two floors: a
program that reads every input and writes as many arrays as the Jacobian has entries, and does
nothing else; and the Jacobian derived and simplified by hand (`benchmarks.by_hand`).
"""

from __future__ import annotations

import importlib
import math
import statistics
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.by_hand import BY_HAND
from benchmarks.rival_models import CASES, Case, slope
from gradgen.compile.generation import generate
from gradgen.compile.opening import read
from gradgen.config import Settings
from gradgen.verify.isolate import load
from gradgen.verify.timing import take_turns

NEURONS = 65_536
ROUNDS = 101
COPIES = 5
ROOT = Path(__file__).resolve().parent.parent
INTRICATE = ("izh", "adex", "hh")
"""The models over which the geometric mean is taken: a lif is near its floor in any case."""

Program = Callable[..., Any]


def generated(case: Case) -> Program:
    """The file that gradgen writes, verified."""
    path = str(ROOT / "models" / f"{case.model}.py")
    settings = Settings(path, directives=(("wrt", ", ".join(case.wrt)),))
    outcome = generate(settings, lambda what: None)
    name = outcome.module.source.function
    program: Program = getattr(load(outcome.text), f"{name}_value_and_jacobian")
    return program


def model_of(case: Case) -> Program:
    """The step function in `models/`."""
    module = importlib.import_module(f"models.{case.model}")
    settings = Settings(str(ROOT / "models" / f"{case.model}.py"))
    function: Program = getattr(module, read(settings).function)
    return function


def by_jax(case: Case, transform: Callable[..., Any], arguments: Sequence[Any]) -> Program:
    """Value and Jacobian by `jacfwd` or `jacrev`, mapped over the neurons."""
    step = model_of(case)
    jacobian = transform(step, argnums=tuple(case.arguments.index(n) for n in case.wrt))
    return jax.vmap(lambda *flat: (step(*flat), jacobian(*flat)), in_axes=_axes(arguments))


def _axes(arguments: Sequence[Any]) -> list[int | None]:
    return [0 if np.ndim(x) else None for x in arguments]


def by_sympy(case: Case, arguments: Sequence[Any]) -> Program:
    """sympy's Jacobian after its common-subexpression elimination, printed for JAX."""
    import sympy

    m = SimpleNamespace(exp=sympy.exp, abs=sympy.Abs)
    symbols = sympy.symbols(case.arguments)
    outputs = case.step(m, *symbols)
    wrt = [symbols[case.arguments.index(name)] for name in case.wrt]
    rows = [[sympy.diff(output, x) for x in wrt] for output in outputs]
    return _with_spikes(
        case, sympy.lambdify(symbols, _entries(case, m, outputs, rows), "jax", cse=True)
    )


def by_wrenfold(case: Case, arguments: Sequence[Any]) -> Program:
    """wrenfold's Jacobian as the Python code that it generates for JAX."""
    import inspect

    from wrenfold import code_generation, sym, type_annotations

    m = SimpleNamespace(exp=sym.exp, abs=sym.abs)

    def entries(**named: Any) -> Any:
        symbols = [named[name] for name in case.arguments]
        outputs = case.step(m, *symbols)
        wrt = [symbols[case.arguments.index(name)] for name in case.wrt]
        rows = [[output.diff(x) for x in wrt] for output in outputs]
        found = _entries(case, m, outputs, rows)
        return [code_generation.OutputArg(e, f"out{k}") for k, e in enumerate(found)]

    scalar = type_annotations.FloatScalar
    entries.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=scalar)
            for n in case.arguments
        ]
    )
    entries.__annotations__ = dict.fromkeys(case.arguments, scalar)
    target = code_generation.PythonGeneratorTarget.JAX
    generator = code_generation.PythonGenerator(target=target)
    text = code_generation.generate_function(entries, generator, convert_ternaries=False)
    module = types.ModuleType("wrenfold")
    exec(f"import jax\nimport jax.numpy as jnp\nimport typing as T\n\n{text}", vars(module))
    program: Program = module.entries
    return _with_spikes(case, jax.vmap(program, in_axes=_axes(arguments)))


def _entries(case: Case, m: Any, outputs: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Any:
    """Outputs and the Jacobian's entries, the rows of spikes multiplied by their slopes."""
    found = list(outputs)
    for k, row in enumerate(rows):
        found += [x * slope(m, outputs[k]) for x in row] if k in case.spikes else list(row)
    return found


def _with_spikes(case: Case, program: Program) -> Program:
    """Compare with the threshold, and give every result the shape of an array of neurons."""

    def complete(*arguments: Any) -> Any:
        found = list(program(*arguments))
        for k in case.spikes:
            found[k] = (found[k] > 0.0).astype(jnp.float32)
        return tuple(jnp.broadcast_to(jnp.asarray(x, jnp.float32), (NEURONS,)) for x in found)

    return complete


def floor(case: Case, arguments: Sequence[Any]) -> Program:
    """Reads every input once and writes as many arrays as value and Jacobian have."""
    results = jax.eval_shape(by_jax(case, jax.jacfwd, arguments), *arguments)
    count = len(jax.tree.leaves(results))

    def copy(*flat: Any) -> Any:
        total = sum(flat)
        return tuple(jnp.broadcast_to(total, (NEURONS,)) + k for k in range(count))

    return copy


def by_hand(case: Case, arguments: Sequence[Any]) -> Program:
    """The Jacobian as one would write it; raises AssertionError if it is not that of the model."""
    jacobian = BY_HAND[case.name.split()[0]]
    outputs = range(len(jax.eval_shape(by_jax(case, jax.jacfwd, arguments), *arguments)[0]))

    def complete(*flat: Any) -> Any:
        values, entries = jacobian(*flat)
        nested = tuple(tuple(entries.get((k, x), 0.0) for x in case.wrt) for k in outputs)
        spread = lambda x: jnp.broadcast_to(jnp.asarray(x, jnp.float32), (NEURONS,))  # noqa: E731
        return jax.tree.map(spread, (values, nested))

    found, due = complete(*arguments), by_jax(case, jax.jacfwd, arguments)(*arguments)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * float(jnp.abs(other).max()))
    return complete


def inputs(case: Case) -> list[Any]:
    """Arrays for what is differentiated, numbers for the rest, about the models' own values."""
    chosen = np.random.default_rng(0)
    plain = [jnp.float32(value) for value in chosen.uniform(0.2, 0.9, len(case.arguments))]
    return [
        jnp.asarray(chosen.uniform(0.2, 0.9, NEURONS), jnp.float32) if name in case.wrt else value
        for name, value in zip(case.arguments, plain, strict=True)
    ]


def timed(programs: dict[str, Program], arguments: Sequence[Any]) -> dict[str, list[float]]:
    """Seconds of each program in each round, all copies of all of them in every round."""
    compiled = {f"{k} {name}": _copy(p) for k in range(COPIES) for name, p in programs.items()}
    for program in compiled.values():
        jax.block_until_ready(program(*arguments))
    seconds = take_turns(compiled, arguments, ROUNDS)
    copies = {name: [seconds[f"{k} {name}"] for k in range(COPIES)] for name in programs}
    return {
        name: [statistics.fmean(times) for times in zip(*found, strict=True)]
        for name, found in copies.items()
    }


def _copy(program: Program) -> Program:
    """Compiled by itself: `jax.jit` compiles one function only once."""
    copy: Program = jax.jit(lambda *arguments: program(*arguments))
    return copy


def measure(case: Case) -> dict[str, float]:
    """For each program, how many times as fast it is as the better of JAX's two."""
    arguments = inputs(case)
    programs = {
        "jacfwd": by_jax(case, jax.jacfwd, arguments),
        "jacrev": by_jax(case, jax.jacrev, arguments),
        "gradgen": generated(case),
        "by hand": by_hand(case, arguments),
        "floor": floor(case, arguments),
    }
    for name, make in (("sympy", by_sympy), ("wrenfold", by_wrenfold)):
        try:
            programs[name] = make(case, arguments)
        except ImportError:
            continue
    seconds = timed(programs, arguments)
    better = min(("jacfwd", "jacrev"), key=lambda name: statistics.median(seconds[name]))
    return {
        name: statistics.median(b / s for b, s in zip(seconds[better], found, strict=True))
        for name, found in seconds.items()
    }


def main() -> None:
    """Measure all cases and print the table."""
    columns = ("jacfwd", "jacrev", "sympy", "wrenfold", "gradgen", "by hand", "floor")
    table = Table(
        title=f"value and Jacobian, {NEURONS:,} neurons, float32: times as fast as the better of "
        "jacfwd and jacrev"
    )
    for heading in ("case", *columns):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    intricate = []
    for case in CASES:
        found = measure(case)
        if case.name.split()[0] in INTRICATE:
            intricate.append(found["gradgen"])
        shown = [f"{found[name]:.2f}" if name in found else "not installed" for name in columns]
        table.add_row(case.name, *shown)
    mean = math.exp(statistics.fmean(map(math.log, intricate)))
    console = Console()
    console.print(table)
    console.print(f"gradgen over {', '.join(INTRICATE)}: {mean:.2f} times in geometric mean")


if __name__ == "__main__":
    main()
