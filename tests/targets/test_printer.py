"""Printed expressions: Python reads them as the tree they were printed from."""

from __future__ import annotations

import math
import re
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import MODELS, STYLES, each, generate
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from numerics import ON_INTEGERS
from random_runs import cases

from gradgen.ir.code import Const, Instruction
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import PARTIALS, PRIMAL, Program, Section
from gradgen.targets.jax.expressions import print_constant
from gradgen.targets.jax.names import identifier, name_variables, unique
from gradgen.targets.jax.printer import Printer

SPELLING = {
    "jnp.add": "add", "jnp.subtract": "sub", "jnp.multiply": "mul", "jnp.divide": "div",
    "jnp.equal": "eq", "jnp.not_equal": "ne", "jnp.less": "lt", "jnp.less_equal": "le",
    "jnp.greater": "gt", "jnp.greater_equal": "ge", "jnp.negative": "neg", "jnp.power": "pow",
    "jnp.bitwise_and": "and", "jnp.bitwise_or": "or", "jnp.bitwise_xor": "xor",
    "jnp.maximum": "max", "jnp.minimum": "min", "jnp.where": "select", "jnp.abs": "abs",
    "jnp.exp": "exp", "jnp.arctan2": "atan2", "jax.nn.sigmoid": "logistic", "jnp.isnan": "isnan",
    "lax.integer_pow": "integer_pow", "lax.rsqrt": "rsqrt", "jnp.fmod": "rem",
    "jnp.right_shift": "shift_right_arithmetic", "jnp.left_shift": "shift_left",
}  # fmt: skip
INFIX = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "and": "and", "or": "or",
    "xor": "xor", "lshift": "shift_left", "rshift": "shift_right_arithmetic",
}  # fmt: skip


class Node:
    """Records what Python does with it."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def __pow__(self, other):
        return self._power(self, other)

    def __rpow__(self, other):
        return self._power(other, self)

    @staticmethod
    def _power(base, exponent):
        return record("integer_pow" if type(exponent) is int else "pow", base, exponent)

    @property
    def dtype(self):
        return ("dtype", self.tree)

    def astype(self, dtype):
        return record("convert", self, dtype)

    __hash__ = None


def record(op: str, *operands: Any) -> Node:
    return Node((op, *(o.tree if isinstance(o, Node) else o for o in operands)))


def _install() -> None:
    for python, op in INFIX.items():
        setattr(Node, f"__{python}__", lambda a, b, op=op: record(op, a, b))
        setattr(Node, f"__r{python}__", lambda a, b, op=op: record(op, b, a))
    for op in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Node, f"__{op}__", lambda a, b, op=op: record(op, a, b))
    Node.__neg__ = lambda a: record("neg", a)
    Node.__invert__ = lambda a: record("not", a)


_install()


class Recording:
    """A module whose functions record their calls."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str):
        if name in ("nan", "inf"):
            return getattr(math, name)
        if name in ("int32", "float32"):
            return name
        if name == "nn":
            return Recording("jax.nn")
        return lambda *operands: record(SPELLING[f"{self._name}.{name}"], *operands)


# mirrored comparisons are the same: Python turns `1.0 < x` into `x > 1.0`
MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def normal(tree: Any) -> Any:
    if not isinstance(tree, tuple):
        return repr(tree) if isinstance(tree, float | int) else tree
    op, *operands = tree
    first_is_number = operands and isinstance(operands[0], float | int)
    if op in MIRRORED and first_is_number:
        op, operands = MIRRORED[op], operands[::-1]
    return (op, *map(normal, operands))


