"""The user's names are the interface: whatever they are, generated modules work with them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import Generated, generate_text

from gradgen.errors import GradgenError
from gradgen.frontend.reading.source import read_source
from gradgen.ir.own_names import own_name
from gradgen.ir.pytree import join
from gradgen.project.record import read_record
from gradgen.targets.jax.ownership import settle, users, users_code

HEADER = "import jax as j\nimport jax.numpy as n\nfrom typing import NamedTuple\n"


def exact(folder, text: str, function: str | None = None) -> Generated:
    """Generate a source's text, and compare all that is in it with JAX at a point."""
    generated = generate_text(folder, HEADER + text, function=function, order="reverse")
    front = generated.front
    floats = [i.dtype == "float" for i in front.trace.inputs]
    leaves = [jnp.asarray(0.3 + 0.1 * k if f else 2) for k, f in enumerate(floats)]
    positional, keyword = front.signature.bind(leaves)
    wrt = [k for k, i in enumerate(front.trace.inputs) if i.wrt]

    def total(function, *chosen):
        given = list(leaves)
        for k, value in zip(wrt, chosen, strict=True):
            given[k] = value
        positional, keyword = front.signature.bind(given)
        result = jax.tree.leaves(function(*positional, **keyword))
        return sum((k + 1.0) * leaf for k, leaf in enumerate(result))

    wanted = generated.source(*positional, **keyword)
    value, jacobian = generated.function("value_and_jacobian")(*positional, **keyword)
    for found in (generated.function()(*positional, **keyword), value):
        assert repr(jax.tree.structure(found)) == repr(jax.tree.structure(wanted))
        jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(found), jax.tree.leaves(wanted))
    chosen = [leaves[k] for k in wrt]
    places = range(len(wrt))
    expected = [jax.grad(lambda *x: total(generated.source, *x), k)(*chosen) for k in places]
    gradient = [jax.grad(lambda *x: total(generated.function(), *x), k)(*chosen) for k in places]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    outputs, structure = jax.tree.flatten(wanted)
    weights = [k + 1.0 for k in range(len(outputs))]
    due = [jnp.asarray(w, x.dtype) for w, x in zip(weights, outputs, strict=True)]
    primals = (*positional, *keyword.values())
    pulled = generated.function("vjp")(primals, jax.tree.unflatten(structure, due))
    np.testing.assert_allclose(jax.tree.leaves(pulled), expected, rtol=1e-5)
    entries = generated.function("jacobian_entries")(*positional, **keyword)
    weight = dict(zip((o.path for o in front.trace.outputs), weights, strict=True))
    for k, slope in zip(wrt, expected, strict=True):
        path = front.trace.inputs[k].path
        column = [weight[out] * entry for (out, by), entry in entries.items() if by == path]
        np.testing.assert_allclose(sum(column), slope, rtol=1e-5)
    rows = np.reshape(jax.tree.leaves(jacobian), (-1, len(wrt)))
    of_floats = [weight[o.path] for o in front.trace.float_outputs]
    np.testing.assert_allclose(of_floats @ rows, expected, rtol=1e-5)
    return generated


OWN = (
    *("_step", "_flatten", "_jacobian", "_primal", "_constant", "_bound", "_ENTRIES", "_Like"),
    *("jax", "jnp", "lax", "np", "partial", "NamedTuple", "GRADGEN"),
    *("tuple", "len", "zip", "map", "type", "getattr", "leaves", "types", "jnp_"),
)


def test_arguments_called_like_the_modules_own_names(tmp_path):
    body = " + ".join(f"{name} * v" for name in OWN)
    text = f"def step({', '.join(OWN)}, v, *, _vjp=0.5, zip_='x'):\n    return {body}, v * _vjp\n"
    generated = exact(tmp_path, text)
    given = dict.fromkeys(OWN, 0.25)
    jacobian = generated.function("jacobian")(**given, v=2.0)
    assert float(jacobian[0][OWN.index("jnp")]) == 2.0
    with pytest.raises(ValueError, match="zip_=x"):
        generated.function()(**given, v=2.0, zip_="y")


@pytest.mark.parametrize("name", ["_step", "_primal", "jnp", "tuple", "GRADGEN", "jax", "_vjp"])
def test_functions_called_like_the_modules_own_names(tmp_path, name):
    generated = exact(
        tmp_path, f"def {name}(v, w, a=0.5):\n    return a * n.tanh(v * w), v\n", name
    )
    record = read_record(generated.text)
    assert record is not None
    assert record.function == name
    assert not record.edited


