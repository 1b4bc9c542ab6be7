"""Reading a source file: target, signature, names, directives, containers."""

from __future__ import annotations

import hashlib
import textwrap
from types import CodeType

import pytest

from gradgen.errors import GradgenError
from gradgen.frontend.reading.directives import parse_example, parse_range, parse_static, parse_wrt
from gradgen.frontend.reading.source import read_source
from gradgen.ir.pytree import leaf, mapping, record, sequence
from gradgen.ir.source import Position, Source


def read(text: str, function: str | None = None, directives=()) -> Source:
    return read_source("m.py", textwrap.dedent(text), function, directives)


def failure(text: str, function: str | None = None, directives=()) -> GradgenError:
    with pytest.raises(GradgenError) as caught:
        read(text, function, directives)
    return caught.value


# Text


def test_syntax_error_has_its_place_and_pythons_own_words():
    error = failure("def f(x):\n    return (x\n")
    assert (error.path, error.line, error.column) == ("m.py", 2, 11)
    assert "'(' was never closed" in error.message
    assert error.hint


def test_null_bytes_are_an_error_not_a_crash():
    assert "not valid Python" in failure("def f(x): return x\0\n").message


def test_byte_order_mark_and_line_ends_do_not_change_digest_or_positions():
    plain = "def f(x):\n    y = x * 2.0\n    return y\n"
    source = read(plain)
    for variant in ("\ufeff" + plain, plain.replace("\n", "\r\n"), plain.replace("\n", "\r")):
        assert read_source("m.py", variant) == source
    assert source.digest == hashlib.sha256(plain.encode()).hexdigest()
    assert source.text == plain


@pytest.mark.parametrize("terms", [400, 600])
def test_a_long_sum_is_read(terms):
    source = read(f"def f(x):\n    y = {' + '.join(['x'] * terms)}\n    return y\n")
    assert [a.name for a in source.assignments] == ["y"]


def test_an_expression_too_deep_for_python_is_a_clear_error():
    error = failure(f"def f(x):\n    return {'-' * 100_000}x\n")
    assert "too deeply" in error.message or "not valid Python" in error.message


# Target


def test_the_only_function_is_the_target():
    source = read('''
        """A model."""
        import jax.numpy as jnp

        def lif(v, i, tau=10.0):
            """One step.

                Indented.
            """
            return v + (i - v) / tau
        ''')
    assert source.function == "lif"
    assert source.position.line == 5
    assert source.docstring == "One step.\n\nIndented."


@pytest.mark.parametrize(
    "others",
    [
        "def helper(x): return x\ndef step(x): return helper(x)",
        "def step(x): return helper(x)\ndef helper(x): return x",
        "def _private(x): return x\ndef step(x): return x",
        "def deco(f): return f\n@deco\ndef step(x): return x",
        "def spike(x): return x\ndef step(x, spike_fn=spike): return spike_fn(x)",
        "import jax\n@jax.custom_jvp\ndef spike(x): return x\n"
        "@spike.defjvp\ndef rule(p, t): return p, t\ndef step(x): return spike(x)",
        "import jax\n@jax.custom_vjp\ndef spike(x): return x\ndef fwd(x): return x, x\n"
        "def bwd(r, g): return (g,)\nspike.defvjp(fwd, bwd)\ndef step(x): return spike(x)",
        "import jax\n@jax.custom_jvp\ndef unused(x): return x\ndef step(x): return x",
        "from functools import partial\nimport jax\n"
        "@partial(jax.custom_jvp, nondiff_argnums=(1,))\n"
        "def unused(x, s): return x\ndef step(x): return x",
        "def step(x): return x\ndef main():\n    print(step(1.0))\nif __name__ == '__main__':\n"
        "    main()",
        "def step(x): return x\nfast = step\nprint(fast)",
        "def step(x): return x\nclass Cell:\n    def __call__(self, x): return step(x)",
        "def helper(x): return x\nclass Cell:\n    def go(self, x): return helper(x)\n"
        "def step(x): return x",
        "def step(x): return step(x - 1) if x > 0 else x",
        "def step(x): return x\ndef other(step, y): return step(y) + other2(y)\n"
        "def other2(y): return y\ndef _use(y): return other(None, y)",
        "def helper(x): return x\nif True:\n    def step(x): return helper(x)\n",
    ],
)
def test_the_public_function_that_no_other_uses_is_the_target(others):
    assert read(others).function == "step"


