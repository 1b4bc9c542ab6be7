"""The structures of arguments: from annotations, directives, and how a function uses them."""

from __future__ import annotations

import textwrap

import pytest

from gradgen.errors import GradgenError
from gradgen.frontend.reading.source import read_source

HEADER = """
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, TypedDict

import jax
import jax.numpy as jnp
from jax import lax
from jax import tree_util as tu
"""


def structures(text: str, function: str | None = None) -> dict[str, str]:
    source = read_source("m.py", HEADER + textwrap.dedent(text), function)
    source.check()
    return {name: structure.pretty() for name, structure in source.structures}


def uses(body: str, signature: str = "state, x") -> dict[str, str]:
    return structures(f"def step({signature}):\n" + textwrap.indent(textwrap.dedent(body), "    "))


def failure(text: str) -> GradgenError:
    with pytest.raises(GradgenError) as caught:
        structures(text)
    error = caught.value
    assert error.hint
    assert error.line is not None
    return error


def use_failure(body: str, signature: str = "state, x") -> GradgenError:
    return failure(f"def step({signature}):\n" + textwrap.indent(textwrap.dedent(body), "    "))


# Scalars


@pytest.mark.parametrize(
    "body",
    [
        "return state * 2 + x",
        "return jnp.exp(state) + state",
        "return state",
        "return state.astype(x.dtype) + jnp.zeros(state.shape)",
        "return jnp.where(state > 0, x, 0.0)",
        "state += x\nreturn state",
        "return other(state, x)",
        "if state is None:\n    return x\nreturn x",
        "return jax.tree.map(lambda s: s, state) * 2 + state",
    ],
)
def test_numbers_have_no_structure(body):
    assert uses(body) == {}


def test_spyx_style():
    assert (
        structures("""
        def step(x, V):
            beta = jnp.clip(0.9, 0, 1)
            spikes = jnp.heaviside(V - 1.0, 0.0)
            V = beta * V + x - spikes
            return spikes, V
        """)
        == {}
    )


# Annotations


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("float", "float"),
        ("jax.Array", "float"),
        ("jnp.ndarray", "float"),
        ("'jax.Array'", "float"),
        ("jax.typing.ArrayLike", "float"),
        ("Float[Array, 'n']", "float"),
        ("float | jax.Array", "float"),
        ("float | int", "float"),
        ("int", "int"),
        ("bool", "bool"),
        ("Optional[int]", "int"),
        ("int | None", "int"),
        ("Callable[[float], float]", "static"),
        ("Callable", "static"),
        ("str", "static"),
        ("Literal['soft', 'hard']", "static"),
        ("tuple[float, int]", "(float, int)"),
        ("Tuple[float, Tuple[float, bool]]", "(float, (float, bool))"),
        ("'tuple[float, State]'", "(float, State(v, n:int))"),
        ("State", "State(v, n:int)"),
        ("'State'", "State(v, n:int)"),
        ("Optional[State]", "State(v, n:int)"),
        ("Alias", "(float, State(v, n:int))"),
        ("Network", "Network(a:State(v, n:int), gains:(float, float), mode:static, next)"),
        ("Params", "{beta, tau}"),
    ],
)
def test_annotations(annotation, expected):
    text = f"""
        class State(NamedTuple):
            v: jax.Array
            n: int

        Alias = Tuple[float, State]

        @jax.tree_util.register_dataclass
        @dataclass
        class Network:
            a: State
            gains: "tuple[float, float]"
            mode: str = dataclasses.field(metadata=dict(static=True))
            next: Optional["Network"] = None

        class Params(TypedDict):
            tau: float
            beta: float

        def step(a: {annotation}, x):
            return x
        """
    assert structures(text) == {"a": expected}


@pytest.mark.parametrize("annotation", ["Any", "Unknown", "Foreign[int]", "'not python ('"])
def test_annotations_that_say_nothing(annotation):
    assert uses("a, b = s\nreturn a", f"s: {annotation}") == {"s": "(float, float)"}


