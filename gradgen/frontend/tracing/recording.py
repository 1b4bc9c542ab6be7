"""One tracing of a step function, in one precision, on leaves of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import GradgenError
from gradgen.frontend.tracing import control as _control  # noqa: F401  (registers handlers)
from gradgen.frontend.tracing import expansions as _expansions  # noqa: F401
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing import movement as _movement  # noqa: F401
from gradgen.frontend.tracing import rules as _rules  # noqa: F401
from gradgen.frontend.tracing.blame import place_of, users_code
from gradgen.frontend.tracing.interpret import Interpreter, Tensor
from gradgen.frontend.tracing.load import importable_beside
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import DType, Var, is_float
from gradgen.ir.source import Source


@dataclass(frozen=True)
class Recording:
    """What one tracing gives: the tape, the result, and for each of its leaves atoms and dtype."""

    tape: Tape
    result: Any
    """The user's pytree, holding tracers."""
    outputs: list[Tensor]
    dtypes: list[DType]


def record(
    source: Source,
    function: Callable[..., Any],
    signature: Signature,
    working: str,
    shape: tuple[int, ...] = (),
    tape: Tape | None = None,
    neurons: dict[Var, int] | None = None,
    with_rules: bool = True,
    dtypes: Sequence[DType] | None = None,
    integers: DType = "int32",
) -> Recording:
    """Trace once, on leaves of the given shape.

    Their floats have the dtype `working`, unless `dtypes` says another one for each leaf. Integers
    of the dtype `int` are those of Python: weakly typed.
    """
    tape = Tape() if tape is None else tape
    usual = {"float": working, "int": integers, "bool": "bool"}
    if dtypes is None:
        dtypes = [usual[leaf.kind] for leaf in signature.leaves]
    with jax_compat.x64(working == "float64"), importable_beside(source.path):
        weak = {"weak": working, "int": str(jnp.result_type(int))}
        avals = [
            jax_compat.shaped(shape, weak.get(dtype, dtype), dtype in weak) for dtype in dtypes
        ]
        results: list[Any] = []

        def flat(*leaves: Any) -> Any:
            results.append(signature.call(function, leaves))
            return jax.tree.leaves(results[-1])

        closed = _make_jaxpr(source, flat, avals, working)
        interpreter = Interpreter(tape, working, source, with_rules=with_rules, neurons=neurons)
        operands: list[Tensor] = []
        for i in range(len(avals)):
            tensor = np.empty(shape, object)
            for k, index in enumerate(np.ndindex(shape)):
                tensor[index] = f"x{i}" if shape == () else f"x{i}.{k}"
            if is_float(str(avals[i].dtype)):
                tape.active.update(tensor.flat)
            operands.append(tensor)
        outputs = interpreter.run(closed, operands)
        found = [interpreter.dtype(aval) for aval in closed.out_avals]
    return Recording(tape, results[-1], outputs, found)


def _make_jaxpr(
    source: Source, flat: Callable[..., Any], avals: Sequence[Any], working: str
) -> Any:
    with users_code(
        source.path,
        source.line_of,
        f"'{source.function}' cannot be traced on scalars",
        "each argument is traced as one float; say otherwise with a comment such as "
        "'# gradgen: example state=(v, i) params={tau}', or with --example FILE:FUNCTION; "
        + binding(source),
        at=source.position,
    ):
        try:
            return jax.make_jaxpr(flat)(*avals)
        except NOT_KNOWN as error:
            raise not_known(source, error) from error


NOT_KNOWN = jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError
"""What JAX raises where Python needs a value that is traced."""


def not_known(source: Source, error: Exception) -> GradgenError:
    """What to say of one of these."""
    line, column = place_of(error, source.line_of)
    if isinstance(error, jax.errors.TracerBoolConversionError):
        what, hint = "branches", f"use jnp.where or jax.lax.cond; {binding(source)}"
    else:
        what, hint = "counts or indexes", binding(source)
    return GradgenError(
        f"'{source.function}' {what} in Python on a value that is only known at run time",
        hint=hint,
        path=source.path,
        line=line or source.position.line,
        column=column,
    )


def binding(source: Source) -> str:
    """The hint that something may be no input at all."""
    part = "a field" if source.instance else "an argument"
    name = f"{source.instance}.NAME" if source.instance else "NAME"
    return f"bind {part} that is a plain setting with --static {name}=VALUE"