def test_a_rule_of_ones_own_is_the_target_if_it_is_all_there_is():
    text = "import jax\n@jax.custom_jvp\ndef spike(x): return x\n"
    assert read(text).function == "spike"


def test_several_candidates_are_listed():
    error = failure("def a(x): return x\ndef b(x): return x\n")
    assert "a, b" in error.message
    assert error.hint is not None
    assert "--function" in error.hint


def test_no_function():
    assert "no public function" in failure("x = 1\n").message
    error = failure("def _step(x): return x\n")
    assert error.hint == "name a private one: --function _step"


def test_named_function():
    text = "def alif(x): return x\ndef lif(x): return x\ndef _p(x): return x\n"
    assert read(text, "lif").function == "lif"
    assert read(text, "_p").function == "_p"
    error = failure(text, "alfi")
    assert "no function 'alfi'" in error.message
    assert error.hint is not None
    assert "did you mean 'alif'" in error.hint
    assert "alif, lif, _p" in error.hint


@pytest.mark.parametrize(
    ("text", "function", "message"),
    [
        ("class Cell:\n    def step(self, x): return x\n", "step", "is a method of class Cell"),
        ("class Cell:\n    def step(self, x): return x\n", "Cell", "no method '__call__'"),
        ("class Cell:\n    def step(self): return 1.0\n", "Cell.step", "no arguments"),
        (
            "class Cell:\n    @classmethod\n    def step(cls, x): return x\n",
            "Cell.step",
            "is a classmethod of the class Cell",
        ),
        (
            "def make():\n    def step(x): return x\n    return step\n",
            "step",
            "inside function make",
        ),
        ("async def step(x): return x\n", None, "async"),
        ("def step(x):\n    yield x\n", None, "generator"),
        ("def step(x, *rest): return x\n", None, "*rest"),
        ("def step(x, **options): return x\n", None, "**options"),
        ("def step(): return 1.0\n", "step", "no arguments"),
    ],
)
def test_targets_that_cannot_be(text, function, message):
    error = failure(text, function)
    assert message in error.message
    assert error.line is not None
    assert error.hint


def test_a_generator_inside_the_target_is_fine():
    assert read("def step(x):\n    def g():\n        yield x\n    return x\n").function == "step"


# Signature


def test_parameters():
    source = read("def f(a, /, b: float, c: 'int' = 2, *, d=(1, 2), e): return a\n")
    assert [(p.name, p.kind, p.annotation, p.default) for p in source.parameters] == [
        ("a", "positional", None, None),
        ("b", "positional", "float", None),
        ("c", "positional", "'int'", "2"),
        ("d", "keyword", None, "(1, 2)"),
        ("e", "keyword", None, None),
    ]
    assert source.parameters[1].position == Position(1, 12, 1, 13)
    source.check()


# Assignments


def instruction_spans(code: CodeType) -> set[tuple[int | None, ...]]:
    spans = {(a, c, b, d) for a, b, c, d in code.co_positions()}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            spans |= instruction_spans(constant)
    return spans


