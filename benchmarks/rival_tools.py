"""How many operations each tool's program for value and Jacobian has.

Every counter takes a case and returns a total by the rule of `docs/costs.md`. A tool is imported
when its counter runs; one that is not installed raises ImportError.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.rival_models import Case, slope
from gradgen.frontend.tracing.interpret import Interpreter, scalar
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.builder import Builder
from gradgen.ir.operations import OPERATIONS, integer_pow_multiplications
from gradgen.ir.program import Program, Section, count_operations
from gradgen.lowering.passes import eliminate_dead_code
from gradgen.verify.recount import recount


def _heaviside(x: Any) -> Any:
    return jnp.asarray(x > 0.0, jnp.result_type(x))


_spike = jax.custom_jvp(_heaviside)
_spike.defjvp(lambda p, t: (_heaviside(*p), slope(jnp, *p) * t[0]))

_JAX = SimpleNamespace(exp=jnp.exp, abs=jnp.abs, sigmoid=jax.nn.sigmoid)


def jax_function(case: Case, spike: Any) -> Callable[..., Any]:
    """The step in JAX, with a spike function."""

    def step(*arguments: Any) -> Any:
        outputs = case.step(_JAX, *arguments)
        return tuple(spike(x) if k in case.spikes else x for k, x in enumerate(outputs))

    return step


def _jax_program(case: Case, transform: Any) -> Any:
    """The jaxpr of the step beside its Jacobian by `jacfwd` or `jacrev`."""
    step = jax_function(case, _heaviside)
    argnums = tuple(case.arguments.index(name) for name in case.wrt)
    jacobian = transform(jax_function(case, _spike), argnums=argnums)
    arguments = [jnp.float32(0.5)] * len(case.arguments)
    return jax.make_jaxpr(lambda *flat: (step(*flat), jacobian(*flat)))(*arguments)


def jax_as_traced(case: Case, transform: Any) -> int:
    """The operations of the jaxpr as JAX traces it, on scalars."""
    return _jaxpr_total(_jax_program(case, transform).jaxpr)


def _jaxpr_total(jaxpr: Any) -> int:
    total = 0
    for eqn in jaxpr.eqns:
        inner = [p for p in eqn.params.values() if hasattr(p, "eqns") or hasattr(p, "jaxpr")]
        if inner:
            total += sum(_jaxpr_total(getattr(p, "jaxpr", p)) for p in inner)
            continue
        name = eqn.primitive.name
        operation = OPERATIONS.get(name)
        if operation is None or operation.kind in ("neg", "compare", "select", "free"):
            continue
        size = eqn.outvars[0].aval.size
        if name == "logistic":
            total += 3 * size
        elif operation.kind == "pow":
            exponent = eqn.params.get("y", 2)
            total += size * (integer_pow_multiplications(exponent) + (exponent < 0))
        else:
            total += size
    return total


def forward_columns(step: Callable[..., Any], arguments: Sequence[Any], wrt: Sequence[int]) -> Any:
    """The columns of the Jacobian as `jacfwd` computes them, one unit tangent after the other."""

    def column(j: int) -> Any:
        tangents = tuple(jnp.ones(()) if k == j else jnp.zeros(()) for k in range(len(arguments)))
        return jax.jvp(step, tuple(arguments), tangents)[1]

    return [column(j) for j in wrt]


def reverse_rows(step: Callable[..., Any], arguments: Sequence[Any], wrt: Sequence[int]) -> Any:
    """The rows of the Jacobian as `jacrev` computes them, one unit cotangent after the other."""
    outputs, pull_back = jax.vjp(step, *arguments)
    count = len(outputs)
    rows = [
        pull_back(tuple(jnp.ones(()) if k == i else jnp.zeros(()) for k in range(count)))
        for i in range(count)
    ]
    return [[row[j] for j in wrt] for row in rows]


def jax_cleaned(case: Case, mode: Any) -> int:
    """JAX's own Jacobian with numbers folded, equal operations merged, dead ones removed."""
    step = jax_function(case, _heaviside)
    slopes = jax_function(case, _spike)
    wrt = [case.arguments.index(name) for name in case.wrt]
    closed = jax.make_jaxpr(lambda *flat: (step(*flat), mode(slopes, flat, wrt)))(
        *[jnp.float32(0.5)] * len(case.arguments)
    )
    inputs = [f"x{k}" for k in range(len(case.arguments))]
    tape = Tape()
    interpreter = Interpreter(tape, "float32", "", with_rules=False)
    results = interpreter.run(closed, [scalar(v) for v in inputs])
    atoms = [atom for result in results for atom in result.ravel()]
    builder = Builder("t")
    values = builder.splice(tape.primal, {})
    section = Section("all", tuple(builder.instructions))
    named = tuple((str(k), values.get(atom, atom)) for k, atom in enumerate(atoms))
    program = eliminate_dead_code(Program(tuple(inputs), (section,), named))
    return count_operations(program.instructions).total


