"""Random model functions, as source text: what users write, and what they hopefully never write.

`models()` draws whole files: imports, helper functions, spikes with rules of their own, state
classes, one public step function, and a function `example` that returns arguments for it. Programs
shrink towards few statements, and magnitudes are kept moderate, so that most results are finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from model_forms import (
    ARITIES,
    ARRAYS,
    BINARY,
    CONSTANTS,
    HAZARDOUS,
    HAZARDOUS_BINARY,
    INTEGERS_OF_FLOATS,
    INTEGERS_OF_INTEGERS,
    NAMES,
    RESULTS,
    SPIKES,
    SQUASHES,
    TRUTHS,
    UNARY,
)

IMPORTS = """\
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special
"""


OF_THE_MODULE = (
    "_TAU, _GAIN = 20.0, 1.5\n_W2 = np.array([[0.5, -1.0], [2.0, 0.25]])\n"
    "_W3 = jnp.array([[1.0, 0.0, 2.0], [0.5, -1.0, 0.3], [0.0, 1.0, 0.0]])"
)
"""What expressions may read of the module."""


@dataclass(frozen=True)
class Model:
    """A source file: one public function, `step`, and `example`, which gives `(args, kwargs)`."""

    text: str

    def __repr__(self) -> str:
        return f"Model(text='''\\\n{self.text}''')"


@dataclass(frozen=True)
class Value:
    """An expression that can stand as an operand anywhere."""

    text: str
    kind: str = "float"
    """Of an array float, int or bool; of what Python computes with number or flag."""
    bound: float = 2.0
    """About how large it gets."""
    spans: bool = True
    """Whether it has the axes of its arguments, so that it can be stacked with others."""


class Writer:
    """Draws one file, statement by statement."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.helpers: list[str] = []
        self.classes: list[tuple[str, tuple[str, ...]]] = []
        self.lines: list[str] = []
        self.static: list[str] = []
        """What is bound when the code is generated."""
        self.env: list[Value] = []
        self.count = 0
        self.depth = 0
        self.hazardous = self.one_in(5)

    # drawing

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.draw(st.integers(0, len(options) - 1))]

    def one_in(self, n: int) -> bool:
        return self.draw(st.integers(0, n - 1)) == n - 1

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    # expressions

    def of_kind(self, kind: str) -> list[Value]:
        return [value for value in self.env if value.kind == kind]

    def variable(self, kind: str = "float") -> Value:
        # the newest come first, so that chains and shared subexpressions arise
        known = self.of_kind(kind)[::-1]
        return known[min(self.number(0, len(known) - 1), self.number(0, len(known) - 1))]

    def operand(self, depth: int) -> Value:
        """A float: mostly a variable, at times a constant or an expression in brackets."""
        choice = self.number(0, 9)
        if choice < 5 or depth <= 0:
            return self.variable()
        if choice == 5:
            constant = self.pick([*CONSTANTS, *(value.text for value in self.of_kind("number"))])
            return Value(f"({constant})" if constant[0] == "-" else constant, spans=False)
        if choice == 6 and self.of_kind("int"):
            return replace(self.variable("int"), bound=4.0)
        if choice == 7 and self.of_kind("bool"):
            return replace(self.variable("bool"), bound=1.0)
        value = self.expression(depth - 1)
        return replace(value, text=_bracketed(value.text))

    def floating(self, depth: int) -> Value:
        """An operand that has a dtype and a float's methods."""
        value = self.operand(depth)
        return value if value.spans and value.kind == "float" else self.variable()

    def within(self, value: Value, limit: float) -> Value:
        if value.bound <= limit:
            return value
        form = self.pick(SQUASHES)
        return Value(_bracketed(form.text.format(x=value.text)), value.kind, min(1.0, limit))

    def expression(self, depth: int = 2) -> Value:
        """A float expression, without brackets around it."""
        choice = self.number(0, 11)
        if choice < 5:
            forms = BINARY + (HAZARDOUS_BINARY * 2 if self.hazardous else [])
            form = self.pick(forms)
            x, y = self.floating(depth), self.operand(depth)
            if "{y}." in form.text or "special." in form.text:
                y = self.floating(depth)
            x, y = self.within(x, form.limit), self.within(y, form.limit)
            if self.one_in(8):
                y = x
            bound = form.bound(x.bound, y.bound) if callable(form.bound) else form.bound
            return Value(form.text.format(x=x.text, y=y.text), bound=bound)
        if choice < 10:
            form = self.pick(UNARY + (HAZARDOUS * 3 if self.hazardous else []))
            x = self.within(self.floating(depth), form.limit)
            bound = form.bound(x.bound) if callable(form.bound) else form.bound
            return Value(form.text.format(x=x.text), bound=bound)
        if choice == 10:
            condition, x, y = self.condition(), self.floating(depth), self.operand(depth)
            text = f"jnp.where({condition}, {x.text}, {y.text})"
            return Value(text, bound=max(x.bound, y.bound))
        return self.array(depth)

    def condition(self) -> str:
        known = self.of_kind("bool") + self.of_kind("flag")
        if known and self.one_in(2):
            return self.pick(known).text
        return self.pick(TRUTHS).strip().format(x=self.variable().text, y=self.operand(1).text)

    def array(self, depth: int) -> Value:
        """A few floats stacked, and what is made of them."""
        size = self.number(1, 3)
        spanning = [v for v in self.of_kind("float") if v.spans] or self.of_kind("float")
        items = [self.within(self.pick(spanning), 8.0) for _ in range(size)]
        stacked = f"jnp.stack([{', '.join(item.text for item in items)}])"
        text = self.pick(ARRAYS[size])
        if text.count("{q}") > 1:
            name = self.fresh("q")
            self.lines.append(f"{name} = {stacked}")
            stacked = name
        return Value(text.format(q=stacked))

    # statements

    def assign(self, value: Value, name: str | None = None) -> Value:
        name = name or self.fresh("a")
        self.lines.append(f"{name} = {value.text}")
        variable = replace(value, text=name)
        self.env.append(variable)
        return variable

    def statement(self) -> None:
        kinds: list[Callable[[], None]] = [self.plain] * 9
        kinds += [self.truth, self.integer, self.chain, self.call, self.spike]
        kinds += [self.branch, self.switch, self.loop, self.scan, self.while_loop, self.rebind]
        self.pick(kinds)()

    def plain(self) -> None:
        self.assign(self.expression())

    def rebind(self) -> None:
        """Give an old name a new value."""
        value = self.expression()
        known = [v for v in self.of_kind("float") if v.text.isidentifier() and v.text[0] == "a"]
        if not known:
            self.assign(value)
            return
        old = self.pick(known)
        self.lines.append(f"{old.text} = {value.text}")
        self.env = [v for v in self.env if v.text != old.text]
        self.env.append(replace(value, text=old.text))

    def chain(self) -> None:
        """A run of short steps."""
        value = self.variable()
        for _ in range(self.pick((3, 8, 20))):
            other = self.within(self.variable(), 8.0)
            text = self.pick(("0.9 * {v} + {w}", "{v} - 0.1 * {w} * {v}", "jnp.tanh({v} + {w})"))
            value = self.assign(Value(text.format(v=value.text, w=other.text), bound=4.0))
            value = self.env[-1]
        self.env[-1] = replace(value, bound=20.0)

    def truth(self) -> None:
        self.assign(Value(self.condition(), "bool"), self.fresh("b"))

    def integer(self) -> None:
        known = self.of_kind("int")
        if known and self.one_in(2):
            text = self.pick(INTEGERS_OF_INTEGERS).strip().format(n=self.variable("int").text)
        else:
            x = self.within(self.variable(), 60.0)
            text = self.pick(INTEGERS_OF_FLOATS).strip().format(x=x.text)
        self.assign(Value(text, "int", 4.0), self.fresh("n"))
        if self.one_in(2):
            n = self.env[-1].text
            text = self.pick(("{n} * 0.5", "{n}.astype(float)", "{x} * {n}", "{x} + {n}"))
            self.assign(Value(text.format(n=n, x=self.within(self.variable(), 8.0).text)))

    @contextmanager
    def scope(self, values: Sequence[Value], *, closed: bool) -> Iterator[list[str]]:
        """Write to new lines, on these values (and what is known already, unless closed)."""
        env, lines = self.env, self.lines
        self.env, self.lines = [*([] if closed else env), *values], []
        self.depth += 1
        yield self.lines
        self.depth -= 1
        self.env, self.lines = env, lines

    def nested(self, parameters: Sequence[str], bound: float = 2.0) -> str:
        """The expression of a lambda function: no statements, so no stacks with a name."""
        values = [Value(p, bound=bound) for p in parameters]
        with self.scope(values, closed=False) as lines:
            value = self.expression(1)
            if lines:
                value = self.pick(BINARY[:2])
                value = Value(value.text.format(x=parameters[0], y=parameters[-1]))
        return self.within(replace(value, text=_bracketed(value.text)), 20.0).text

    def call(self) -> None:
        """Call a helper function, jitted or not, with one result or two."""
        if self.depth > 1:
            self.plain()
            return
        name = self.fresh(self.pick(("_helper", "_jitted")))
        count, results = self.number(1, 3), self.number(1, 2)
        parameters = [f"y{k}" for k in range(count)]
        with self.scope([Value(p) for p in parameters], closed=True) as lines:
            for _ in range(self.number(0, 2)):
                self.statement()
            returned = [self.within(self.floating(1), 20.0).text for _ in range(results)]
        decorator = "@jax.jit\n" if name.startswith("_jitted") else ""
        body = [*lines, f"return {', '.join(returned)}"]
        self.helpers.append(f"{decorator}def {name}({', '.join(parameters)}):\n" + _indented(body))
        arguments = ", ".join(self.within(self.variable(), 2.0).text for _ in range(count))
        self.unpack(f"{name}({arguments})", results)

    def unpack(self, text: str, results: int, bound: float = 20.0) -> None:
        names = [self.fresh("a") for _ in range(results)]
        self.lines.append(f"{', '.join(names)} = {text}")
        self.env += [Value(name, bound=bound) for name in names]

    def spike(self) -> None:
        kind = self.number(0, len(SPIKES) - 1)
        name = f"_spike{kind}"
        helper = SPIKES[kind].format(name=name).strip()
        if helper not in self.helpers:
            self.helpers.append(helper)
        arguments = [self.variable().text for _ in range(ARITIES[kind])]
        if self.one_in(3):
            arguments[0] = f"{arguments[0]} - 1.0"
        if kind == 4:
            arguments.append("3.0")
        self.unpack(f"{name}({', '.join(arguments)})", RESULTS[kind], 8.0)

    def branch(self) -> None:
        x = self.within(self.variable(), 2.0).text
        branches = ", ".join(
            f"lambda y: ({self.nested(['y'])} + 0.0 * y).astype(y.dtype)" for _ in range(2)
        )
        self.assign(Value(f"lax.cond({self.condition()}, {branches}, {x})", bound=20.0))

    def switch(self) -> None:
        x = self.within(self.variable(), 2.0).text
        index = f"jnp.clip(jnp.floor({x}), 0, 2).astype(int)"
        if self.of_kind("int"):
            index = self.variable("int").text
        branches = ", ".join(
            f"lambda y: ({self.nested(['y'])} + 0.0 * y).astype(y.dtype)" for _ in range(3)
        )
        self.assign(Value(f"lax.switch({index}, [{branches}], {x})", bound=20.0))

    def loop(self) -> None:
        x, trips = self.within(self.variable(), 2.0).text, self.number(0, 4)
        body = self.nested(["y"])
        step = self.pick((f"jnp.tanh({body})", f"0.5 * y + 0.1 * {body}", f"y + 0.01 * k * {body}"))
        text = f"lax.fori_loop(0, {trips}, lambda k, y: ({step}).astype(y.dtype), {x})"
        self.assign(Value(text, bound=20.0))

    def scan(self) -> None:
        x = self.within(self.variable(), 2.0)
        body, out = self.nested(["y"]), self.nested(["y"])
        spanning = [v for v in self.of_kind("float") if v.spans]
        length = self.number(1, 3)
        items = [self.within(self.pick(spanning), 4.0).text for _ in range(length)]
        final, outs = self.fresh("a"), self.fresh("s")
        reverse = ", reverse=True" if self.one_in(3) else ""
        self.lines.append(
            f"{final}, {outs} = lax.scan("
            f"lambda y, k: (jnp.tanh({body} + k).astype(y.dtype), {out}), "
            f"{x.text}, jnp.stack([{', '.join(items)}]){reverse})"
        )
        self.env.append(Value(final, bound=1.0))
        self.env.append(Value(f"{outs}[{self.number(0, length - 1)}]", bound=20.0, spans=False))

    def while_loop(self) -> None:
        x, trips = self.within(self.variable(), 2.0).text, self.number(0, 3)
        body = self.nested(["y"])
        text = (
            f"lax.while_loop(lambda c: c[0] < {trips}, "
            f"lambda c: (c[0] + 1, (lambda y: (0.5 * y + 0.1 * {body}).astype(y.dtype))(c[1])), "
            f"(0, {x}))[1]"
        )
        self.assign(Value(text, bound=20.0))

    # the step function

    def record(self, fields: tuple[str, ...]) -> str:
        for name, known in self.classes:
            if known == fields:
                return name
        name = f"State{len(self.classes) + 1}"
        self.classes.append((name, fields))
        return name