ASSIGNMENTS = """
import jax
import jax.numpy as jnp

def helper(a, b):
    inner = a @ b
    return inner

class Cell:
    def go(self, x):
        method = x + 1
        return method

def f(v, s, τ, more):
    x1 = v + s
    x2 = (v + s)
    x3 = ((v + s) * (v - s))
    x4 = (v) * ((s))
    x5: float = v ** 2
    x6 = x7 = -v
    x8 = -(v)
    v += (s * 2)
    v += s; v -= (s)
    x9 = jnp.where(
        v > 1,
        s, (v)
    )
    (y1, y2) = v + 1, (s + 2)
    [y3, (y4, y5)] = [v + 3, (s * 4, s / τ)]
    y6 = (τ + τ) * v + "ττ".__len__()
    if (y7 := v * τ) > 0:
        y8 = (y7 <
              s)
    y9 = (v, s)
    z0 = v, s
    z1 = [v, s]
    z2 = not v
    z3 = v[0]
    z4 = (s
        .v.at[0]
        .set(v))
    z5 = (jnp
        .exp(v))
    z6 = (s
        .v)
    z7 = (s
        .v(*more))
    z8 = jax.nn.relu(v)
    z9 = (v := s + 1)
    def nested(w):
        n1 = w + τ
        return lambda q: (n2 := q + n1)
    n3 = 1.0
    n4 = s
    n5 = v + \\
        s
    n6 = (x for x in v)
    n7 = [x * 2 for x in v]
    n8 = lambda q: q
    n9 = v < s
    é = τ; ü = (é + τ)
    return nested
"""


def test_assignments_have_the_spans_of_cpythons_instructions():
    source = read_source("m.py", ASSIGNMENTS, "helper")
    spans = instruction_spans(compile(ASSIGNMENTS, "m.py", "exec"))
    assert len(source.assignments) == 43
    for a in source.assignments:
        p = a.value
        assert (p.line, p.column, p.end_line, p.end_column) in spans, a


def test_assignments_are_those_of_all_functions_in_order():
    names = [a.name for a in read_source("m.py", ASSIGNMENTS, "helper").assignments]
    assert names[:8] == ["inner", "method", "x1", "x2", "x3", "x4", "x5", "x6"]
    assert {"y1", "y5", "y7", "n1", "n2"} <= set(names)


def test_only_single_names_and_displays_are_assignments():
    source = read(
        "def f(x):\n    a, b = x\n    c.d = x\n    e[0] = x\n    *g, h = x, x\n    return x\n"
    )
    assert source.assignments == ()


def test_a_name_for_several_values_names_none_of_them():
    # and the frames of comprehensions differ between versions of Python
    source = read(
        "def f(u, v):\n"
        "    xs = u, v\n"
        "    a = [2 * x for x in xs]\n"
        "    b = tuple(x + 1 for x in xs)\n"
        "    c = {x: -x for x in xs}\n"
        "    d = sum(x * x for x in xs)\n"
        "    return a, b, c, d\n"
    )
    assert [a.name for a in source.assignments] == ["xs", "d"]


def test_assignments_outside_of_functions_do_not_count():
    assert read("dt = 0.1 * 2\ndef f(x): return x\n").assignments == ()


# Directives


def directives_of(source: Source) -> list[tuple[str, str]]:
    return [(d.kind, d.text) for d in source.directives]


def test_directives_on_own_lines_and_trailing():
    source = read("""
        # gradgen: wrt v, i
        #gradgen:range v=-90:40
        def f(v, i, dt, state):  # gradgen: static dt=0.1
            a, b = state
            # gradgen: example state=(v, i)
            return v
            # gradgen: range i=0:1
        """)
    assert directives_of(source) == [
        ("wrt", "v, i"),
        ("range", "v=-90:40"),
        ("static", "dt=0.1"),
        ("example", "state=(v, i)"),
        ("range", "i=0:1"),
    ]
    assert source.directives[2].position == Position(4, 25, 4, 49)


SCOPED = """
# gradgen: static dt=0.5

x = 1

# gradgen: wrt a
@deco
# gradgen: range a=0:1
def f(a, dt):
    # gradgen: example a=float
    return a
    # gradgen: range dt=0:1

# gradgen: wrt b

# gradgen: wrt a, dt
def g(a, dt):
    return a

def h(b): return b
"""