def with_slopes(case: Case, m: Any, outputs: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Any:
    """Outputs and the Jacobian's entries, the rows of spikes multiplied by their slopes."""
    entries = list(outputs)
    for k, row in enumerate(rows):
        entries += [x * slope(m, outputs[k]) for x in row] if k in case.spikes else list(row)
    return entries


def _text_total(lines: Sequence[str]) -> int:
    body = "\n".join(f"    {line}" for line in lines)
    return recount(f"def counted():\n{body}\n")["counted"].total


def _sympy(case: Case) -> tuple[Any, Any, Any, Any]:
    import sympy

    class Spike(sympy.Function):  # type: ignore[misc]
        """Its value is a comparison, which costs nothing."""

        def fdiff(self, argindex: int = 1) -> Any:
            return slope(m, self.args[0])

    m = SimpleNamespace(exp=sympy.exp, abs=sympy.Abs)
    symbols = sympy.symbols(case.arguments)
    outputs = case.step(m, *symbols)
    outputs = [Spike(x) if k in case.spikes else x for k, x in enumerate(outputs)]
    return sympy, symbols, [symbols[case.arguments.index(name)] for name in case.wrt], outputs


def _sympy_total(sympy: Any, replacements: Any, expressions: Any) -> int:
    from sympy.printing.pycode import pycode

    pairs = [*replacements, *((sympy.Symbol(f"r{k}"), e) for k, e in enumerate(expressions))]
    # the spike is a comparison, free like a sign
    settings = {"fully_qualified_modules": False, "user_functions": {"Spike": "sign"}}
    return _text_total([f"{symbol} = {pycode(e, **settings)}" for symbol, e in pairs])


def sympy_cse(case: Case) -> int:
    """sympy's Jacobian, and its common-subexpression elimination over everything."""
    sympy, _, wrt, outputs = _sympy(case)
    jacobian = sympy.Matrix(outputs).jacobian(wrt)
    replacements, reduced = sympy.cse([*outputs, *jacobian], order="canonical")
    return _sympy_total(sympy, replacements, reduced)


def sympy_forward(case: Case) -> int:
    """sympy's forward-mode Jacobian on a graph with merged subexpressions; not public there."""
    from sympy.simplify._cse_diff import _forward_jacobian_cse

    sympy, _, wrt, outputs = _sympy(case)
    replacements, reduced = sympy.cse(sympy.Matrix(outputs))
    replacements, jacobian, _ = _forward_jacobian_cse(replacements, reduced, wrt)
    entries = [*reduced[0], *jacobian[0]]
    # merged once more, with the graph kept and with it substituted, for it leaves equal parts
    kept = [*(e for _, e in replacements), *entries]
    for symbol, e in reversed(replacements):
        entries = [entry.xreplace({symbol: e}) for entry in entries]
    return min(
        _sympy_total(sympy, *sympy.cse(some, symbols=sympy.numbered_symbols("y")))
        for some in (kept, entries)
    )


def casadi_cse(case: Case) -> int:
    """casadi's Jacobian and its `cse`."""
    import casadi as ca

    m = SimpleNamespace(exp=ca.exp, abs=ca.fabs)
    symbols = [ca.SX.sym(name) for name in case.arguments]
    outputs = case.step(m, *symbols)
    wrt = [symbols[case.arguments.index(name)] for name in case.wrt]
    jacobian = ca.jacobian(ca.vertcat(*outputs), ca.vertcat(*wrt))
    rows = [[jacobian[i, j] for j in range(len(wrt))] for i in range(len(outputs))]
    expressions = ca.cse(ca.vertcat(*with_slopes(case, m, outputs, rows)))
    function = ca.Function("counted", symbols, [expressions])
    free = {
        getattr(ca, f"OP_{n}")
        for n in ("INPUT", "OUTPUT", "CONST", "NEG", "FABS", "SIGN", "ASSIGN", "PARAMETER")
    }
    codes = [function.instruction_id(k) for k in range(function.n_instructions())]
    return sum(code not in free for code in codes)


def symforce_cse(case: Case) -> int:
    """symforce's Jacobian and its common-subexpression elimination."""
    import symforce

    symforce.set_epsilon_to_number(0.0)
    import symforce.symbolic as sf

    m = SimpleNamespace(exp=sf.exp, abs=sf.Abs)
    symbols = [sf.Symbol(name) for name in case.arguments]
    outputs = case.step(m, *symbols)
    wrt = [symbols[case.arguments.index(name)] for name in case.wrt]
    rows = [[output.diff(x) for x in wrt] for output in outputs]
    temporaries, reduced = sf.cse(
        with_slopes(case, m, outputs, rows),
        symbols=(sf.Symbol(f"t{k}") for k in range(1000)),
    )
    lines = [f"{symbol} = {e}" for symbol, e in temporaries]
    return _text_total([*lines, *(f"r = {e}" for e in reduced)])


def wrenfold_generated(case: Case) -> int:
    """The Python code that wrenfold generates."""
    from wrenfold import code_generation, sym, type_annotations

    m = SimpleNamespace(exp=sym.exp, abs=sym.abs)

    def counted(**named: Any) -> Any:
        symbols = [named[name] for name in case.arguments]
        outputs = case.step(m, *symbols)
        wrt = [symbols[case.arguments.index(name)] for name in case.wrt]
        rows = [[output.diff(x) for x in wrt] for output in outputs]
        entries = with_slopes(case, m, outputs, rows)
        return [code_generation.OutputArg(e, f"out{k}") for k, e in enumerate(entries)]

    parameter = inspect.Parameter.POSITIONAL_OR_KEYWORD
    scalar_type = type_annotations.FloatScalar
    counted.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, parameter, annotation=scalar_type) for n in case.arguments]
    )
    counted.__annotations__ = dict.fromkeys(case.arguments, scalar_type)
    generator = code_generation.PythonGenerator()
    text = code_generation.generate_function(counted, generator, convert_ternaries=False)
    return recount(text)["counted"].total