@pytest.mark.parametrize(
    ("annotation", "body", "expected"),
    [
        ("list", "v, i = s", "[float, float]"),
        ("list[int]", "s[0] + s[1]", "[int, int]"),
        ("List[Tuple[float, float]]", "(a, b), c = s", "[(float, float), (float, float)]"),
        ("tuple[float, ...]", "v, i, z = s", "(float, float, float)"),
        ("Sequence[float]", "v, i = s", "(float, float)"),
        ("tuple", "v, i = s", "(float, float)"),
        ("dict", "s['b'] + s['a']", "{a, b}"),
        ("dict[str, int]", "s['b'] + s['a']", "{a:int, b:int}"),
        ("Mapping[str, float]", "s['a']", "{a}"),
        ("tuple[float, dict]", "s[1]['k']", "(float, {k})"),
        ("tuple[float, float, float]", "for c in s: pass", "(float, float, float)"),
    ],
)
def test_annotations_that_use_completes(annotation, body, expected):
    assert uses(f"{body}\nreturn x", f"s: {annotation}, x") == {"s": expected}


def test_fields_that_use_completes():
    text = """
        class State(NamedTuple):
            v: float
            params: dict
            pair: tuple

        def step(state: State):
            a, b = state.pair
            return state.params["tau"] * state.v + a
        """
    assert structures(text) == {"state": "State(v, params:{tau}, pair:(float, float))"}


@pytest.mark.parametrize("annotation", ["list", "tuple", "dict", "list[float]"])
def test_a_declared_container_that_is_not_told(annotation):
    error = failure(f"def step(s: {annotation}, x):\n    return other(s) * x\n")
    assert "cannot be told" in error.message
    assert "# gradgen: example s=" in (error.hint or "")


# Directives


def test_the_example_directive_comes_first():
    text = """
        # gradgen: example state=[v, n:int] params={tau, w: (a, b)}
        def step(state: tuple[float, float], x, params: dict = None):
            v, i, z = state
            return v
        """
    assert structures(text) == {"state": "[float, int]", "params": "{tau, w:(float, float)}"}


def test_the_example_directive_names_classes():
    text = """
        class State(NamedTuple):
            v: float
            n: int

        # gradgen: example a=State b=State(v, n:float) c=(State, [State(v, n)])
        def step(a, b, c):
            return a
        """
    assert structures(text) == {
        "a": "State(v, n:int)",
        "b": "State(v, n)",
        "c": "(State(v, n:int), [State(v, n:int)])",
    }


def test_a_bad_class_in_a_directive_has_its_place():
    error = failure("# gradgen: example a=Stat\ndef step(a): return a\n")
    assert "'Stat'" in error.message


