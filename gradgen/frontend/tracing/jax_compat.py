"""Everything that differs between JAX versions, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import jax
import jax.extend.core as jex
from jax.interpreters import partial_eval

from gradgen.ir.source import Position, Source

Eqn = Any
Aval = Any

CALLS = ("jit", "pjit", "closed_call", "core_call")
"""Primitives that call a program, which stands for itself."""
REMATERIALISED = ("remat", "remat2", "checkpoint")
"""Those whose program is computed again on the way back."""
RULED = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
"""Those whose program has rules of its own."""


def x64(enabled: bool) -> AbstractContextManager[Any]:
    """A context in which float64 is available, or not."""
    context: AbstractContextManager[Any] = jax.enable_x64(enabled)
    return context


def live(closed: Any) -> Any:
    """The program without what no result is computed from, in what it calls too."""
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, True, instantiate=True)
    return closed.replace(jaxpr=jaxpr)


_USUAL = {
    "jax_check_tracer_leaks": False,
    "jax_debug_infs": False,
    "jax_debug_nans": False,
    "jax_disable_jit": False,
    "jax_no_tracing": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_transfer_guard": None,
}
"""What the environment or a source may have set for its own programs, and what gradgen needs."""


@contextmanager
def as_usual() -> Iterator[None]:
    """A context in which JAX traces and promotes as it does where nobody asked otherwise.

    In all threads; what is made does not depend on the environment.
    """
    before = {name: getattr(jax.config, name) for name in _USUAL if hasattr(jax.config, name)}
    changed = {name for name, value in before.items() if value != _USUAL[name]}
    try:
        for name in changed:
            jax.config.update(name, _USUAL[name])  # type: ignore[no-untyped-call]
        yield
    finally:
        for name in changed:
            jax.config.update(name, before[name])  # type: ignore[no-untyped-call]


@contextmanager
def platforms_kept() -> Iterator[None]:
    """A context after which JAX computes on what it did before."""
    before = jax.config.jax_platforms  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if jax.config.jax_platforms != before:  # type: ignore[attr-defined]
            jax.config.update("jax_platforms", before)  # type: ignore[no-untyped-call]


def shaped(shape: tuple[int, ...], dtype: Any, weak: bool = False) -> Aval:
    """A stand-in for an array when tracing."""
    return jax.ShapeDtypeStruct(shape, dtype, weak_type=weak)  # type: ignore[no-untyped-call]


def is_literal(atom: Any) -> bool:
    """Whether an operand of an equation is a literal."""
    return isinstance(atom, jex.Literal)


def is_weak(aval: Aval) -> bool:
    """Whether a value is weakly typed."""
    return bool(getattr(aval, "weak_type", False))


def equation_function(eqn: Eqn) -> Callable[..., list[Any]]:
    """The equation as a function of its operands that are not literals.

    Differentiating it applies the rule of a custom_jvp or custom_vjp call; binding the call
    primitives by hand does not. The equation forgets its place, which its rule's own would become.
    """
    operands = []
    for atom in eqn.invars:
        if not is_literal(atom) and atom not in operands:
            operands.append(atom)
    moved = jex.new_jaxpr_eqn(eqn.invars, eqn.outvars, eqn.primitive, eqn.params, eqn.effects)
    jaxpr = jex.Jaxpr((), operands, eqn.outvars, [moved], debug_info=_debug_info(eqn, operands))
    function: Callable[..., list[Any]] = jex.jaxpr_as_fun(jex.ClosedJaxpr(jaxpr, ()))
    return function


def _debug_info(eqn: Eqn, operands: Sequence[Any]) -> Any:
    return jex.DebugInfo(
        "equation",
        eqn.primitive.name,
        tuple(f"operand{i}" for i in range(len(operands))),
        tuple(f"result{i}" for i in range(len(eqn.outvars))),
    )


def rule_name(eqn: Eqn) -> str:
    """The name of the function behind a custom_jvp or custom_vjp call."""
    named = eqn.params.get("name")
    if named is None:
        named = eqn.params["call_jaxpr"].jaxpr.debug_info.func_src_info.split(" at ")[0]
    return str(named)


def argument_names(eqn: Eqn) -> tuple[str, ...] | None:
    """What the function behind a call of `jit` calls its operands; by keyword they are sorted.

    None where JAX does not know any more, as in the part of a gradient that comes first.
    """
    names = eqn.params["jaxpr"].jaxpr.debug_info.arg_names
    return None if names is None else tuple(map(str, names))


def rule_place(eqn: Eqn, source: Source | None) -> tuple[Position, ...]:
    """Where the derivative rule behind a custom_jvp or custom_vjp call is defined in the source."""
    rule = eqn.params.get("jvp_jaxpr_fun", eqn.params.get("bwd"))
    described = str(getattr(getattr(rule, "debug_info", None), "func_src_info", ""))
    path, _, number = described.partition(" at ")[2].rpartition(":")
    if source is None or path not in source.files or not number.isdecimal():
        return ()
    line = source.line_of(path, int(number))
    return () if line is None else (Position(line, 0, line, 0),)


def scan_counts(eqn: Eqn) -> tuple[int, int]:
    """The numbers of constants and of carried values of a scan.

    Carried values keep their rank from the body to the equation; scanned ones gain an axis.
    """
    body = eqn.params["jaxpr"].jaxpr
    carried = sum(
        inner.aval.ndim == outer.aval.ndim
        for inner, outer in zip(body.outvars, eqn.outvars, strict=True)
    )
    scanned = sum(
        inner.aval.ndim != outer.aval.ndim
        for inner, outer in zip(body.invars, eqn.invars, strict=True)
    )
    return len(body.invars) - carried - scanned, carried


def frames(eqn: Eqn, source: Source, *, inside_jit: bool) -> tuple[Position, ...]:
    """Where an equation comes from in the source: call sites, the outermost first.

    JAX traces a jitted function once and keeps the result, so that further out than its body the
    places are those of its first call; `inside_jit` leaves them out.
    """
    traceback = eqn.source_info.traceback
    if traceback is None:
        return ()
    codes, instructions = traceback.raw_frames()
    found = []
    for code, instruction in zip(codes, instructions, strict=True):
        if inside_jit and code.co_filename.endswith("pjit.py"):
            break
        if code.co_filename in source.files:
            location = Position(*type(traceback).code_addr2location(code, instruction))
            line = source.line_of(code.co_filename, location.line)
            if line is not None:
                found.append(location.moved(line - location.line))
    return tuple(reversed(found))