def test_classes_called_like_the_modules_own_names(tmp_path):
    text = (
        "import numpy as jnp\n"
        "class _Like(NamedTuple):\n    type: jnp.ndarray\n    a: float\n"
        "class _State(NamedTuple):\n    inner: _Like\n    tuple: float\n"
        "def step(x, _flatten):\n    return _State(_Like(x * _flatten, x), _flatten), x\n"
    )
    generated = exact(tmp_path, text)
    result = generated.function()(2.0, 3.0)[0]
    assert type(result).__name__ == "_State"
    assert float(result.inner.type) == 6.0


@pytest.mark.parametrize(
    "body",
    [
        "x = v * w\n    t_x = n.sin(v)\n    t_t_x = w\n    return x, t_x, t_t_x, k",
        "np = v * w\n    jnp_ = np * w\n    return np, jnp_, k",
    ],
)
def test_local_names_like_those_of_the_module(tmp_path, body):
    exact(tmp_path, f"def step(v, w, k: int):\n    {body}\n")


def test_names_that_collide_with_nothing_change_nothing():
    text = "import jax\n\ndef f(v):\n    return len(v)\n"
    assert settle(text) == text
    marked = text.replace("(v)", f"({users('len')})")
    assert settle(marked) == (
        "from builtins import len as len_\nimport jax\n\ndef f(len):\n    return len_(len)\n"
    )
    assert settle(f"import jax\n{users_code('x: tuple = len(_a)', [])}\n") == (
        "import jax\nx: tuple = len(_a)\n"
    )


def test_the_longest_variant_is_the_modules_own():
    assert own_name("_primal", {"_primal", "_primal_", "_primal_x"}) == "_primal_"
    assert own_name("_primal", {"_step"}) == "_primal"


# Unicode


@pytest.mark.parametrize(
    "text",
    [
        "def 𝐬tep(v𝟏, *, ſ=0.5, µ=2.0):\n    return v1 * ſ * μ, v𝟏\n",
        "class Sﬁ(NamedTuple):\n    v𝟏: float\n    w: float\n"
        "def step(s: Sﬁ, ﬁ):\n    a, b𝟏 = ﬁ\n    return Sﬁ(s.v𝟏 * a, w=s.w), b1 * s.v1\n",
        "def step(é, τ_m, 电压):\n    σ = é * τ_m\n    return σ * 电压, 电压\n",
    ],
)
def test_names_in_any_alphabet(tmp_path, text):
    exact(tmp_path, text)


# Keys and strings

KEYS = [
    *('a"b', "a'b", "a\nb", "a\\nb", "{{ name }}", 'a"""b', "a.b", "a:b", "a|b", "", "a\0b"),
    *("\ud800", "class", "lif/~/linear", "𝚝𝚢𝚙𝚎", "a\u2028b", "tuple", "_step", "%2E"),
]


def test_dicts_with_any_keys(tmp_path):
    items = ", ".join(f"{key!r}: p[{key!r}] * v" for key in KEYS)
    text = f"def step(p, v):\n    return {{{items}}}, v\n"
    generated = exact(tmp_path, text)
    given = {key: float(k) for k, key in enumerate(KEYS)}
    result = generated.function()(given, 2.0)[0]
    assert {key: float(value) for key, value in result.items()} == {
        key: 2.0 * value for key, value in given.items()
    }