# Use


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("v, i, z = state", "(float, float, float)"),
        ("(v, i) = state", "(float, float)"),
        ("[v, i] = state", "(float, float)"),
        ("(v, i), z = state", "((float, float), float)"),
        ("(v,) = state", "(float,)"),
        ("state[0] + state[2]", "(float, float, float)"),
        ("v, i = state\nstate[-1]", "(float, float)"),
        ("(v, i) = state[0]", "((float, float),)"),
        ("v, i = state\na, b = state[-1]", "(float, (float, float))"),
        ("state['tau'] + state['beta']", "{beta, tau}"),
        ("state['lif']['v'] * state['lif']['i']", "{lif:{i, v}}"),
        ("state['lif'][0]", "{lif:(float,)}"),
        ("s = state\nt = s\nv, i = t", "(float, float)"),
        ("s, y = state, x\nv, i = s", "(float, float)"),
        ("lif = state['lif']\nv, i = lif", "{lif:(float, float)}"),
        ("state = state['lif']\nreturn state['v'] + 1", "{lif:{v}}"),
        ("v, i = state\nstate = v * 2\nstate = state + 1", "(float, float)"),
        ("state, old = state", "(float, float)"),
        ("if x > 0:\n    v, i = state\nelse:\n    i = state[0]", "(float, float)"),
        ("s = state if x > 0 else state\nv, i = s", "(float, float)"),
        ("s = x or state\nv, i = state", "(float, float)"),
        ("for k in range(3):\n    v, i = state", "(float, float)"),
        ("while x:\n    v, i = state", "(float, float)"),
        ("with x:\n    v, i = state", "(float, float)"),
        ("try:\n    v, i = state\nexcept E:\n    pass", "(float, float)"),
        ("v, i = lax.stop_gradient(state)", "(float, float)"),
        ("v, i = tuple(state)", "(float, float)"),
        ("v, i = list(state)\nn = len(state)", "(float, float)"),
        ("for s in state: pass\nv, i = state", "(float, float)"),
        ("v, *r = state\nv, i, z = state", "(float, float, float)"),
        ("(s := state)\nv, i = s", "(float, float)"),
        ("return [y * s for y, s in [(x, state[0])]]", "(float,)"),
        ("def inner(y):\n    return y + state[1]\nreturn lax.scan(inner, x)", "(float, float)"),
        ("return (lambda s: s['a'])(state)", "{a}"),
        ("return lax.cond(x, lambda s: s[0], lambda s: s[1], state)", "(float, float)"),
        ("state['v'] = x", "{v}"),
        ("state['v'] += x", "{v}"),
        ("V, I = 0, 1\nreturn state[V] + state[I]", "(float, float)"),
        ("spike = state['fn']\nreturn state['fn'](x)", "{fn:static}"),
        ("return f'{state[0]}'", "(float,)"),
        ("v, i = state\nreturn state", "(float, float)"),
        ("v, i = state\nreturn jax.tree.map(jnp.tanh, state)", "(float, float)"),
    ],
)
def test_use(body, expected):
    assert uses(body) == {"state": expected}


def test_constants_of_the_module_are_indices():
    text = """
        V, I = 0, 1
        KEY = "tau"

        def step(state, params):
            return state[V] * state[I] / params[KEY]
        """
    assert structures(text) == {"state": "(float, float)", "params": "{tau}"}


def test_snnax_style():
    text = """
        def step(state, synaptic_input, *, params):
            mem, syn = state
            alpha = lax.clamp(0.5, params["alpha"], 1.0)
            mem = alpha * mem + syn
            spike = heaviside(mem - 1.0)
            state = [mem - lax.stop_gradient(spike), synaptic_input]
            return [state, spike]
        """
    assert structures(text) == {"state": "(float, float)", "params": "{alpha}"}


def test_jaxsnn_style():
    text = """
        @partial(jax.tree_util.register_dataclass, data_fields=["v", "I"], meta_fields=[])
        @dataclass
        class LIFState:
            v: jax.Array
            I: jax.Array

        def step(inputs, state, spike_fn, *, method="superspike"):
            if method == "heaviside":
                z = 1.0
            dv = inputs["in"] + state.I - state.v
            z = spike_fn(state.v + dv)
            return z, dataclasses.replace(state, v=dv)
        """
    assert structures(text) == {
        "inputs": "{in}",
        "state": "LIFState(v, I)",
        "spike_fn": "static",
        "method": "static",
    }


