"""The primal as it will be written: common subexpressions merged, conversions where they matter.

A trace spells out every conversion of dtype; in Python most of them happen by promotion. Those stay
that decide a dtype which promotion would not, and some are added: the trace does not say that
`jnp.zeros_like(x)` has the dtype of x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradgen.frontend.tracing.merge import is_width_conversion
from gradgen.frontend.tracing.strength import strengthen
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.algebra import is_one
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float, substitute
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.trace import Input

_PROMOTING = frozenset({o.name for o in OPERATIONS.values() if o.promotes} | {"select"})
_FOLLOWING = ("weak", "float")


def clean(
    inputs: Sequence[Input],
    tape: Tape,
    strong: Mapping[Var, DType],
    roots: Sequence[Atom],
) -> tuple[tuple[Instruction, ...], dict[Var, Atom]]:
    """The primal without what promotion does by itself, and where each variable is now.

    `strong` holds the results that strongly typed numbers decide, and the dtypes of these, `roots`
    the outputs. No bit of a result changes.
    """
    code = tape.primal
    builder = Builder("x")
    values: dict[Var, Atom] = {}
    dtypes: dict[Var, DType] = {i.variable: i.dtype for i in inputs}
    deciding = _decided_by_conversion(inputs, code, strong, roots)
    implied = _implied_by_promotion(inputs, tape, roots)
    for instruction in code:
        moved = substitute(instruction, values)
        if instruction.target in implied:
            (values[instruction.target],) = moved.operands
            continue
        if instruction.target in strong:
            moved = strengthen(moved, strong[instruction.target])
        decides = instruction.target in deciding
        if instruction.op == "convert" and instruction.dtype in _FOLLOWING:
            (operand,) = moved.operands
            if isinstance(operand, Const) and not is_float(operand.dtype):
                operand = Const(operand.value, instruction.dtype)  # of numbers that are compared
            kind = operand.dtype if isinstance(operand, Const) else dtypes[operand]
            if isinstance(operand, Const) or (kind in _FOLLOWING and not decides):
                values[instruction.target] = operand
                continue
        elif decides:
            moved = _converted(builder, moved)
        atom = builder.emit_exactly(moved)
        assert atom is not None
        values[instruction.target] = atom
        if isinstance(atom, str):
            dtypes[atom] = instruction.dtype
    return tuple(builder.instructions), values


def _converted(builder: Builder, instruction: Instruction) -> Instruction:
    """The conversion to the inputs' dtype of what an instruction computes from numbers."""
    plain = replace(instruction, target=f"{instruction.target}_weak", dtype="weak")
    value = builder.emit_exactly(plain)
    assert value is not None
    return replace(instruction, op="convert", operands=(value,), attributes=(("from", "float"),))


def _implied_by_promotion(
    inputs: Sequence[Input], tape: Tape, roots: Sequence[Atom]
) -> frozenset[Var]:
    """The conversions that the source does not write, as in `v * (v > 0)`.

    JAX makes them within the operation, at whose place in the source they therefore stand. Of a
    truth value XLA then chooses instead of multiplying, which no conversion beforehand would give.
    """
    readers = _readers(tape.primal)
    dtypes = {i.variable: i.dtype for i in inputs} | {i.target: i.dtype for i in tape.primal}
    converted = {
        i.target
        for i in tape.primal
        if i.op == "convert" and i.attribute("from") in ("bool", "int")
    }

    def promotes(reader: Instruction, conversion: Instruction) -> bool:
        if reader.op not in _PROMOTING or any(map(is_one, reader.operands)):
            # a product with one is its other factor, whose dtype would then stay
            return False
        if reader.op != "div" and not any(
            is_float(_dtype(a, dtypes)) and a not in converted for a in reader.operands
        ):
            # two truth values add up to one; but a quotient of them is a number
            return False
        match conversion.attribute("from"):
            case "bool":
                return True
            case "int":
                # a power with an integer exponent is another function
                return reader.op != "pow"
        others = [v for v in reader.variables if v != conversion.target]
        return is_width_conversion(conversion) and any(dtypes[v] == "float" for v in others)

    def is_implied(conversion: Instruction) -> bool:
        place = tape.frames.get(conversion.target)
        read = readers.get(conversion.target, [])
        if not place or not read or conversion.target in roots:
            return False
        return all(
            promotes(reader, conversion) and tape.frames.get(reader.target) == place
            for reader in read
        )

    return frozenset(
        i.target
        for i in tape.primal
        if i.op == "convert" and is_float(i.dtype) and i.variables and is_implied(i)
    )


def _readers(code: Sequence[Instruction]) -> dict[Var, list[Instruction]]:
    readers: dict[Var, list[Instruction]] = {}
    for instruction in code:
        for variable in instruction.variables:
            readers.setdefault(variable, []).append(instruction)
    return readers


def _decided_by_conversion(
    inputs: Sequence[Input],
    code: Sequence[Instruction],
    strong: Mapping[Var, DType],
    roots: Sequence[Atom],
) -> frozenset[Var]:
    """The variables that have the inputs' dtype only because of a conversion.

    `jnp.where(x > 0, 1.0, 0.0).astype(x.dtype)` needs its conversion if the spike is returned; if
    it is only multiplied with a membrane potential, promotion does the same.
    """
    dtypes = {i.variable: i.dtype for i in inputs} | {i.target: i.dtype for i in code}
    readers = _readers(code)
    weak: set[Var] = set()
    deciding: set[Var] = set()

    def is_weak(atom: Atom) -> bool:
        return atom in weak if isinstance(atom, str) else atom.dtype in _FOLLOWING

    def is_promoted(variable: Var, reader: Instruction) -> bool:
        others = [v for v in reader.variables if v != variable and v not in weak]
        return reader.op in _PROMOTING and any(dtypes[v] == "float" for v in others)

    for instruction in code:
        target = instruction.target
        if instruction.dtype == "weak":
            weak.add(target)
            continue
        if instruction.dtype != "float" or target in strong:
            continue
        if instruction.op == "convert" and not is_width_conversion(instruction):
            continue
        floats = [a for a in instruction.operands if is_float(_dtype(a, dtypes))]
        if not floats or not all(map(is_weak, floats)):
            continue
        read = readers.get(target, [])
        if target in roots or not all(is_promoted(target, reader) for reader in read):
            deciding.add(target)
        else:
            weak.add(target)
    return frozenset(deciding)


def _dtype(atom: Atom, dtypes: dict[Var, DType]) -> DType:
    return atom.dtype if isinstance(atom, Const) else dtypes[atom]
