"""The whole Jacobian of a function on arrays, where it is asked for."""

from __future__ import annotations

from gradgen.compile.array_refusals import never_formed
from gradgen.config import DEFAULT_FUNCTIONS, Settings
from gradgen.elimination.array_graphs import blocked, whole_jacobian
from gradgen.ir.array_module import ArrayJacobian
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.emitted import EMITTED_ON_ARRAYS
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
    asked = [
        name for name in settings.emit if "value_and_jacobian" in EMITTED_ON_ARRAYS[name].programs
    ]
    if settings.emit == DEFAULT_FUNCTIONS or not asked:
        return None
    graph, sizes = whole_jacobian(trace), dict(trace.sizes)
    found = blocked(graph)
    if found is not None:
        name = source.name
        raise never_formed(
            trace,
            source,
            "the Jacobian",
            f"differentiate by other arguments with --wrt, or leave {', '.join(asked)} out of "
            f"--emit: {name}_vjp and {name}_jvp take products with it",
            *found,
        )
    plan = orders.cheapest(graph, sizes)
    program, entries = ArrayCode(trace).jacobian(plan)
    return ArrayJacobian(program, plan, entries, tuple(modes(graph, sizes).items()))