def test_directives_belong_to_their_function_or_to_all():
    assert directives_of(read(SCOPED, "f")) == [
        ("static", "dt=0.5"),
        ("wrt", "a"),
        ("range", "a=0:1"),
        ("example", "a=float"),
        ("range", "dt=0:1"),
    ]
    assert directives_of(read(SCOPED, "g")) == [("static", "dt=0.5"), ("wrt", "a, dt")]
    assert directives_of(read(SCOPED, "h")) == [("wrt", "b")]


def test_the_first_function_has_the_comments_above_it():
    source = read("# gradgen: wrt x\ndef f(x): return x\ndef g(y): return y\n", "g")
    assert source.directives == ()


RULED = """
# gradgen: shape v=(n,) x=(n,)
# gradgen: wrt v
@jax.custom_jvp
# gradgen: range x=0:1
def spike(x):
    return x > 0

spike.defjvps(lambda t, y, x: t)

def f(v, x):
    return spike(v + x)
"""


def test_what_stands_above_a_function_with_a_rule_of_its_own_is_the_files():
    found = [("shape", "v=(n,)"), ("shape", "x=(n,)"), ("wrt", "v")]
    assert directives_of(read(RULED)) == found
    assert directives_of(read(RULED, "f")) == found
    alone = RULED.replace("v=(n,) ", "").replace("wrt v", "wrt x")
    assert directives_of(read(alone, "spike")) == [
        ("shape", "x=(n,)"),
        ("wrt", "x"),
        ("range", "x=0:1"),
    ]


def test_a_directive_of_another_function_names_its_arguments():
    directives = "# gradgen: size n=3\n# gradgen: shape x=(n,)\n# gradgen: wrt v\n"
    above, below = (
        "def helper(x):\n    return 2 * x\n\n\n",
        "def f(v, x):\n    return helper(v) + x\n",
    )
    error = failure(directives + above + below)
    assert error.message == (
        "the directive names 'v', which is not an argument of 'helper', to which it belongs"
    )
    assert error.hint == "write it right above 'f', if it is meant for that"
    assert (error.line, error.column) == (3, 0)
    assert len(read(above + directives + below).directives) == 3
    error = failure("# gradgen: range x\n" + above + below)
    assert "malformed range directive" in error.message
    assert error.line == 1


def test_the_functions_own_directives_and_the_command_line_override():
    text = """
        # gradgen: static dt=0.5, tau=2.0
        # gradgen: wrt v

        def f(v, w, dt, tau):
            # gradgen: static dt=0.1
            return v
        """
    assert directives_of(read(text)) == [
        ("static", "dt=0.1"), ("static", "tau=2.0"), ("wrt", "v")
    ]  # fmt: skip
    given = [("static", "tau=3.0"), ("wrt", "v, w"), ("range", "v=0:1")]
    source = read(text, None, given)
    assert directives_of(source) == [
        ("static", "dt=0.1"), ("static", "tau=3.0"), ("wrt", "v, w"), ("range", "v=0:1")
    ]  # fmt: skip
    assert source.directives[1].position.line == 0


def test_a_static_argument_needs_no_structure():
    text = "# gradgen: static ps=P\ndef f(v, ps):\n    for p in ps: v = v + p\n    return v\n"
    assert read(text).structure("ps") == leaf("static")


