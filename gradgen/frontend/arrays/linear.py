"""The partials of operations on arrays: patterns where there is one, else linear maps from JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from gradgen.errors import GradgenError
from gradgen.frontend.arrays import dims
from gradgen.frontend.arrays.reading import Reading
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.blame import users_code
from gradgen.frontend.tracing.differentiate import only_if
from gradgen.frontend.tracing.linear_rule import NOT_LINEAR
from gradgen.frontend.tracing.linearity import nonlinear
from gradgen.frontend.tracing.partials import NoPartialError, emit_partial
from gradgen.ir.algebra import mask_values
from gradgen.ir.array_trace import Applied, Operator, Partial
from gradgen.ir.builder import Builder
from gradgen.ir.code import (
    Atom,
    Const,
    DType,
    Instruction,
    Var,
    is_float,
    is_zero,
    live_code,
    substitute,
)
from gradgen.ir.loops import uncopied
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.patterns import Label, Pattern
from gradgen.ir.shapes import Dim, Shape, shape_of
from gradgen.ir.source import Position

_FITTING = (
    "a rule gives each tangent, or cotangent, the shape and the dtype of what it belongs to, and "
    "cotangents as a tuple"
)
_OTHERWISE = (
    "hold its operands constant with jax.lax.stop_gradient, or give it a jax.custom_jvp rule"
)
_NO_CODE = (
    NotImplementedError,
    TypeError,
    ValueError,
    GradgenError,
    jax.errors.InconclusiveDimensionOperation,
)
"""What shows that a rule of JAX cannot be written as code."""
_EXTREMA = ("reduce_max", "reduce_min")
"""What is compared with what it was computed from: XLA may compute that twice, otherwise rounded,
and nothing would equal its own maximum."""


class PartialWriter:
    """Writes the code of partials on top of a primal that was read."""

    def __init__(self, reading: Reading, dtypes: Mapping[Var, DType]) -> None:
        """`dtypes` are those of the inputs."""
        self._reading = reading
        self._dtypes = dtypes
        self.builder = Builder("p", reading.builder.instructions)
        self._shapes = dict(reading.shapes)
        self._operators = 0

    def parts(self, instruction: Instruction, active: set[Var]) -> list[Partial | Operator]:
        """The partials of an instruction by its operands that are differentiated.

        Raises GradgenError, with the line, where there are none.
        """
        if instruction.op == "copy":
            return self._ruled(instruction, active)
        if OPERATIONS[instruction.op].kind != "array":
            return [
                self._diagonal(instruction.target, atom, self._slot(instruction, slot))
                for slot, atom in enumerate(instruction.operands)
                if isinstance(atom, str) and atom in active
            ]
        known = _PATTERNS.get(instruction.op)
        found: list[Partial | Operator] = []
        for atom in dict.fromkeys(a for a in instruction.variables if a in active):
            slots = [k for k, other in enumerate(instruction.operands) if other == atom]
            parts = [known(self, instruction, k) for k in slots] if known is not None else [None]
            # a linear map is that of all places where a variable stands
            if None in parts:
                found.append(self._operator(instruction, atom))
            else:
                found += [part for part in parts if part is not None]
        return found

    def shape(self, atom: Atom) -> Shape:
        """The shape of a value, of the primal or of a partial."""
        if isinstance(atom, Const):
            return ()
        if atom not in self._shapes:
            definition = self.builder.definition(atom)
            assert definition is not None
            for operand in definition.variables:
                self.shape(operand)
            self._shapes[atom] = shape_of(definition, self._shapes)
        return self._shapes[atom]

    def _slot(self, instruction: Instruction, slot: int) -> Atom:
        try:
            partial = emit_partial(self.builder, instruction, slot, self._dtypes)
        except NoPartialError as error:
            raise self._without_partial(instruction, str(error)) from error
        return only_if(self.builder, self._reading.guards.get(instruction.target, ()), partial)

    def _without_partial(
        self,
        instruction: Instruction,
        message: str,
        hint: str = _OTHERWISE,
        place: Sequence[Position] = (),
    ) -> GradgenError:
        source = self._reading.source
        place = place or self._reading.frames.get(instruction.target, ())
        return GradgenError(
            message,
            hint=hint,
            path=source.path,
            line=place[-1].line if place else source.position.line,
            column=place[-1].column if place else 0,
        )

    def _diagonal(self, target: Var, operand: Var, atom: Atom) -> Partial:
        """The partial of an elementwise operation, whose operand may be stretched."""
        rows = tuple(range(len(self.shape(target))))
        dims: dict[Label, Dim] = dict(enumerate(self.shape(target)))
        columns = _stretched(self.shape(operand), rows, dims)
        layout = tuple(
            None if dims[label] == 1 else label
            for label in _stretched(self.shape(atom), rows, dims)
        )
        return self._partial(operand, rows, columns, dims, atom, layout)

    def _partial(
        self,
        source: Var,
        rows: Sequence[Label],
        columns: Sequence[Label],
        dims: dict[Label, Dim],
        atom: Atom,
        layout: Sequence[Label | None],
        *,
        contracts: bool = False,
    ) -> Partial:
        held = frozenset(label for label in layout if label is not None)
        free = mask_values(self.builder, atom) is not None
        if isinstance(atom, Const):
            free = abs(atom.value) == 1
        pattern, number = Pattern.of(
            tuple(rows), tuple(columns), held, dims, free=free, contracts=contracts
        )
        numbered = tuple(None if label is None else number[label] for label in layout)
        return Partial(source, pattern, atom, numbered)

    def _ruled(self, instruction: Instruction, active: set[Var]) -> list[Partial | Operator]:
        """A call with a rule of its own: what the rule makes of a unit, if it is elementwise."""
        _, operands, _ = self._reading.equations[instruction.target]
        self._require_linear(instruction)
        found: list[Partial | Operator] = []
        for atom in dict.fromkeys(a for a in operands if isinstance(a, str) and a in active):
            operator = self._operator(instruction, atom)
            unit = self._at_unit(operator)
            if unit is None:
                found.append(operator)
            elif not is_zero(unit):
                found.append(self._diagonal(instruction.target, atom, unit))
        return found

    def _require_linear(self, instruction: Instruction) -> None:
        """Raise GradgenError unless a rule is linear in all tangents, or cotangents, together."""
        eqn, operands, _ = self._reading.equations[instruction.target]
        variables, atoms = _variables(eqn, operands)
        function, backward = jax_compat.equation_function(eqn), "vjp" in eqn.primitive.name
        floats = [k for k, v in enumerate(variables) if _is_float(v)]
        results = [k for k, v in enumerate(eqn.outvars) if _is_float(v)]
        weighed = [eqn.outvars[k] for k in results] if backward else [variables[k] for k in floats]

        def rule(vectors: Sequence[Any], *values: Any) -> Any:
            def along(*chosen: Any) -> list[Any]:
                given = list(values)
                for k, value in zip(floats, chosen, strict=True):
                    given[k] = value
                found = function(*given)
                return [found[k] for k in results]

            primals = [values[k] for k in floats]
            if backward:
                return jax.vjp(along, *primals)[1](list(vectors))
            return jax.jvp(along, primals, list(vectors))[1]

        avals = [jax_compat.shaped(v.aval.shape, v.aval.dtype) for v in (*weighed, *variables)]
        count = len(weighed)
        place = jax_compat.rule_place(eqn, self._reading.source)
        closed = self._rule_traced(
            instruction, lambda *flat: rule(flat[:count], *flat[count:]), avals, place
        )
        self._operators += 1
        reading = self._reading.on_top(f"r{self._operators}_")
        unknowns = {f"q{self._operators}_{k}": "float" for k in range(count)}
        for name, variable in zip(unknowns, weighed, strict=True):
            reading.shapes[name] = dims.shape_of(variable.aval.shape)
        found = reading.run(closed, [*unknowns, *atoms])
        # what the primal computes too may be zero
        known = self._reading.builder.instructions
        code = live_code((*known, *reading.builder.instructions), found)
        if nonlinear(code, unknowns, found) is not None:
            kind = "backward rule" if backward else "rule"
            what = "cotangents" if backward else "tangents"
            message = f"the {kind} of '{jax_compat.rule_name(eqn)}' is not linear in its {what}"
            raise self._without_partial(instruction, message, NOT_LINEAR, place)

    def _rule_traced(
        self,
        instruction: Instruction,
        rule: Callable[..., Any],
        avals: Sequence[Any],
        place: Sequence[Position],
    ) -> Any:
        """A rule as a jaxpr, which reads nothing but what it is given."""
        source = self._reading.source
        name = jax_compat.rule_name(self._reading.equations[instruction.target][0])
        at = place[-1] if place else source.position
        with users_code(
            source.path, source.line_of, f"the derivative rule of '{name}' fails", _FITTING, at=at
        ):
            closed = jax.make_jaxpr(rule)(*avals)
        if any(isinstance(value, jax.core.Tracer) for value in closed.consts):
            message = f"the derivative rule of '{name}' reads a value of the function around it"
            hint = f"give '{name}' one more argument for it"
            raise self._without_partial(instruction, message, hint, place)
        return closed

    def _at_unit(self, operator: Operator) -> Atom | None:
        """The partial that an elementwise rule multiplies with; None if it is another one."""
        applied = operator.pushed or operator.transposed
        if any(OPERATIONS[i.op].kind == "array" for i in applied.code):
            return None
        values: dict[Var, Atom] = {applied.argument: Const(1.0)}
        for instruction in applied.code:
            moved = substitute(instruction, values)
            if moved.op == "copy" or _is_vain(moved):
                values[instruction.target] = moved.operands[0]
            else:
                values[instruction.target] = self.builder.emit_instruction(moved)
        result = applied.result
        return values.get(result, result) if isinstance(result, str) else result

    def _operator(self, instruction: Instruction, source: Var) -> Operator:
        """The linear map of an equation in both directions, by JAX's own rules."""
        eqn, operands, number = self._reading.equations[instruction.target]
        variables, atoms = _variables(eqn, operands)
        slots = [k for k, atom in enumerate(atoms) if atom == source]
        function = jax_compat.equation_function(eqn)
        avals = [jax_compat.shaped(v.aval.shape, v.aval.dtype) for v in variables]
        out = eqn.outvars[number].aval

        def along(values: Sequence[Any], x: Any) -> Any:
            given = [x if k in slots else value for k, value in enumerate(values)]
            return function(*given)[number]

        def pull(cotangent: Any, *values: Any) -> Any:
            _, pullback = jax.vjp(lambda x: along(values, x), values[slots[0]])
            return pullback(cotangent)[0]

        def push(tangent: Any, *values: Any) -> Any:
            return jax.jvp(lambda x: along(values, x), (values[slots[0]],), (tangent,))[1]

        self._operators += 1
        due = jax_compat.shaped(out.shape, out.dtype)
        try:
            transposed = self._applied(instruction.op, pull, due, avals, atoms, instruction.target)
        except _NO_CODE as error:
            if instruction.op == "copy" or not _has_rule(pull, due, *avals):
                message, hint = f"JAX has no derivative of '{eqn.primitive.name}' here", _OTHERWISE
                if any(isinstance(dim, str) for dim in self.shape(instruction.target)):
                    hint = f"state its axes as numbers, {_OTHERWISE}"
                raise self._without_partial(instruction, message, hint) from error
            transposed = self._by_jax("pullback", instruction, source, self.shape(source))
        pushed = None
        try:
            if not eqn.primitive.name.startswith("custom_vjp"):
                pushed = self._applied(instruction.op, push, avals[slots[0]], avals, atoms, source)
        except _NO_CODE:
            if instruction.op != "copy":
                shape = self.shape(instruction.target)
                pushed = self._by_jax("pushforward", instruction, source, shape)
        return Operator(source, transposed, pushed)

    def _by_jax(self, op: str, instruction: Instruction, source: Var, shape: Shape) -> Applied:
        """JAX's own rule, to be called at run time: it has no public spelling otherwise."""
        argument = f"u{self._operators}"
        attributes = (
            ("op", instruction.op),
            ("slot", instruction.operands.index(source)),
            ("inner", instruction.attributes),
            ("shape", shape),
        )
        operands = (argument, *instruction.operands)
        code = Instruction(f"{argument}_{op}", op, operands, attributes)
        return Applied(argument, (code,), code.target)

    def _applied(
        self,
        op: str,
        function: Any,
        vector: Any,
        avals: Sequence[Any],
        atoms: Sequence[Atom],
        like: Var,
    ) -> Applied:
        closed = jax.make_jaxpr(function)(vector, *avals)
        reading = self._reading.on_top(f"o{self._operators}_")
        argument = f"u{self._operators}"
        reading.shapes[argument] = self.shape(like)
        start = len(reading.builder.instructions)
        if op in _EXTREMA:
            atoms = [reading.emit("barrier", (a,), shape=self.shape(a)) for a in atoms]
        (result,) = reading.run(closed, [argument, *atoms])
        code, (result,) = uncopied(reading.builder.instructions[start:], [result])
        return Applied(argument, live_code(code, [result]), result)


