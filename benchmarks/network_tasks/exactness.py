"""An order carried out with numbers: full Jacobians of every equation, eliminated one by one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.network_tasks.tracing import Graph, numbers
from gradgen.search.arrays.states import Steps


def largest_error(graph: Graph, arguments: Any, steps: Steps) -> float:
    """How far the accumulated Jacobian is from JAX's, relative to its largest entry."""
    jaxpr, number = graph.closed.jaxpr, numbers(graph.closed)
    values = dict(zip(jaxpr.invars, arguments, strict=True))
    out: dict[int, dict[int, Any]] = {k: {} for k in number.values()}

    def add(source: int, target: int, matrix: Any) -> None:
        out[source][target] = out[source].get(target, 0.0) + matrix

    for eqn in jaxpr.eqns:
        operands = [v.val if hasattr(v, "val") else values[v] for v in eqn.invars]

        def run(*given: Any, eqn: Any = eqn) -> Any:
            return eqn.primitive.bind(*given, **eqn.params)

        values[eqn.outvars[0]] = result = run(*operands)
        for k, variable in enumerate(eqn.invars):
            if not hasattr(variable, "val"):
                partial = jax.jacfwd(run, k)(*operands)
                matrix = np.asarray(partial).reshape(result.size, jnp.size(operands[k]))
                add(number[variable], number[eqn.outvars[0]], matrix)
    for vertex in steps:
        for source in [s for s, edges in out.items() if vertex in edges]:
            right = out[source].pop(vertex)
            for target, left in out[vertex].items():
                add(source, target, left @ right)
        del out[vertex]
    due = jax.jacrev(lambda *given: jax.core.eval_jaxpr(jaxpr, (), *given), range(len(arguments)))
    worst = 0.0
    for variable, row in zip(jaxpr.outvars, due(*arguments), strict=True):
        for source, entry in zip(jaxpr.invars, row, strict=True):
            expected = np.asarray(entry).reshape(variable.aval.size, source.aval.size)
            found = out[number[source]].get(number[variable], np.zeros_like(expected))
            scale = np.abs(expected).max(initial=1.0)
            error = np.abs(found - expected).max(initial=0.0) / scale
            worst = float(np.maximum(worst, error))  # which keeps what is no number
    return worst
