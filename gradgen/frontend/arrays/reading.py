"""Reads a jaxpr on arrays as straight-line code: everything is inlined, nothing is taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.arrays import moving
from gradgen.frontend.arrays.dims import shape_of
from gradgen.frontend.arrays.expansions import expansion_of
from gradgen.frontend.tracing import jax_compat, primitives
from gradgen.frontend.tracing.blame import outside
from gradgen.frontend.tracing.jax_compat import CALLS, REMATERIALISED, RULED, Aval, Eqn
from gradgen.frontend.tracing.tape import Guard
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.shapes import Shape, joined
from gradgen.ir.shapes import shape_of as shape_of_instruction
from gradgen.ir.source import Position, Source

MOST_ELEMENTS = 64
"""Arrays that are none of the arguments are written into the text up to so many elements."""

_DRAWN = ("_normal", "_uniform", "_bernoulli", "_randint")


Handler = Callable[["Reading", Eqn, tuple[Atom, ...]], Sequence[Atom]]
HANDLERS: dict[str, Handler] = {}
"""What is neither elementwise nor a movement, by primitive; filled by `control`."""


def handles(name: str) -> Callable[[Handler], Handler]:
    """Register a function as the handler of a primitive."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


@dataclass
class Reading:
    """What has been read of a source in one precision; it grows."""

    source: Source
    working: str
    builder: Builder
    shapes: dict[Var, Shape]
    frames: dict[Var, tuple[Position, ...]] = field(default_factory=dict)
    equations: dict[Var, tuple[Eqn, tuple[Atom, ...], int]] = field(default_factory=dict)
    """For what is not elementwise, or has a rule of its own: the equation, its operands, and which
    of its results this is."""
    sizes: dict[Var, Any] = field(default_factory=dict)
    """JAX's symbols for the numbers that are sizes of axes."""
    calls: int = 0
    guards: dict[Var, Guard] = field(default_factory=dict)
    """What is computed in one branch only, and when it is taken."""
    _loops: int = 0
    _given: int = 0
    _guard: Guard = ()
    _depth: int = 0
    _enclosing: tuple[Position, ...] = ()

    def on_top(self, prefix: str) -> Reading:
        """To go on in code of its own, which may read all that is known here."""
        builder = Builder(prefix, self.builder.instructions)
        return replace(
            self,
            builder=builder,
            shapes=dict(self.shapes),
            frames={},
            equations={},
            guards={},
            sizes=dict(self.sizes),
            calls=0,
        )

    def inside(self) -> Reading:
        """To read the steps of a loop, in variables of their own; what is known of them is known
        here as well."""
        self._loops += 1
        builder = Builder(f"{self.builder.prefix}l{self._loops}_")
        inner = replace(self, builder=builder, _loops=0)
        inner._given = 0
        return inner

    def new_name(self) -> Var:
        """A name for what a step is given."""
        self._given += 1
        return f"{self.builder.prefix}g{self._given}"

    def emit_as_is(self, instruction: Instruction) -> Atom:
        """Write an instruction that has all its attributes, under a new name."""
        atom = self.builder.emit_exactly(replace(instruction, target=""))
        if isinstance(atom, str) and atom not in self.shapes:
            self.shapes[atom] = shape_of_instruction(instruction, self.shapes)
        return atom  # type: ignore[return-value]

    def dtype(self, aval: Aval) -> DType:
        """Our name for a value's dtype."""
        name = str(aval.dtype)
        if name.startswith("key<"):
            return "key"
        if name == self.working:
            return "weak" if jax_compat.is_weak(aval) else "float"
        usual = str(jnp.result_type(int))
        return {usual: "int", f"u{usual}": "uint"}.get(name, name)

    def shape(self, atom: Atom) -> Shape:
        """The shape of what is known."""
        return self.shapes[atom] if isinstance(atom, str) else ()

    def run(self, closed: Any, operands: Sequence[Atom]) -> list[Atom]:
        """Read a closed jaxpr; returns where its results are."""
        constants = [
            self._constant(value, self.dtype(variable.aval))
            for value, variable in zip(closed.consts, closed.jaxpr.constvars, strict=True)
        ]
        return self.run_open(closed.jaxpr, constants, operands)

    def run_open(
        self, jaxpr: Any, constants: Sequence[Atom], operands: Sequence[Atom]
    ) -> list[Atom]:
        """Read a jaxpr whose constants are given."""
        values: dict[Any, Atom] = dict(zip(jaxpr.constvars, constants, strict=True))
        values.update(zip(jaxpr.invars, operands, strict=True))

        def read(atom: Any) -> Atom:
            if jax_compat.is_literal(atom):
                return self._constant(atom.val, self.dtype(atom.aval))
            return values[atom]

        for eqn in jaxpr.eqns:
            results = self._equation(eqn, tuple(read(atom) for atom in eqn.invars))
            values.update(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def emit(
        self,
        op: str,
        operands: Sequence[Atom],
        attributes: moving.Attributes = (),
        dtype: DType = "float",
        shape: Shape | None = None,
    ) -> Atom:
        """Write one instruction; an operation that is not elementwise has its shape stated."""
        if shape is None:
            operands = tuple(map(self._lean, operands))
            found = joined(map(self.shape, operands))
        else:
            attributes, found = (*attributes, ("shape", shape)), shape
        atom = self.builder.emit_exactly(Instruction("", op, tuple(operands), attributes, dtype))
        if isinstance(atom, str):
            self.shapes.setdefault(atom, found)
        return atom  # type: ignore[return-value]

    def indices(self, atom: Atom) -> tuple[Any, ...] | None:
        """The integers in a number or a list, as far as they are known: numbers, or JAX's sizes."""
        if isinstance(atom, Const):
            return (int(atom.value),)
        if atom in self.sizes:
            return (self.sizes[atom],)
        found, shape = self.builder.definition(atom), self.shape(atom)
        if found is None or len(shape) > 1:
            return None
        inner = [self.indices(operand) for operand in found.operands]
        known = [x for one in inner if one is not None for x in one]
        if None in inner:
            return None
        if found.op == "broadcast" and len(known) == 1 and shape:
            return tuple(known * int(shape[0])) if isinstance(shape[0], int) else None
        if found.op in ("literal", "concatenate"):
            return tuple(known)
        is_kept = found.op == "convert" and found.attribute("from") == "int"
        return tuple(known) if is_kept else None

    @contextmanager
    def only_if(self, guard: Guard) -> Iterator[None]:
        """Read what the source computes under these conditions alone."""
        outer, self._guard = self._guard, (*self._guard, *guard)
        yield
        self._guard = outer

    def spread(self, atom: Atom, shape: Shape, dtype: DType = "float") -> Atom:
        """A value in the full shape that it stands for."""
        own = self.shape(atom)
        if own == shape and isinstance(atom, str):
            return atom
        dims = tuple(range(len(shape) - len(own), len(shape)))
        return self.emit("broadcast", (atom,), (("dims", dims), ("own", own)), dtype, shape)

    def _lean(self, atom: Atom) -> Atom:
        """What an elementwise operation may read in place of a value that is only stretched."""
        found = self.builder.definition(atom)
        if found is None or found.op != "broadcast":
            return atom
        (operand,) = found.operands
        rank, own = len(self.shape(atom)), self.shape(operand)
        trailing = found.attribute("dims") == tuple(range(rank - len(own), rank))
        return operand if trailing else atom

    def _equation(self, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
        builder, place = self.builder, self._place(eqn)
        outer = builder.line
        if place:
            builder.line = place[-1].line
        found = self._read(eqn, operands)
        builder.line = outer
        return found

    def _read(self, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
        name = eqn.primitive.name
        if primitives.is_copy(name):
            return operands
        if _draws(eqn):
            function, given = str(eqn.params["name"]).strip("_"), jax_compat.argument_names(eqn)
            if given is None:
                raise self.unsupported(
                    eqn,
                    "the gradient of a loop draws random numbers in a way that is not supported",
                    "draw them before the loop, for all steps",
                )
            drawn: moving.Attributes = (("function", function), ("given", given))
            return [self.moved(eqn, "random", drawn, operands)]
        if name in (*CALLS, *REMATERIALISED):
            return self._inline(eqn, operands)
        if name in RULED:
            return self._ruled(eqn, operands)
        handler = HANDLERS.get(name)
        if handler is not None:
            return handler(self, eqn, operands)
        expansion = expansion_of(eqn)
        if expansion is not None:
            return self.expanded(eqn, expansion, operands, [v.aval for v in eqn.invars])
        op = primitives.operation_of(name)
        attributes = None if op is None else primitives.attributes_of(op, eqn.params)
        if op is not None and attributes is not None:
            return [self.elementwise(eqn, op, operands, attributes)]
        try:
            found = moving.operation_of(eqn)
        except moving.NoTextError as error:
            raise self.unsupported(eqn, f"a form of '{name}' is not supported: {error}") from None
        if found is None:
            raise self.unsupported(eqn)
        op, attributes = found
        if len(eqn.outvars) == 1:
            return [self.moved(eqn, op, attributes, operands)]
        numbers = range(len(eqn.outvars))
        return [
            self.moved(eqn, op, (*attributes, ("result", k)), operands, number=k) for k in numbers
        ]

    def elementwise(
        self, eqn: Eqn, op: str, operands: tuple[Atom, ...], attributes: moving.Attributes = ()
    ) -> Atom:
        """Write what an elementwise equation computes."""
        aval = eqn.outvars[0].aval
        if "complex" in str(aval.dtype):
            raise self.unsupported(eqn, "complex numbers are not supported")
        dtype, shape = self.dtype(aval), shape_of(aval.shape)
        if op == "convert" and dtype == "uint":
            raise self.unsupported(eqn, "conversions to unsigned integers are not supported")
        if op == "convert":
            kept = self._converted(eqn, operands[0], dtype)
            if kept is not None:
                return kept
            attributes = (("from", _kind(self.dtype(eqn.invars[0].aval))),)
        atom = self.emit(op, operands, attributes, dtype)
        self._noted(atom, eqn)
        if self.shape(atom) != shape:
            # all operands were stretched
            atom = self.spread(atom, shape, dtype)
            self._noted(atom, eqn)
        return atom

    def _converted(self, eqn: Eqn, operand: Atom, dtype: DType) -> Atom | None:
        """What a conversion comes to where nothing has to be written."""
        before = self.dtype(eqn.invars[0].aval)
        # what is weakly typed is made of numbers alone, and has the dtype of none of the arguments
        same = before == dtype or (before, dtype) == ("float", "weak")
        found = self.builder.definition(operand)
        if found is not None and found.op == "size":
            # a number of Python, which takes the dtype of what it meets
            return operand
        if same and isinstance(operand, str):
            return operand
        if isinstance(operand, Const):
            return Const(operand.value, dtype) if is_float(dtype) else None
        if found is not None and found.op == "literal" and is_float(dtype):
            numbers = [Const(a.value, "weak") for a in found.operands if isinstance(a, Const)]
            return self.emit("literal", numbers, (), dtype, self.shape(operand))
        return None

    def moved(
        self,
        eqn: Eqn,
        op: str,
        attributes: moving.Attributes,
        operands: tuple[Atom, ...],
        number: int = 0,
    ) -> Atom:
        """Write one result of an equation that is not elementwise, whose shape is its own."""
        aval = eqn.outvars[number].aval
        shape, dtype = shape_of(aval.shape), self.dtype(aval)
        if op == "reshape" and self.shape(operands[0]) == shape and isinstance(operands[0], str):
            return operands[0]
        if op == "reshape" and isinstance(operands[0], Const):
            return self.spread(operands[0], shape, dtype)
        if op == "broadcast":
            attributes = (*attributes, ("own", self.shape(operands[0])))
        atom = self.emit(op, operands, attributes, dtype, shape)
        self._noted(atom, eqn)
        if isinstance(atom, str):
            self.equations.setdefault(atom, (eqn, operands, number))
        return atom

    def _inline(self, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
        body = eqn.params.get("jaxpr")
        enclosing, depth = self._enclosing, self._depth
        self._enclosing, self._depth = self._place(eqn), depth + (eqn.primitive.name == "jit")
        try:
            if hasattr(body, "consts"):
                return self.run(body, operands)
            return self.run_open(body, (), operands)
        finally:
            self._enclosing, self._depth = enclosing, depth

    def _ruled(self, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
        """A call with a rule of its own: its results are vertices, whatever is computed inside."""
        body = eqn.params.get("call_jaxpr") or eqn.params["fun_jaxpr"]
        results = []
        for k, atom in enumerate(self.run(body, operands)):
            aval = eqn.outvars[k].aval
            dtype, shape = self.dtype(aval), shape_of(aval.shape)
            if not is_float(dtype):
                results.append(atom)
                continue
            if self.shape(atom) != shape or isinstance(atom, Const):
                atom = self.spread(atom, shape, dtype)
            self.calls += 1
            vertex = self.emit("copy", (atom,), (("call", self.calls),), dtype)
            self._noted(vertex, eqn)
            assert isinstance(vertex, str)
            self.equations[vertex] = eqn, operands, k
            results.append(vertex)
        return results

    def _constant(self, value: Any, dtype: DType) -> Atom:
        array = np.asarray(value)
        plain = array.astype(np.float64) if is_float(dtype) else array
        if plain.ndim == 0:
            return Const(plain.item(), "weak" if dtype == "float" else dtype)
        shape = shape_of(array.shape)
        numbers = [Const(x, "weak" if dtype == "float" else dtype) for x in plain.ravel().tolist()]
        if len(set(numbers)) < 2:
            return self.spread(numbers[0] if numbers else Const(0, dtype), shape, dtype)
        if len(numbers) > MOST_ELEMENTS:
            raise error_in(
                self.source,
                f"'{self.source.function}' reads an array of shape {array.shape} that is none of "
                f"its arguments, of more than {MOST_ELEMENTS} elements",
                hint="make it an argument, with a shape of its own",
            )
        return self.emit("literal", numbers, (), dtype, shape)

    def expanded(
        self,
        eqn: Eqn,
        function: Callable[..., list[Any]],
        operands: Sequence[Atom],
        avals: Sequence[Aval],
    ) -> list[Atom]:
        """What an equation is in terms of simpler ones: those of a function of its operands."""
        if not avals:
            return function()
        closed = jax.make_jaxpr(function)(*(jax_compat.shaped(a.shape, a.dtype) for a in avals))
        enclosing, self._enclosing = self._enclosing, self._place(eqn)
        full = [
            atom if isinstance(atom, str) else self.spread(atom, shape_of(a.shape), self.dtype(a))
            for atom, a in zip(operands, avals, strict=True)
        ]
        found = self.run(closed, full)
        self._enclosing = enclosing
        return found

    def _place(self, eqn: Eqn) -> tuple[Position, ...]:
        inner = jax_compat.frames(eqn, self.source, inside_jit=self._depth > 0)
        return (*self._enclosing, *inner)

    def _noted(self, atom: Atom, eqn: Eqn) -> None:
        if isinstance(atom, str) and atom not in self.frames:
            self.frames[atom] = self._place(eqn)
            if self._guard:
                self.guards[atom] = self._guard

    def refused(self, variable: Var, message: str, hint: str) -> GradgenError:
        """The error for what cannot be done with a variable, at its source line."""
        place = self.frames.get(variable, ())
        return GradgenError(
            message,
            hint=hint,
            path=self.source.path,
            line=place[-1].line if place else self.source.position.line,
            column=place[-1].column if place else 0,
        )

    def unsupported(
        self,
        eqn: Eqn,
        message: str | None = None,
        hint: str | None = None,
    ) -> GradgenError:
        """The error for an equation that cannot be read, at its source line."""
        place = self._place(eqn)
        return GradgenError(
            message or f"the primitive '{eqn.primitive.name}' is not supported in arrays",
            hint=hint or outside(eqn, "function"),
            path=self.source.path,
            line=place[-1].line if place else self.source.position.line,
            column=place[-1].column if place else 0,
        )


def _draws(eqn: Eqn) -> bool:
    """Whether an equation is a call of one of the functions that draw at random.

    They are kept whole: what they do with bits differs between precisions.
    """
    named = eqn.primitive.name in ("jit", "pjit") and eqn.params.get("name") in _DRAWN
    return named and bool(eqn.invars) and str(eqn.invars[0].aval.dtype).startswith("key<")


def _kind(dtype: DType) -> str:
    if is_float(dtype):
        return "float"
    return "bool" if dtype == "bool" else "int"