FLOATS = [
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "pow",
    "integer_pow",
    "max",
    "exp",
    "rsqrt",
    "logistic",
]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Code that mixes floats, integers and truth values, most of it written in one expression."""
    pools = {"float": ["x", "y"], "bool": ["p"], "int32": ["k", "j"]}
    constants = {
        "float": st.sampled_from(
            [Const(v) for v in (2.0, -1.5, 0.0, -0.0, 1e-9, math.inf, math.nan)]
        ),
        "bool": st.sampled_from([Const(True, "bool")]),
        "int32": st.sampled_from([Const(v, "int32") for v in (0, 3, -7)]),
    }
    code: list[Instruction] = []

    def atom(kind):
        recent = st.sampled_from(pools[kind][-3:])
        return draw(st.one_of(recent, recent, recent, constants[kind]))

    for n in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["float", "float", "float", "bool", "int32"]))
        attributes: tuple = ()
        if kind == "float":
            op = draw(st.sampled_from([*FLOATS, "select", "convert"]))
            operands = tuple(atom("float") for _ in range(OPERATIONS[op].arity))
            if op == "select":
                operands = (draw(st.sampled_from(pools["bool"])), *operands[1:])
            elif op == "convert":
                operands = (draw(st.sampled_from(pools["bool"])),)
                attributes = (("from", "bool"),)
            elif op == "integer_pow":
                operands = (draw(st.sampled_from(pools["float"])),)
                attributes = (("y", draw(st.sampled_from([2, 3, -1, -4]))),)
        elif kind == "bool":
            op = draw(st.sampled_from([*COMPARISONS, "and", "or", "xor", "not"]))
            if op in COMPARISONS:
                source = draw(st.sampled_from(["float", "int32"]))
                operands = (draw(st.sampled_from(pools[source])), atom(source))
            else:
                some = st.sampled_from(pools["bool"])
                operands = tuple(draw(some) for _ in range(OPERATIONS[op].arity))
        else:
            ops = ["add", "sub", "mul", "neg", "and", "or", "xor", "not", "shift_left"]
            op = draw(st.sampled_from([*ops, "shift_right_arithmetic"]))
            first = draw(st.sampled_from(pools["int32"]))
            operands = (first, *(atom("int32") for _ in range(OPERATIONS[op].arity - 1)))
        code.append(Instruction(f"t{n}", op, operands, attributes, kind))
        pools[kind].append(f"t{n}")
    roots = [
        code[-1].target,
        *draw(st.lists(st.sampled_from([i.target for i in code]), max_size=2)),
    ]
    results = tuple((f"r{k}", root) for k, root in enumerate(roots))
    title = draw(st.sampled_from([PRIMAL, PARTIALS]))
    return Program(("x", "y", "p", "k", "j"), (Section(title, tuple(code)),), results)


def printed(program: Program, names: dict[str, str] | None = None) -> tuple[list[str], list[str]]:
    names = name_variables(program, names or {v: v for v in program.inputs})
    printer = Printer(program, names, ["x", "y"])
    lines = [line for _, section in printer.sections() for line in section]
    return lines, [printer.atom(atom) for _, atom in program.results]


@settings(max_examples=cases(600), deadline=None)
@given(programs())
def test_python_reads_what_was_meant(program):
    lines, results = printed(program)
    scope: dict[str, Any] = {v: Node(v) for v in program.inputs}
    modules = {"jnp": Recording("jnp"), "lax": Recording("lax"), "jax": Recording("jax")}
    scope |= modules | {"bool": "bool", "int": "int"}
    exec("\n".join(lines), scope)

    trees: dict[str, Any] = {v: v for v in program.inputs}
    for i in program.instructions:
        operands = [trees[a] if isinstance(a, str) else a.value for a in i.operands]
        if i.op == "integer_pow":
            operands.append(i.attribute("y"))
        elif i.op == "convert":
            # which float it follows is the printer's choice
            operands.append("dtype")
        tree = (i.op, *operands)
        if i.op == "ne" and i.operands[0] == i.operands[1]:
            tree = ("isnan", operands[0])
        trees[i.target] = tree
    for (_, atom), text in zip(program.results, results, strict=True):
        found = _without_dtypes(eval(text, scope).tree)
        assert normal(found) == normal(trees[atom]), "\n".join(lines)


def _without_dtypes(tree: Any) -> Any:
    if not isinstance(tree, tuple):
        return tree
    if tree[0] == "convert":
        return ("convert", _without_dtypes(tree[1]), "dtype")
    return (tree[0], *map(_without_dtypes, tree[1:]))


@settings(max_examples=cases(200), deadline=None)
@given(programs(), st.text("abcdefgh_", min_size=1, max_size=60))
def test_lines_are_short(program, long):
    names = {v: identifier(f"{v}{long}") for v in program.inputs}
    lines, _ = printed(program, names)
    for line in lines:
        # one operation on names and numbers has to stay in one piece
        pieces = line.count(" + ") + line.count(" * ") + line.count(", ") + line.count(" = ")
        assert len(line) <= 84 or pieces <= 4, line


ATTRIBUTES: dict[str, tuple] = {
    "integer_pow": (("y", 3),),
    "round": (("mode", "even"),),
    "reduce_precision": (("exponent_bits", 5), ("mantissa_bits", 10)),
    "finfo": (("field", "eps"),),
    "library": (("function", "sin"),),
    "derivative": (("function", "jnp.sin"), ("argument", 0)),
    "convert": (("from", "float"),),
}
OF_DTYPES = ("finfo", "convert_like")


# a copy only marks a call with a rule of its own; lowering removes it
ELEMENTWISE = {name for name, operation in OPERATIONS.items() if operation.kind != "array"}


@pytest.mark.parametrize("op", sorted(ELEMENTWISE - {"copy"}))
def test_every_operation_can_be_printed_and_run(op):
    operation = OPERATIONS[op]
    arity = max(operation.arity, 1)
    kind = "int32" if op in ON_INTEGERS else "float"
    number = Const(2, "int32") if kind == "int32" else Const(0.5)
    array = np.array([1, 2, 5], np.int32) if kind == "int32" else np.array([0.25, 0.5], np.float32)
    dtype = "bool" if operation.boolean else kind
    scope = {
        "jnp": jnp,
        "lax": lax,
        "jax": jax,
        "x": jnp.asarray(array),
        "p": jnp.asarray(array > 1),
    }
    scope["_derivative"] = lambda function, slot, *operands: jax.grad(function, slot)(
        operands[0][0]
    )
    scope["_alike"] = lambda *given: jnp.broadcast_arrays(
        *(jnp.asarray(value, jnp.result_type(*given)) for value in given)
    )
    for operands in product(["x", number], repeat=arity):
        # what has a dtype that is asked for is no number
        if "x" not in operands or (op in OF_DTYPES and operands[-1] != "x"):
            continue
        if op == "select":
            operands = ("p", "x", operands[2])
        instruction = Instruction("t", op, operands, ATTRIBUTES.get(op, ()), dtype)
        program = Program(("x", "p"), (Section(PARTIALS, (instruction,)),), (("out", "t"),))
        program.check()
        ((line,), (name,)) = printed(program)

        def run(x, p, line=line, name=name):
            names = scope | {"x": x, "p": p}
            exec(line, names)
            return jnp.asarray(names[name])

        found = [] if number in operands else [run(scope["x"], scope["p"])]
        for wide in (False, True):
            with jax.enable_x64(wide):
                found.append(jax.eval_shape(run, scope["x"], scope["p"]))
        if op != "finfo":
            for result in found:
                assert result.dtype == ("bool" if operation.boolean else array.dtype), line
    instruction = Instruction("t", op, (number,) * arity, ATTRIBUTES.get(op, ()), dtype)
    if op not in (*OF_DTYPES, "not", "derivative"):
        program = Program(("x", "p"), (Section(PARTIALS, (instruction,)),), (("out", "t"),))
        ((line,), _) = printed(program)
        exec(line, scope)


@given(st.floats(), st.sampled_from(["weak", "float"]))
def test_numbers_are_read_back_exactly(value, dtype):
    found = eval(print_constant(Const(value, dtype)).text, {"jnp": math})
    assert math.isnan(found) if math.isnan(value) else repr(found) == repr(value)


@given(st.text(max_size=12), st.sets(st.text("ab_1", max_size=4)))
def test_names_are_identifiers_of_their_own(text, taken):
    before = set(taken)
    name = unique(identifier(text), taken)
    assert name.isidentifier()
    assert name not in before
    assert name in taken
    assert name not in ("jnp", "jax", "lax", "lambda", "None", "max", "match")


@pytest.mark.parametrize("path", each(*MODELS, *STYLES))
def test_the_user_s_names_are_kept(path):
    generated = generate(path)
    names = {label.name for label in generated.front.trace.labels if label.name}
    for name in names:
        assert re.search(rf"\b{re.escape(name)}(_\d+)?\b", generated.text), name


@pytest.mark.parametrize("op", ["div", "rem", "nextafter", "max"])
def test_an_operand_is_written_out_once(op):
    dtype = "float" if op == "nextafter" else "int32"
    code = (
        Instruction("s", "add", ("x", "x"), (), dtype),
        Instruction("t", op, ("s", Const(4, dtype)), (), dtype),
    )
    program = Program(("x",), (Section(PARTIALS, code),), (("out", "t"),))
    names = name_variables(program, {"x": "x"})
    ((_, lines),) = Printer(program, names, ["x"]).sections()
    assert "\n".join(lines).count(" + ") == 1, lines
