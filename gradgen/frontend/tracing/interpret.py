"""Interprets a jaxpr on arrays of scalars: everything is inlined, unrolled and taken apart.

An array of fixed shape is a numpy array of atoms (variables and constants). Elementwise primitives
become one instruction per element; moving data about becomes nothing at all; integers and truth
values that are constants fold, which is what makes loop counters and indices static.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from gradgen.errors import GradgenError
from gradgen.frontend.tracing import jax_compat, primitives
from gradgen.frontend.tracing.blame import outside, users_code
from gradgen.frontend.tracing.jax_compat import Aval, Eqn
from gradgen.frontend.tracing.tape import Guard, Tape
from gradgen.ir import algebra
from gradgen.ir.code import Atom, Attribute, Const, DType, Instruction, Var, is_float
from gradgen.ir.source import Position, Source

Tensor = Any
"""A numpy array of atoms; numpy's stubs do not know that an element of one is an object."""

MAX_ITERATIONS = 1024
"""Loops are unrolled up to this many iterations."""
MAX_INSTRUCTIONS = 100_000

Handler = Callable[["Interpreter", Eqn, list[Tensor]], list[Tensor]]
HANDLERS: dict[str, Handler] = {}
"""What is not elementwise, by primitive; filled by the modules beside this one."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a function as the handler of primitives."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return register


def scalar(atom: Atom) -> Tensor:
    """An array without axes that holds one atom."""
    tensor = np.empty((), object)
    tensor[()] = atom
    return tensor


def element(tensor: Tensor, number: int) -> Tensor:
    """One element along the first axis, as an array even where that is a single atom."""
    return tensor[number : number + 1].reshape(tensor.shape[1:])


class Interpreter:
    """Runs jaxprs and writes what they compute on a tape."""

    def __init__(
        self,
        tape: Tape,
        working: str,
        source: Source | None,
        *,
        with_rules: bool = True,
        neurons: dict[Var, int] | None = None,
    ) -> None:
        """Interpret in precision `working` (float32 or float64) a function of a source, if any.

        `with_rules` says whether the rules of custom calls are wanted; `neurons`, if given, says
        which neuron of a population each input belongs to, and is kept up to date, so that an
        operation that mixes two of them is refused.
        """
        self.tape = tape
        self.working = working
        self.source = source
        self.with_rules = with_rules
        self.neurons = neurons
        self._guard: Guard = ()
        self._code = tape.primal
        self._enclosing: tuple[Position, ...] = ()
        self._jit_depth = 0

    @contextmanager
    def writing_partials(self, rule: tuple[Position, ...] = ()) -> Iterator[None]:
        """Write to the code of the partials instead of the primal; of a rule, if it has a place."""
        self._code = self.tape.partials
        enclosing, self._enclosing = self._enclosing, rule or self._enclosing
        yield
        self._code, self._enclosing = self.tape.primal, enclosing

    @contextmanager
    def inside_jit(self, eqn: Eqn) -> Iterator[None]:
        """Interpret the body of a jitted function called by an equation."""
        enclosing, self._enclosing = self._enclosing, self.place(eqn)
        depth, self._jit_depth = self._jit_depth, self._jit_depth + 1
        yield
        self._enclosing, self._jit_depth = enclosing, depth

    def place(self, eqn: Eqn) -> tuple[Position, ...]:
        """Where an equation comes from in the source: call sites, the outermost first."""
        if self.source is None:
            return ()
        inner = jax_compat.frames(eqn, self.source, inside_jit=self._jit_depth > 0)
        return (*self._enclosing, *inner)

    @contextmanager
    def only_if(self, guard: Guard) -> Iterator[None]:
        """Write what the source computes under these conditions alone."""
        outer, self._guard = self._guard, (*self._guard, *guard)
        yield
        self._guard = outer

    @property
    def wants_rules(self) -> bool:
        """Whether a custom call met now becomes a vertex with partials."""
        return self.with_rules and self._code is self.tape.primal

    def dtype(self, aval: Aval) -> DType:
        """Our name for a value's dtype."""
        name = str(aval.dtype)
        if is_float(name) and jax_compat.is_weak(aval):
            return "weak"
        return "float" if name == self.working else name

    def run(self, closed: Any, arguments: Sequence[Tensor]) -> list[Tensor]:
        """Interpret a closed jaxpr."""
        constants = [
            self.constant(value, self.dtype(variable.aval))
            for value, variable in zip(closed.consts, closed.jaxpr.constvars, strict=True)
        ]
        return self.run_open(closed.jaxpr, constants, arguments)

    def run_open(
        self, jaxpr: Any, constants: Sequence[Tensor], arguments: Sequence[Tensor]
    ) -> list[Tensor]:
        """Interpret a jaxpr whose constants are given."""
        values: dict[Any, Tensor] = dict(zip(jaxpr.constvars, constants, strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Tensor:
            if jax_compat.is_literal(atom):
                return self.constant(atom.val, self.dtype(atom.aval))
            return values[atom]

        for eqn in jaxpr.eqns:
            results = self.equation(eqn, [read(atom) for atom in eqn.invars])
            values.update(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def constant(self, value: Any, dtype: DType | None = None) -> Tensor:
        """A concrete array as an array of constants."""
        array = np.asarray(value)
        if dtype is None:
            dtype = "float" if str(array.dtype) == self.working else str(array.dtype)
        kind = dtype
        # through float64: the shortest decimal of a float32 is not what the program computes with
        plain = array.astype(np.float64) if is_float(kind) else array
        result = np.empty(array.shape, object)
        for index in np.ndindex(array.shape):
            result[index] = Const(plain[index].item(), kind)
        return result

    def equation(self, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
        """Interpret one equation."""
        name = eqn.primitive.name
        if primitives.is_copy(name):
            return operands
        handler = HANDLERS.get(name)
        if handler is not None:
            results = handler(self, eqn, operands)
            if self.neurons is not None:
                self._check_positions(eqn, results)
            return results
        op = primitives.operation_of(name)
        attributes = None if op is None else primitives.attributes_of(op, eqn.params)
        if op is None or attributes is None:
            raise self.unsupported(eqn, hint=_hint(name))
        return [self.elementwise(eqn, op, operands, attributes)]

    def elementwise(
        self,
        eqn: Eqn,
        op: str,
        operands: Sequence[Tensor],
        attributes: tuple[tuple[str, Attribute], ...] = (),
    ) -> Tensor:
        """One instruction for each element; scalars stretch."""
        aval = eqn.outvars[0].aval
        if "complex" in str(aval.dtype):
            raise self.unsupported(
                eqn, "complex numbers are not supported", "write real and imaginary part apart"
            )
        dtype = self.dtype(aval)
        if op == "convert":
            if dtype == "bool" == self.dtype(eqn.invars[0].aval):
                return operands[0]  # which JAX writes for some weak types alone
            attributes = (("from", _source_kind(self.dtype(eqn.invars[0].aval))),)
        result = np.empty(aval.shape, object)
        stretched: list[Tensor] = [np.broadcast_to(tensor, aval.shape) for tensor in operands]
        for index in np.ndindex(aval.shape):
            atoms = tuple(tensor[index] for tensor in stretched)
            result[index] = self.emit(eqn, op, atoms, dtype, attributes)
        return result

    def emit(
        self,
        eqn: Eqn,
        op: str,
        operands: tuple[Atom, ...],
        dtype: DType,
        attributes: tuple[tuple[str, Attribute], ...] = (),
    ) -> Atom:
        """Write one instruction, unless it folds exactly among integers and truth values."""
        if all(isinstance(a, Const) and not is_float(a.dtype) for a in operands):
            folded = algebra.simplify_exactly(op, operands, attributes, dtype)
            if folded is not None:
                return folded
        if op == "select" and isinstance(operands[0], Const):
            return operands[1] if operands[0].value else operands[2]
        self.require_room(eqn)
        target = self.tape.fresh()
        self._code.append(Instruction(target, op, operands, attributes, dtype))
        held = op == "stop_gradient" or not is_float(dtype)
        if not held and self.tape.active.intersection(operands):
            self.tape.active.add(target)
        self.tape.frames[target] = self.place(eqn)
        if self._guard:
            self.tape.guards[target] = self._guard
        if self.neurons is not None:
            self._check_neurons(eqn, target, operands)
        return target

    def require_room(self, eqn: Eqn) -> None:
        """Raise GradgenError if the code has become too long."""
        if len(self._code) > MAX_INSTRUCTIONS:
            raise self.unsupported(
                eqn,
                f"the function unrolls to more than {MAX_INSTRUCTIONS:,} operations",
                hint="shorten its loops or move them outside the step function",
            )

    def unsupported(
        self,
        eqn: Eqn,
        message: str | None = None,
        hint: str | None = None,
        place: tuple[Position, ...] = (),
    ) -> GradgenError:
        """The error for an equation that cannot be handled, at its source line, or at a place."""
        place = place or self.place(eqn)
        if message is None:
            message = f"the primitive '{eqn.primitive.name}' is not supported"
            hint = hint or outside(eqn, "step function")
        return GradgenError(
            message,
            hint=hint,
            path=None if self.source is None else self.source.path,
            line=place[-1].line if place else None,
            column=place[-1].column if place else 0,
        )

    def users_code(self, place: tuple[Position, ...], what: str) -> AbstractContextManager[None]:
        """A context for what the user wrote there."""
        return users_code(
            None if self.source is None else self.source.path,
            (lambda path, line: None) if self.source is None else self.source.line_of,
            what,
            at=place[-1] if place else None,
        )

    def _check_neurons(self, eqn: Eqn, target: Var, operands: tuple[Atom, ...]) -> None:
        assert self.neurons is not None
        owners = {self.neurons[a] for a in operands if isinstance(a, str) and a in self.neurons}
        if len(owners) > 1:
            raise self._not_per_neuron(eqn)
        if owners:
            self.neurons[target] = owners.pop()

    def _check_positions(self, eqn: Eqn, results: list[Tensor]) -> None:
        """Refuse data that moved from one neuron's place to another's."""
        assert self.neurons is not None
        for tensor in results:
            for index in np.ndindex(tensor.shape):
                owner = self.neurons.get(tensor[index]) if isinstance(tensor[index], str) else None
                if owner is not None and owner not in index:
                    raise self._not_per_neuron(eqn)

    def _not_per_neuron(self, eqn: Eqn) -> GradgenError:
        name = eqn.primitive.name
        return self.unsupported(
            eqn,
            f"the primitive '{name}' mixes different neurons of a population",
            hint="a step function must treat each neuron by itself; if the source is meant for one "
            "neuron and is vmapped by its callers, say so with --per-neuron",
        )


def _source_kind(dtype: DType) -> str:
    if is_float(dtype):
        return "float"
    return "bool" if dtype == "bool" else "int"


def _hint(primitive: str) -> str | None:
    if primitive.startswith(("random", "threefry", "rng")):
        return "draw noise outside the step function and pass it in as an argument"
    return None