def _has_rule(derivative: Any, *avals: Any) -> bool:
    """Whether JAX has a derivative at all, if perhaps none for sizes that stay open."""
    try:
        jax.eval_shape(derivative, *avals)
    except _NO_CODE as error:
        return not isinstance(error, NotImplementedError)
    return True


def _is_float(variable: Any) -> bool:
    return is_float(str(variable.aval.dtype))


def _is_vain(instruction: Instruction) -> bool:
    among_floats = instruction.op == "convert" and instruction.dtype in ("float", "weak")
    return among_floats and instruction.attribute("from") == "float"


def _variables(eqn: Any, operands: Sequence[Atom]) -> tuple[list[Any], list[Atom]]:
    """The operands of an equation that are no literals, each once, and where they are."""
    found: dict[Any, Atom] = {}
    for variable, atom in zip(eqn.invars, operands, strict=True):
        if not jax_compat.is_literal(variable):
            found.setdefault(variable, atom)
    return list(found), list(found.values())


def _stretched(shape: Shape, rows: Sequence[Label], dims: dict[Label, Dim]) -> tuple[Label, ...]:
    """The labels of the axes of a shape that is stretched to that of the rows."""
    labels = []
    for dim, row in zip(reversed(shape), reversed(rows), strict=False):
        if dim == dims[row]:
            labels.append(row)
        else:
            label = len(dims)
            dims[label] = 1
            labels.append(label)
    return tuple(reversed(labels))