@pytest.mark.parametrize(
    ("comment", "message", "hint"),
    [
        ("wtr v", "unknown gradgen directive 'wtr'", "# gradgen: wrt v"),
        ("zzz", "unknown gradgen directive 'zzz'", "known: wrt"),
        ("", "unknown gradgen directive", "known: wrt"),
        ("wrt", "names no argument", "# gradgen: wrt v"),
        ("wrt v + 1", "'+'", "# gradgen: wrt v"),
        ("wrt v v", "twice", "# gradgen: wrt v"),
        ("wrt u", "names 'u', which is not an argument", "arguments are"),
        ("static dt", "does not start with name=", "static dt=0.1"),
        ("static dt=", "has no value", "static dt=0.1"),
        ("static dt=0.1 0.2", "not a Python expression", "static dt=0.1"),
        ("range v=1", "not two numbers", "range v=-90:40"),
        ("range v=2:1", "not below", "range v=-90:40"),
        ("range v=0:inf", "not finite", "range v=-90:40"),
        ("range vv=0:1", "'vv', which is not an argument", "did you mean 'v'"),
        ("example v=(a", "ends too early", "example state="),
        ("example v=a b", "neither a structure nor float", "example state="),
        ("example v=(a b)", "comma", "example state="),
        ("example v=(a)", "needs a comma", "example state="),
        ("example v=flaot", "neither", "did you mean 'float'"),
        ("example v={a, a}", "twice", "example state="),
        ("example v=State(a)", "not a NamedTuple or dataclass", "example state="),
        ("example v=(a,),)", "not expected", "example state="),
    ],
)
def test_bad_directives(comment, message, hint):
    error = failure(f"def f(v, dt):\n    # gradgen: {comment}\n    return v\n")
    assert message in error.message
    assert error.hint is not None
    assert hint in error.hint
    assert (error.line, error.column) == (2, 4)


def test_a_directive_given_twice():
    text = "# gradgen: range v=0:1\n# gradgen: range v=0:2\ndef f(v): return v\n"
    error = failure(text)
    assert "second range directive for 'v'" in error.message
    assert error.line == 2


def test_a_bad_directive_on_the_command_line_has_no_place():
    error = failure("def f(v): return v\n", None, [("range", "v=1")])
    assert error.line is None
    assert "malformed range directive" in error.message


def test_other_comments_are_no_directives():
    assert read("# gradgen makes this: fine\n# gradgen\ndef f(x): return x\n").directives == ()


def test_parse_wrt():
    assert parse_wrt("v, params.tau state.0") == ("v", "params.tau", "state.0")


def test_parse_static():
    assert parse_static("dt=0.1, taus=(1.0, 2.0) kw={'a=1': [1, 2]}, s='x, y=2'") == (
        ("dt", "0.1"),
        ("taus", "(1.0, 2.0)"),
        ("kw", "{'a=1': [1, 2]}"),
        ("s", "'x, y=2'"),
    )
    assert parse_static("flag=a == b") == (("flag", "a == b"),)


def test_parse_range():
    assert parse_range("v=-90:40, w=1e-3:0.5 state.v=-1.5:-1") == (
        ("v", -90.0, 40.0),
        ("w", 1e-3, 0.5),
        ("state.v", -1.5, -1.0),
    )


def test_parse_example():
    floats = leaf(), leaf()
    assert parse_example("state=(v, i, n:int) params={tau, beta}") == (
        ("state", sequence("tuple", (*floats, leaf("int")))),
        ("params", mapping((("tau", leaf()), ("beta", leaf())))),
    )
    assert parse_example("s=[v, i], x=float n=int b=bool f=static")[1:] == (
        ("x", leaf()),
        ("n", leaf("int")),
        ("b", leaf("bool")),
        ("f", leaf("static")),
    )
    nested = dict(parse_example("p={tau: (a, b), opts={c, d:[e]}, 'a key':int} q=((a, b), [c],)"))
    assert nested["p"] == mapping(
        (
            ("tau", sequence("tuple", floats)),
            ("opts", mapping((("c", leaf()), ("d", sequence("list", (leaf(),)))))),
            ("a key", leaf("int")),
        )
    )
    assert nested["q"].children[1] == sequence("list", (leaf(),))
    assert parse_example("e=() f=(a,) g={}") == (
        ("e", sequence("tuple", ())),
        ("f", sequence("tuple", (leaf(),))),
        ("g", mapping(())),
    )