TWO_STATES = """
class LIF(NamedTuple):
    v: float
    i: float

class ALIF(NamedTuple):
    v: float
    i: float
    a: float
    def total(self): return self.v

@dataclass
class Syn:
    g: float
    n: int
    pair: tuple

class Net(NamedTuple):
    lif: LIF
    syn: Syn
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return state.a", "ALIF(v, i, a)"),
        ("return state._replace(a=x)", "ALIF(v, i, a)"),
        ("return state._replace(i=x, a=x).v", "ALIF(v, i, a)"),
        ("return state.total()", "ALIF(v, i, a)"),
        ("return dataclasses.replace(state, g=x, pair=(x, x)) if state.pair[1] else 0",
         "Syn(g, n:int, pair:(float, float))"),
        ("p, q = state.syn.pair\nreturn state.lif.v",
         "Net(lif:LIF(v, i), syn:Syn(g, n:int, pair:(float, float)))"),
        ("v, i, a = state\nreturn state.a", "ALIF(v, i, a)"),
        ("return state[0].a + state[1].a", "(ALIF(v, i, a), ALIF(v, i, a))"),
        ("return state['c'].a", "{c:ALIF(v, i, a)}"),
        ("lif, syn = state\ng = syn.g\na, b = syn.pair\nreturn lif.a",
         "(ALIF(v, i, a), Syn(g, n:int, pair:(float, float)))"),
        ("lif, syn = state\nc, d = syn.pair\nreturn state.lif.v + lif.i",
         "Net(lif:LIF(v, i), syn:Syn(g, n:int, pair:(float, float)))"),
    ],
)  # fmt: skip
def test_attributes_find_their_class(body, expected):
    body = textwrap.indent(body, "    ")
    assert structures(f"{TWO_STATES}\ndef step(state, x):\n{body}\n", "step") == {"state": expected}


def test_a_field_named_like_an_attribute_of_arrays():
    text = """
        class Heat(NamedTuple):
            T: float

        def step(state, x):
            return state.T + x.T * x
        """
    assert structures(text) == {"state": "Heat(T)"}


def test_attributes_of_several_classes_are_ambiguous():
    error = failure(f"{TWO_STATES}\ndef step(state):\n    return state.v\n")
    assert "LIF and ALIF" in error.message
    assert "# gradgen: example state=LIF" in (error.hint or "")


def test_attributes_of_no_class():
    error = use_failure("return state.membrane + state.dtype")
    assert "(membrane)" in error.message
    assert "--example FILE:FUNCTION" in (error.hint or "")
    assert (error.line, error.column) == (13, 11)


# Helpers


HELPERS = """
@jax.jit
def unpack(s):
    v, i = s
    return v, i

def same(s, *rest, **more): return s

def current(v, i, *, tau, beta): return v

def pick(params, key="a"): return params["tau"] + params[key]

def even(s, n): return odd(s, n)
def odd(s, n): return even(s, n) + s[1]

def optional(v, tau=1.0): return v

def apply(fn, s): return fn(s)

fast = jax.jit(unpack)
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return unpack(state)", "(float, float)"),
        ("return unpack(s=state)", "(float, float)"),
        ("a, b = unpack(state)\nreturn a['k'] + b[0]", "({k}, (float,))"),
        ("a, b = same(state)\nreturn a", "(float, float)"),
        ("return jax.jit(unpack)(state)", "(float, float)"),
        ("return fast(state)", "(float, float)"),
        ("g = jax.checkpoint(unpack)\nreturn g(state['q'])", "{q:(float, float)}"),
        ("return current(x, x, **state)", "{beta, tau}"),
        ("return current(x, x, tau=x, **state)", "{beta}"),
        ("return current(*state, tau=x, beta=x)", "(float, float)"),
        ("return current(x, *state, tau=x, beta=x)", "(float,)"),
        ("return current(*state, x, tau=x, beta=x)", "(float,)"),
        ("return pick(state)", "{a, tau}"),
        ("return pick(state, 'b')", "{b, tau}"),
        ("return even(state, 3)", "(float, float)"),
        ("return apply(unpack, state)", "(float, float)"),
        ("return apply(lambda q: q['z'], state)", "{z}"),
    ],
)
def test_helpers_are_followed(body, expected):
    body = textwrap.indent(body, "    ")
    assert structures(f"{HELPERS}\ndef step(state, x):\n{body}\n", "step") == {"state": expected}


@pytest.mark.parametrize("call", ["same(**state)", "same(*state)", "optional(**state)"])
def test_what_is_spread_over_defaults_is_not_told(call):
    helpers = HELPERS.replace("def ", "def _").replace("(unpack)", "(_unpack)")
    error = failure(f"{helpers}\ndef step(state, x):\n    return _{call}\n")
    assert "spread over parameters" in error.message


