"""The whole Jacobian of a function on arrays, where it is asked for."""

from __future__ import annotations

from collections.abc import Collection

from gradgen.config import DEFAULT_FUNCTIONS, Settings
from gradgen.elimination.array_graphs import ArrayGraph, ends_of, whole_jacobian
from gradgen.errors import GradgenError
from gradgen.ir.array_module import ArrayJacobian
from gradgen.ir.array_plan import TIP
from gradgen.ir.array_trace import ArrayTrace, Operator, Partial, Passed
from gradgen.ir.code import Var
from gradgen.ir.emitted import stands_on
from gradgen.ir.source import Source
from gradgen.lowering.arrays import ArrayCode
from gradgen.search.arrays.portfolio import Orders, modes


def jacobian_of(
    trace: ArrayTrace, source: Source, settings: Settings, orders: Orders
) -> ArrayJacobian | None:
    """The program of the Jacobian's entries, if there are functions that stand on it.

    Only who names them gets them. Raises GradgenError, with the line of the operation, for a pair
    of an output and an input between which a Jacobian is never formed.
    """
    asked = [name for name in settings.emit if "value_and_jacobian" in stands_on([name])]
    asked = [name for name in asked if name != "value_and_grad"]
    if settings.emit == DEFAULT_FUNCTIONS or not asked:
        return None
    graph, sizes = whole_jacobian(trace), dict(trace.sizes)
    blocked = _blocked(graph)
    if blocked is not None:
        raise _never_formed(trace, source, asked, *blocked)
    plan = orders.cheapest(graph, sizes)
    program, entries = ArrayCode(trace).jacobian(plan)
    return ArrayJacobian(program, plan, entries, tuple(modes(graph, sizes).items()))


def _blocked(graph: ArrayGraph) -> tuple[Var, Var, Var] | None:
    """An output, an input, and the operation between them that is applied to vectors alone."""
    for middle, target, terms in graph.edges:
        for operator in (term for term in terms if not isinstance(term, Partial)):
            inputs, outputs = ends_of(graph, middle, target)
            wide = [v for v in outputs if graph.shapes[v]]
            given = [v for v in inputs if graph.shapes[v]]
            pushed = isinstance(operator, Operator) and operator.pushed is not None
            if isinstance(operator, Passed) or (wide and (given or middle in inputs or not pushed)):
                return (wide or outputs)[0].removeprefix(TIP), (given or inputs)[0], target
    return None


def _never_formed(
    trace: ArrayTrace, source: Source, asked: Collection[str], output: Var, given: Var, at: Var
) -> GradgenError:
    paths = {o.atom: o.path for o in reversed(trace.float_outputs)}
    inputs = {i.variable: i.path for i in trace.inputs}
    elemental = next(e for e in trace.elementals if e.target == at)
    operation = "a rule of its own" if elemental.operation == "copy" else elemental.operation
    place, name = elemental.place or source.position, source.function
    return GradgenError(
        f"the Jacobian of {paths[output]} by {inputs[given]} goes through {operation}, which is "
        "applied to vectors and never stored",
        hint=f"differentiate by other arguments with --wrt, or leave {', '.join(asked)} out of "
        f"--emit: {name}_vjp and {name}_jvp take products with it",
        path=source.path,
        line=place.line,
        column=place.column,
    )