def test_parse_example_records():
    state = record("namedtuple", "S", (("v", leaf()), ("n", leaf("int"))))
    assert parse_example("s=S t=S(v, n) u=S(v:bool, n:float)", {"S": state}) == (
        ("s", state),
        ("t", state),
        ("u", record("namedtuple", "S", (("v", leaf("bool")), ("n", leaf())))),
    )
    with pytest.raises(GradgenError, match="the fields of S are v, n"):
        parse_example("s=S(n, v)", {"S": state})


@pytest.mark.parametrize(
    "structure",
    [
        sequence("tuple", (leaf(),)),
        sequence("tuple", (leaf("bool"), sequence("list", (leaf("int"), leaf())))),
        mapping((("a", leaf("none")), ("b", mapping((("c", sequence("tuple", ())),))))),
        record("dataclass", "S", (("v", leaf()), ("p", mapping((("k", leaf("int")),))))),
    ],
)
def test_parse_example_reads_what_pretty_writes(structure):
    records = {"S": record("dataclass", "S", (("v", leaf()), ("p", leaf())))}
    assert parse_example(f"x={structure.pretty()}", records) == (("x", structure),)


# Containers


def test_containers():
    source = read('''
        import collections
        import typing
        from dataclasses import dataclass, field
        from functools import partial
        from typing import ClassVar, NamedTuple

        import chex
        import flax
        import jax

        # Not part of it.
        class A(NamedTuple):
            """Docs."""

            v: jax.Array  # mV
            i: float = 0.0

            def total(self): return self.v + self.i

        class B(typing.NamedTuple):
            a: A

        @jax.tree_util.register_dataclass
        # kept
        @dataclass(frozen=True)
        class C:
            K: ClassVar[int] = 3
            x: float
            name: str = field(metadata=dict(static=True))

        @chex.dataclass
        class D:
            x: float

        @flax.struct.dataclass
        class E(D):
            y: float

        @partial(jax.tree_util.register_dataclass, data_fields=["x"], meta_fields=["m"])
        @dataclass
        class F:
            x: float
            m: int

        @dataclass
        class G:
            x: float

        jax.tree_util.register_dataclass(
            G, data_fields=["x"], meta_fields=[]
        )

        H = collections.namedtuple("H", "v, i")
        J = collections.namedtuple("J", ["v", "i"])
        K = NamedTuple("K", [("v", float), ("n", int)])

        class NotOne:
            x: float = 1.0

        def f(x): return x
        ''')
    found = {c.name: c for c in source.containers}
    assert {n: (c.kind, c.fields) for n, c in found.items()} == {
        "A": ("namedtuple", ("v", "i")),
        "B": ("namedtuple", ("a",)),
        "C": ("dataclass", ("x", "name")),
        "D": ("dataclass", ("x",)),
        "E": ("dataclass", ("x", "y")),
        "F": ("dataclass", ("x", "m")),
        "G": ("dataclass", ("x",)),
        "H": ("namedtuple", ("v", "i")),
        "J": ("namedtuple", ("v", "i")),
        "K": ("namedtuple", ("v", "n")),
    }
    assert found["A"].text.startswith('class A(NamedTuple):\n    """Docs."""\n')
    assert "# mV" in found["A"].text
    assert found["C"].text.startswith(
        "@jax.tree_util.register_dataclass\n# kept\n@dataclass(frozen=True)\nclass C:\n"
    )
    assert found["G"].text.endswith(
        'jax.tree_util.register_dataclass(\n    G, data_fields=["x"], meta_fields=[]\n)'
    )
    assert found["H"].text == 'H = collections.namedtuple("H", "v, i")'


# Whole


def test_pretty():
    text = read("def f(x, state=(1.0, 2.0), *, n: int = 3):\n    return x\n").pretty()
    assert text == "m.py:1: f\n  x: float\n  state: (float, float) = (1.0, 2.0)\n  n: int = 3"