def test_a_long_chain_of_helpers_takes_no_time():
    chain = "".join(f"def h{n}(s, x): return h{n + 1}(s, x) + h{n + 1}(s, x)\n" for n in range(30))
    text = f"{chain}def h30(s, x): return s[0] + x\ndef step(state, x): return h0(state, x)\n"
    assert structures(text) == {"state": "(float,)"}


# Static arguments


@pytest.mark.parametrize(
    "body",
    [
        "return f(x)",
        "return jax.vmap(f)(x)",
        "return lax.cond(x > 0, f, f, x)",
        "return x if f == 'soft' else -x",
        "return x if f in ('soft', 'hard') else -x",
        "return x if isinstance(f, str) else -x",
        "g = f\nreturn g(x)",
        "def inner(y):\n    return f(y)\nreturn inner(x)",
        "return jax.tree.map(f, [x])",
    ],
)
def test_python_values_are_static(body):
    assert uses(body, "x, f") == {"f": "static"}


# Defaults


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("(1.0, 2.0)", "(float, float)"),
        ("[1.0, (2.0, 3)]", "[float, (float, float)]"),
        ("{'tau': 1.0, 'mode': 'soft'}", "{mode:static, tau}"),
        ("S(1.0)", "S(v)"),
        ("PARAMS", "{a:(float, float), b}"),
    ],
)
@pytest.mark.parametrize("annotation", ["", ": dict", ": Any"])
def test_a_default_that_is_written_as_a_container(default, expected, annotation):
    text = f"""
        class S(NamedTuple):
            v: float

        PAIR = (1.0, 2.0)
        PARAMS = {{"b": 1.0, "a": PAIR}}

        def step(x, params{annotation}={default}):
            for p in params:
                x = x * p
            return x
        """
    assert structures(text) == {"params": expected}


@pytest.mark.parametrize("default", ["None", "2.0", "make()", "{1: 2.0}", "LOOP"])
def test_other_defaults_say_nothing(default):
    text = f"LOOP = LOOP\ndef step(x, params={default}):\n    return x\n"
    assert structures(text) == {}


# What cannot be told


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("for p in state: x = x + p", "iterated over", "state=(a, b)"),
        ("y = [p for p in state]", "iterated over", "state=(a, b)"),
        ("y = len(state)", "passed to len", "state=(a, b)"),
        ("y = sum(state)", "passed to sum", "state=(a, b)"),
        ("y = jax.tree.map(jnp.exp, state)", "passed to jax.tree.map", "state=(a, b)"),
        ("y = tu.tree_leaves(state)", "passed to jax.tree_util.tree_leaves", "state="),
        ("y = jnp.stack(state)", "passed to jax.numpy.stack", "state="),
        ("v, *r = state", "unpacked with a star", "state=(a, b)"),
        ("y = [*state, x]", "spread with a star", "state="),
        ("y = {**state}", "which keys 'state' has", "state="),
        ("y = other(*state)", "spread into the arguments", "state="),
        ("y = state['tau'] + state.get(x, 1.0)", ".get()", "state={tau}"),
        ("y = state['tau']; z = state.items()", ".items()", "state={tau}"),
        ("y = state[0] + len(state)", "passed to len", "state=(a, b)"),
        ("y = state[x]", "no constant", "state="),
        ("y = state[1:]", "sliced", "state="),
        ("y = state[-1]", "how many components", "state=(a, b)"),
        ("y = state[0] + state[-1]", "how many components", "state=(a, b)"),
        ("y = 'tau' in state", "searched with `in`", "state="),
        ("y = state + (x,)", "combined with another container", "state="),
        ("y = state['lif']; n = len(y)", "'state['lif']'", "state={lif: (a, b)}"),
        ("y = state * 2 + state[0]", "a number and a tuple", "state: jax.Array"),
        ("v, i = state\ny = jnp.exp(state)", "a number and a tuple", "state=(a, b)"),
        ("y = state.shape; v, i = state", "a number and a tuple", "state=(a, b)"),
        ("y = state[0] + state['v']", "a dict and a tuple", "state={v}"),
        ("v, i = state\na, b, c = state", "into 2 names, and here into 3", "same way"),
        ("v, i = state\ny = state[2]", "'state[2]' does not exist", "count"),
    ],
)
def test_what_cannot_be_told_is_an_error(body, message, hint):
    error = use_failure(body)
    assert message in error.message.replace('"', "'")
    assert hint in (error.hint or "")