def _bracketed(text: str) -> str:
    """The text in brackets, unless it is a name or a call."""
    head, opened, _ = text.partition("(")
    if not head.replace(".", "").isidentifier():
        return f"({text})"
    depth = 0
    for k, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if opened and k >= len(head) and depth == 0 and k < len(text) - 1:
            return f"({text})"
    return text


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


@dataclass(frozen=True)
class Parameter:
    """One argument of the step: how it is declared, read, and exemplified."""

    declared: str
    example: str
    reads: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    keyword: str | None = None


class Arguments:
    """Draws the arguments of the step."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.names = iter(writer.draw(st.permutations(NAMES)) if writer.one_in(3) else NAMES)

    def positional(self, first: bool) -> Parameter:
        w = self.writer
        kinds = ["float"] * 4 + ["int", "bool", "tuple", "list", "dict", "record", "nested"]
        kind = "float" if first else w.pick(kinds)
        name = next(self.names)
        match kind:
            case "float":
                annotation = w.pick(("", "", ": float", ": jax.Array"))
                return Parameter(f"{name}{annotation}", "0.5", (), (Value(name),))
            case "int" | "bool":
                example = "2" if kind == "int" else "True"
                return Parameter(f"{name}: {kind}", example, (), (Value(name, kind),))
        return self.container(kind, name)

    def container(self, kind: str, name: str) -> Parameter:
        w = self.writer
        parts = [f"c_{name}_{k}" for k in range(w.number(1, 3))]
        values = tuple(Value(part) for part in parts)
        targets = ", ".join(parts) + ("," if len(parts) == 1 else "")
        halves = ", ".join("0.5" for _ in parts)
        match kind:
            case "tuple":
                comma = "," if len(parts) == 1 else ""
                return Parameter(name, f"({halves}{comma})", (f"{targets} = {name}",), values)
            case "list":
                reads = (f"{targets} = {name}",)
                return Parameter(f"{name}: list", f"[{halves}]", reads, values)
            case "dict":
                keys = [*w.draw(st.permutations(("tau", "beta", "a")))][: len(parts)]
                values = tuple(Value(f'{name}["{key}"]') for key in keys)
                # reading each key tells the structure
                total = " + ".join(v.text for v in values)
                read = f"c_{name}_sum = {total}"
                example = "{" + ", ".join(f'"{key}": 0.5' for key in keys) + "}"
                return Parameter(name, example, (read,), (*values, Value(f"c_{name}_sum", bound=6)))
            case "record":
                fields = tuple(f"f{k}" for k in range(len(parts)))
                cls = w.record(fields)
                values = tuple(Value(f"{name}.{field}") for field in fields)
                arguments = ", ".join(f"{field}=0.5" for field in fields)
                return Parameter(f"{name}: {cls}", f"{cls}({arguments})", (), values)
        reads = (f"({parts[0]}, ({parts[0]}_b, {parts[0]}_c)) = {name}",)
        values = tuple(Value(parts[0] + end) for end in ("", "_b", "_c"))
        return Parameter(name, "(0.5, (0.5, 0.5))", reads, values)

    def with_default(self) -> Parameter:
        w = self.writer
        name = next(self.names)
        default = w.pick(("0.9", "1.0", "2.0", "-0.5", "1e-3", "20", "2", "-1"))
        return Parameter(f"{name}={default}", default, (), (Value(name),))

    def bound(self) -> Parameter:
        """A keyword that has one value for good: a truth value, or what a directive says."""
        w = self.writer
        name = next(self.names)
        default = w.pick(("0.9", "-0.5", "3", "True", "False"))
        truth = default in ("True", "False")
        if not truth:
            w.static.append(f"{name}={default}")
        values = (Value(name, "flag" if truth else "number", spans=False),)
        return Parameter(f"{name}={default}", "", (), values, keyword=name)

    def keyword_only(self) -> Parameter:
        parameter = self.with_default()
        name = parameter.values[0].text
        if self.writer.one_in(4):
            parameter = replace(parameter, declared=name, example="0.5")
        return replace(parameter, keyword=name)


def _step(w: Writer) -> tuple[str, str]:
    """The step function, and the example function."""
    arguments = Arguments(w)
    parameters = [arguments.positional(k == 0) for k in range(w.number(1, 4))]
    if w.one_in(2):
        parameters = parameters[1:] + parameters[:1]
    parameters += [arguments.with_default() for _ in range(w.pick((0, 0, 0, 1, 2)))]
    if w.one_in(6):
        parameters.append(arguments.keyword_only())
    if w.one_in(4):
        parameters.append(arguments.bound())
    with w.scope([v for p in parameters for v in p.values], closed=True) as lines:
        lines.extend(line for p in parameters for line in p.reads)
        inputs = list(w.env)
        for _ in range(w.number(1, 10)):
            w.statement()
        if not w.one_in(16):
            # otherwise a derivative that is zero throughout is likely
            active = next(v for v in inputs if v.kind == "float")
            w.assign(Value(f"0.9 * {active.text} + {w.variable().text}", bound=8.0))
        result = _result(w, inputs)
        lines.append(f"return {result}")
    declared: list[str] = []
    for p in parameters:
        if p.keyword and "*" not in declared:
            declared.append("*")
        declared.append(p.declared)
    positional = " ".join(f"{p.example}," for p in parameters if not p.keyword)
    keyword = ", ".join(
        f'"{p.keyword}": {p.example}' for p in parameters if p.keyword and p.example
    )
    bound = "".join(f"# gradgen: static {text}\n" for text in w.static)
    step = f"{bound}def step({', '.join(declared)}):\n{_indented(lines)}"
    example = f"def example():\n    return ({positional}), {{{keyword}}}"
    return step, example


def _result(w: Writer, inputs: Sequence[Value]) -> str:
    """The returned expression: what was computed last, and other things."""
    leaves = [w.of_kind("float")[-1].text]
    for _ in range(w.number(0, 4)):
        choice = w.number(0, 9)
        if choice < 5:
            leaves.append(w.variable().text)
        elif choice == 5:
            leaves.append(w.pick(inputs).text)
        elif choice == 6:
            leaves.append(w.pick(w.env).text)
        elif choice == 7:
            leaves.append(leaves[0])
        elif choice == 8:
            leaves.append(w.pick(("1.0", "0.5", "2", "True", "jnp.zeros(())", "None")))
        else:
            leaves.append(w.expression(1).text)
    if w.one_in(4):
        leaves = leaves[1:] + leaves[:1]
    return _arranged(w, leaves)


def _arranged(w: Writer, leaves: Sequence[str]) -> str:
    if len(leaves) == 1 and w.one_in(2):
        return leaves[0]
    flat = ", ".join(leaves)
    comma = "," if len(leaves) == 1 else ""
    match w.number(0, 6):
        case 0 | 1:
            return f"({flat}{comma})"
        case 2:
            return f"[{flat}]"
        case 3:
            keys = ("v", "z", "i", "b", "a")
            return "{" + ", ".join(f'"{k}": {x}' for k, x in zip(keys, leaves, strict=False)) + "}"
        case 4:
            fields = tuple(f"f{k}" for k in range(len(leaves)))
            pairs = ", ".join(f"{f}={x}" for f, x in zip(fields, leaves, strict=True))
            return f"{w.record(fields)}({pairs})"
    head, tail = leaves[0], leaves[1:]
    if not tail:
        return f"({head},), {head}"
    if w.one_in(2):
        return f"{_arranged(w, tail)}, {head}"
    return f"{head}, {_arranged(w, tail)}"


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Source files with one public step function."""
    w = Writer(draw)
    step, example = _step(w)
    classes = [
        f"class {name}(NamedTuple):\n" + _indented([f"{field}: jax.Array" for field in fields])
        for name, fields in w.classes
    ]
    parts = [IMPORTS.rstrip(), OF_THE_MODULE, *classes, *w.helpers, step, example]
    return Model("\n\n\n".join(parts) + "\n")
