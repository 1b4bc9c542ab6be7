"""The gradient of a loss as a function on arrays, which can be traced as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gradgen.frontend.arrays.stated import Stated
from gradgen.frontend.arrays.trace import trace_arrays
from gradgen.frontend.tracing.gradient import (
    loss_gradient,
    of_second_order,
    require_number,
    require_same_precisions,
)
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.source import Source


def trace_loss_gradient(
    source: Source,
    function: Callable[..., Any],
    signature: Signature,
    stated: Stated,
    of: ArrayTrace,
) -> ArrayTrace:
    """The gradient of a loss that was traced, with an output for each differentiated input.

    JAX writes down its own gradient: a loop over time is one loop forwards, and one backwards.
    Raises GradgenError where there is no derivative of it, with the line of the source.
    """
    require_number(source, is_number=of.is_loss)
    chosen = [k for k, i in enumerate(of.inputs) if i.wrt]
    paths = [i.path for i in of.inputs if i.wrt]
    gradient = loss_gradient(function, signature, chosen)
    with of_second_order(source, gradient, signature, stated.avals):
        found = trace_arrays(source, gradient, signature, stated, frozenset(paths))
    require_same_precisions(source, found.single, of.single)
    outputs = (
        replace(output, path=f"gradient.{path}")
        for output, path in zip(found.outputs, paths, strict=True)
    )
    return replace(found, outputs=tuple(outputs))