def test_the_place_of_an_error_is_the_use():
    error = use_failure("y = x * 2\nfor p in state:\n    y = y + p\nreturn y")
    assert (error.path, error.line, error.column) == ("m.py", 14, 13)


def test_a_record_unpacked_into_too_many_names():
    text = """
        class S(NamedTuple):
            v: float

        def step(s: S):
            a, b = s
            return a
        """
    assert "unpacked into 2 names, and S has 1 fields" in failure(text).message


@pytest.mark.parametrize("base", ["eqx.Module", "Module", "flax.struct.PyTreeNode"])
def test_modules_of_libraries_have_fields(base):
    text = f"""
        class Network({base}):
            first: jax.Array
            out: jax.Array

        def loss(network: Network, x):
            return network.first * x + network.out
        """
    assert structures(text) == {"network": "Network(first, out)"}


def test_structs_of_tree_math_are_dataclasses():
    text = """
        import tree_math

        @tree_math.struct
        class Gates:
            m: jax.Array
            h: jax.Array

        def current(gates: Gates, p, v):
            return p * gates.m**3 * gates.h * v
        """
    assert structures(text) == {"gates": "Gates(m, h)"}


@pytest.mark.parametrize(
    "call",
    [
        "namedtuple(typename='Theta', field_names='tau gain'.split(' '))",
        "namedtuple('Theta', field_names='tau, gain')",
        "namedtuple('Theta', 'tau,' 'gain')",
        "namedtuple('Theta', 'tau gain'.split())",
    ],
)
def test_namedtuples_are_made_in_many_ways(call):
    text = f"""
        from collections import namedtuple

        Theta = {call}

        def rate(r, theta):
            return theta.gain * r / theta.tau
        """
    assert structures(text) == {"theta": "Theta(tau, gain)"}


def test_a_key_may_be_asked_for():
    text = "return s.get('v') + s.get('i', 0.0) + s['w']"
    assert uses(text, "s") == {"s": "{i, v, w}"}


def test_an_instance_may_hold_the_names_of_keys():
    text = """
        class Gate:
            def step(self, states, v):
                prefix = self.name
                return states[f"{prefix}_m"] * v + states[self.kind.key]
        """
    source = read_source(
        "m.py",
        HEADER + textwrap.dedent(text),
        "Gate.step",
        constants={"self.name": "na", "self.kind.key": "h"},
    )
    assert {n: s.pretty() for n, s in source.structures} == {"states": "{h, na_m}"}


def test_containers_that_are_not_read_are_known_as_such():
    text = """
        def step(v, params: Dict[str, jax.Array], xs: Sequence[float], flag: bool, x):
            return v + x
        """
    source = read_source("m.py", HEADER + textwrap.dedent(text))
    assert source.unread == {"params", "xs"}
    assert [name for name, _ in source.structures] == ["flag"]


@pytest.mark.parametrize("said", ["static_argnums=(2, -1)", "static_argnames=['rule', 'n']"])
def test_what_is_static_to_jit_is_static(said):
    text = f"""
        @partial(jax.jit, {said})
        def step(v, x, rule="soft", n=2):
            return v + x * n
        """
    assert structures(text) == {"rule": "static", "n": "static"}


def test_a_dataclass_cannot_be_unpacked():
    text = """
        @dataclass
        class S:
            v: float

        def step(s):
            a, = s
            return s.v
        """
    assert "a record and a tuple" in failure(text).message


def test_hints_can_be_followed():
    error = use_failure("y = state['lif']; n = len(y)")
    comment = (error.hint or "").partition("as in ")[2]
    text = f"{comment}\ndef step(state, x):\n    y = state['lif']\n    return len(y)\n"
    assert structures(text) == {"state": "{lif:(float, float)}"}