def _einsum(self: PartialWriter, instruction: Instruction, slot: int) -> Partial | None:
    """By one factor of a contraction: the other one."""
    spec, other = str(instruction.attribute("spec")), instruction.operands[1 - slot]
    inputs, _, result = spec.partition("->")
    sides = inputs.split(",")
    if isinstance(other, Const) or dict(instruction.attributes).get("precision"):
        return None
    letters = {c: k for k, c in enumerate(sorted({*sides[0], *sides[1]}))}
    dims: dict[Label, Dim] = {}
    for side, atom in zip(sides, instruction.operands, strict=True):
        dims |= {letters[c]: d for c, d in zip(side, self.shape(atom), strict=True)}
    layout = [None if dims[letters[c]] == 1 else letters[c] for c in sides[1 - slot]]
    operand = instruction.operands[slot]
    assert isinstance(operand, str)
    rows, columns = ([letters[c] for c in part] for part in (result, sides[slot]))
    if any(label not in {*rows, *columns} for label in layout if label is not None):
        return None
    return self._partial(operand, rows, columns, dims, other, layout, contracts=True)


def _sum(self: PartialWriter, instruction: Instruction, slot: int) -> Partial:
    axes = instruction.attribute("axes")
    assert isinstance(axes, tuple)
    (operand,) = instruction.variables
    shape = self.shape(operand)
    columns = tuple(range(len(shape)))
    rows = tuple(k for k in columns if k not in axes)
    return self._partial(operand, rows, columns, dict(enumerate(shape)), Const(1.0), ())


