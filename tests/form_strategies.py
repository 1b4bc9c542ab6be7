"""Random models in other forms: what is around the statements that random models have.

`stepped()` draws steps with derivatives inside, rules in float32 and containers that are registered
by hand; `packed()` and `methods()` those of a state in one array, and of an object's parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from strategies import IMPORTS, OF_THE_MODULE, Model, Value, Writer, _indented, _step

MORE_IMPORTS = f"from dataclasses import dataclass\n{IMPORTS}"

NARROW = """
@jax.custom_jvp
def {name}(v):
    return (v > 0).astype(jnp.float32)


@{name}.defjvp
def {name}_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return {name}(v), jnp.float32(0.3) * dv / (jnp.float32(1) + jnp.abs(v)) ** 2
"""
"""A spike in float32, whatever it is given."""

INNER = (
    "jax.jvp({f}, ({x},), (0.5 * {x},))[1]",
    "jax.vjp({f}, {x})[1](0.5 * {x})[0]",
    "jax.grad({f})({x})",
)
"""Derivatives that a step takes itself; the last of single numbers alone."""


class FormWriter(Writer):
    """Draws the statements of such a file."""

    inner_forms = 5

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(draw)
        self.narrow = self.one_in(3)

    def statement(self) -> None:
        if self.one_in(5):
            self.inner()
        elif self.narrow and self.one_in(5):
            self.narrow_spike()
        else:
            super().statement()

    def inner(self) -> None:
        x = self.within(self.floating(1), 2.0).text
        function = f"lambda y: ({self.nested(['y'])} + 0.0 * y).astype(y.dtype)"
        form = INNER[min(self.number(0, self.inner_forms - 1) // 2, 2)]
        self.assign(Value(form.format(f=function, x=x), bound=20.0))

    def narrow_spike(self) -> None:
        helper = NARROW.format(name="_narrow").strip()
        if helper not in self.helpers:
            self.helpers.append(helper)
        self.unpack(f"_narrow({self.variable().text} - 0.5)", 1, 1.0)


class PackedWriter(FormWriter):
    """Draws what runs on arrays as they are: no branches, loops and gradients of single numbers."""

    inner_forms = 4

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(draw)
        self.hazardous = (
            False  # on arrays there is one order, which may overflow where another does not
        )

    def statement(self) -> None:
        kinds = [self.plain] * 5 + [self.truth, self.chain, self.spike, self.rebind, self.inner]
        self.pick(kinds)()

    def array(self, depth: int) -> Value:
        return self.within(self.variable(), 2.0)  # a product of stacked numbers is one neuron's


def _registered(w: Writer, name: str, fields: Sequence[str]) -> str:
    """A class that JAX knows as a container."""
    declared = _indented([f"{field}: jax.Array" for field in fields])
    listed = ", ".join(f"self.{field}" for field in fields)
    comma = "," if len(fields) == 1 else ""
    return w.pick((
        f"class {name}(NamedTuple):\n{declared}",
        f"@jax.tree_util.register_dataclass\n@dataclass\nclass {name}:\n{declared}",
        f"@jax.tree_util.register_pytree_node_class\n@dataclass\nclass {name}:\n{declared}\n\n"
        f"    def tree_flatten(self):\n        return ({listed}{comma}), None\n\n"
        f"    @classmethod\n    def tree_unflatten(cls, _, leaves):\n        return cls(*leaves)",
    ))  # fmt: skip


def _file(w: Writer, *parts: str) -> Model:
    return Model("\n\n\n".join([MORE_IMPORTS.rstrip(), OF_THE_MODULE, *w.helpers, *parts]) + "\n")


@st.composite
def stepped(draw: st.DrawFn) -> Model:
    """Source files with one public step function, and `example`."""
    w = FormWriter(draw)
    step, example = _step(w)
    return _file(w, *(_registered(w, name, fields) for name, fields in w.classes), step, example)


@dataclass(frozen=True)
class Formed:
    """A file whose function takes its first numbers in one thing."""

    model: Model
    target: str
    first: int
    """How many numbers these are."""
    others: int
    made_by: str
    """What they are put together by: the name of a class, or none for an array."""


def _body(w: Writer, values: Sequence[Value], reads: Sequence[str], results: int) -> list[str]:
    """Statements, and as many results, each with the axes of the first value."""
    with w.scope(values, closed=True) as lines:
        lines.extend(reads)
        for _ in range(w.number(1, 6)):
            w.statement()
        found = [
            f"0.9 * {values[0].text} + {w.within(w.variable(), 20.0).text}" for _ in range(results)
        ]
    return [*lines, found[0] if results == 1 else ", ".join(found)]


@st.composite
def packed(draw: st.DrawFn) -> Formed:
    """Steps of a state in one array, whose last axis holds its variables."""
    w = PackedWriter(draw)
    count, others = w.number(2, 4), w.number(0, 2)
    names = [f"y{k}" for k in range(count)]
    reads = w.pick((
        [f"{name} = y[..., {k}]" for k, name in enumerate(names)],
        [f"{', '.join(names)} = jnp.moveaxis(y, -1, 0)"],
        [f"{names[k]} = y[..., {k - count}]" for k in range(count)],
    ))  # fmt: skip
    more = [f"x{k}" for k in range(others)]
    values = [Value(name) for name in (*names, *more)]
    *lines, results = _body(w, values, reads, count)
    lines.append(f"return jnp.stack([{results}], axis=-1)")
    step = f"def step({', '.join(['y', *more])}):\n{_indented(lines)}"
    return Formed(_file(w, step), "step", count, others, "")


@st.composite
def methods(draw: st.DrawFn) -> Formed:
    """Methods of objects that hold numbers."""
    w = FormWriter(draw)
    count, others = w.number(1, 4), w.number(1, 3)
    fields = [f"p{k}" for k in range(count)]
    more = [f"x{k}" for k in range(others)]
    values = [Value(name) for name in more]
    values += [Value(f"self.{field}", spans=False) for field in fields]
    *lines, result = _body(w, values, [], 1)
    lines.append(f"return {result}")
    declared = _indented([f"{field}: float = {0.5 + k}" for k, field in enumerate(fields)])
    plain = ", ".join(f"{field}={0.5 + k}" for k, field in enumerate(fields))
    assigned = _indented(_indented([f"self.{field} = {field}" for field in fields]).split("\n"))
    head = w.pick((
        f"class Cell(NamedTuple):\n{declared}",
        f"@jax.tree_util.register_dataclass\n@dataclass\nclass Cell:\n{declared}",
        f"class Cell:\n    def __init__(self, {plain}):\n{assigned}",
    ))  # fmt: skip
    method = w.pick(("step", "__call__"))
    body = _indented(_indented(lines).split("\n"))
    wrt = f"# gradgen: wrt {', '.join([f'self.{field}' for field in fields] + more)}\n"
    cell = f"{wrt}{head}\n\n    def {method}(self, {', '.join(more)}):\n{body}"
    target = "Cell" if method == "__call__" else "Cell.step"
    return Formed(_file(w, cell), target, count, others, "Cell")