def test_paths_are_unambiguous():
    paths = [join("p", "a.b"), join(join("p", "a"), "b"), join("p", "a%2Eb"), join("p", "")]
    assert len(set(paths)) == len(paths)
    assert join("p", "lif/~/linear") == "p.lif/~/linear"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def step(v, k={0: 1.0}):\n    return v * k[0]\n", "the key 0"),
        ("def step(v):\n    return {0: v}\n", "the key 0"),
        ("def step(v, k=n.array([1.0, 2.0])):\n    return v * k[1]\n", "array of shape (2,)"),
        ("def step(v, k=1.0):\n    return v * k[0] * k[1]\n", "is used as (float, float)"),
        (
            "class S(NamedTuple):\n    v: float\ndef step(v, s: S = None):\n    return v * 2\n",
            "is None",
        ),
        ("def step(v, k=j.random.key(0)):\n    return v * 2\n", "no numbers"),
        (
            "from collections import OrderedDict as O\ndef step(v):\n    return O(a=v)\n",
            "OrderedDict",
        ),
        ("def __getattr__(v):\n    return v * v\n", "modules have for themselves"),
        (
            "def keep(f):\n    return lambda *a: f(*a)\n"
            "@keep\ndef step(v, k=2.0):\n    return v * k\n",
            "takes no argument 'k' any more",
        ),
        (
            "V = 1.0\nclass S(NamedTuple):\n    v: float = V\ndef step(v):\n    return S(v * v)\n",
            "needs 'V'",
        ),
        (
            "def make():\n    class S(NamedTuple):\n        v: float\n    return S\n"
            "T = make()\ndef step(v):\n    return T(v * v)\n",
            "an instance of S",
        ),
        (
            "from jax.scipy.special import gammainc\ndef step(v):\n    return gammainc(2.0, v)\n",
            "igamma",
        ),
        ("def step(v, w):\n    return n.sort(n.stack([v, w]))[0]\n", "'sort' is not supported"),
    ],
)
def test_what_is_refused_says_what_to_do(tmp_path, text, message):
    function = "__getattr__" if "__getattr__" in text else "step"
    with pytest.raises(GradgenError) as caught:
        generate_text(tmp_path, HEADER + text, function=function)
    assert caught.value.exit_code == 2
    assert message in caught.value.message
    assert caught.value.hint
    assert caught.value.line is not None


def test_keys_made_of_constants():
    text = (
        "BASE = 'HH'\ndef step(s, v):\n    name = BASE + '_{x}'\n"
        "    return s[f'{name}_n'] * s[f'{{{name}}}'] * s['a' 'b'] * v\n"
    )
    (found,) = [s for name, s in read_source("m.py", text).structures if name == "s"]
    assert set(found.keys) == {"HH_{x}_n", "{HH_{x}}", "ab"}


# Containers


CLASS = """
import dataclasses
@dataclasses.dataclass
class S:
    v: float
    u: float
    w: float
"""
STEP = "def step(s: S, x):\n    return S(s.v * x, s.u * x * x, s.w), s.v + x\n"
PARTS = "lambda s: ((s.w, s.v, s.u), None), lambda _, c: S(c[1], c[2], c[0])"
KEYED = PARTS.replace("s.w, s.v, s.u", "(K('v'), s.w), (K('u'), s.v), (K('w'), s.u)")


@pytest.mark.parametrize(
    "registered",
    [
        "j.tree_util.register_dataclass(S, data_fields=['w', 'v', 'u'], meta_fields=[])\n",
        f"j.tree_util.register_pytree_node(S, {PARTS})\n",
        f"K = j.tree_util.GetAttrKey\nj.tree_util.register_pytree_with_keys(S, {KEYED})\n",
    ],
)
def test_the_order_of_parts_is_jaxs(tmp_path, registered):
    generated = exact(tmp_path, CLASS + registered + STEP)
    assert [i.path for i in generated.front.trace.inputs] == ["s.w", "s.v", "s.u", "x"]
    assert [o.path for o in generated.front.trace.outputs] == ["0.w", "0.v", "0.u", "1"]


def test_parts_that_are_no_fields_are_refused(tmp_path):
    registered = f"j.tree_util.register_pytree_node(S, {PARTS.replace('s.w,', 's.w + s.v,')})\n"
    with pytest.raises(GradgenError, match="not its fields") as caught:
        generate_text(tmp_path, HEADER + CLASS + registered + STEP)
    assert "register_dataclass" in str(caught.value.hint)


def test_branches_that_return_containers(tmp_path):
    text = (
        "def step(v, w, k):\n"
        "    return j.lax.cond(v > w, lambda: {'a': (v * 2, w)}, lambda: {'a': (w, v * w)}), k\n"
    )
    generated = exact(tmp_path, text)
    v, w, k = np.ones((2, 3)), np.arange(3.0), 0.5
    found = generated.function()(v, w, k)
    wanted = jax.vmap(jax.vmap(generated.source))(v, *(np.broadcast_to(x, (2, 3)) for x in (w, k)))
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_nests_too_deeply_is_no_record():
    text = (
        "# Code generated by gradgen 1 from m.py. DO NOT EDIT.\nGRADGEN = {\n    'a': "
        + "-" * 100000
    )
    record = read_record(text + "1,\n}\n")
    assert record is not None
    assert record.recipe is None