def _broadcast(self: PartialWriter, instruction: Instruction, slot: int) -> Partial:
    (operand,) = instruction.variables
    places = instruction.attribute("dims")
    assert isinstance(places, tuple)
    dims: dict[Label, Dim] = dict(enumerate(self.shape(instruction.target)))
    rows = tuple(dims)
    columns = []
    for place, dim in zip(places, self.shape(operand), strict=True):
        label = int(place) if dim == dims[int(place)] else len(dims)
        dims.setdefault(label, 1)
        columns.append(label)
    return self._partial(operand, rows, columns, dims, Const(1.0), ())


def _transpose(self: PartialWriter, instruction: Instruction, slot: int) -> Partial:
    (operand,) = instruction.variables
    columns = tuple(range(len(self.shape(operand))))
    rows: tuple[Label, ...] = instruction.attribute("permutation")
    dims = dict(enumerate(self.shape(operand)))
    return self._partial(operand, rows, columns, dims, Const(1.0), ())


def _reshape(self: PartialWriter, instruction: Instruction, slot: int) -> Partial | None:
    """Where axes of size one come and go."""
    (operand,) = instruction.variables
    before, after = self.shape(operand), self.shape(instruction.target)
    if [d for d in before if d != 1] != [d for d in after if d != 1]:
        return None
    dims: dict[Label, Dim] = dict(enumerate(after))
    waiting = [k for k, dim in enumerate(after) if dim != 1]
    columns = []
    for dim in before:
        label = len(dims) if dim == 1 else waiting.pop(0)
        dims.setdefault(label, dim)
        columns.append(label)
    return self._partial(operand, range(len(after)), columns, dims, Const(1.0), ())


_PATTERNS: Any = {
    "einsum": _einsum,
    "reduce_sum": _sum,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "reshape": _reshape,
}
"""What is neither stored nor applied but written as labels."""
