"""What is said of functions on arrays that cannot be derived, and that each hint works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from array_sources import HEADER
from test_arrays import SIZES, check, pair

from gradgen.errors import GradgenError

Sizes = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Refused:
    """A source that is refused: with what message, at which text, and how it is mended."""

    text: str
    message: str
    at: str
    mended: tuple[str, str]


CASES = {
    "a leaf that is none": Refused(
        "# gradgen: shape p.c=(n,)\n# gradgen: example p={a, b}\n\n"
        "def f(p):\n    return p['a'] * p['b']\n",
        "there is a shape for 'p.c', which is no leaf of an argument",
        "# gradgen: shape p.c",
        ("p.c=(n,)", "p.a=(n,) p.b=(n,)"),
    ),
    "leaves of what is passed whole": Refused(
        "# gradgen: shape p.layers.w=(k, n, n) p.layers.b=(k, n)\n"
        "# gradgen: shape p.out=(n,) x=(n,)\n\n"
        "def f(p, x):\n"
        "    step = lambda h, layer: (jnp.tanh(h @ layer['w'] + layer['b']), None)\n"
        "    return jax.lax.scan(step, x, p['layers'])[0] @ p['out']\n",
        "there is a shape for 'p.layers.w', which is no leaf of an argument",
        "# gradgen: shape p.layers",
        ("# gradgen", "# gradgen: example p={layers:{b, w}, out}\n# gradgen"),
    ),
    "a shape of what is None by default": Refused(
        "# gradgen: shape x=(batch, n) w=(n, n) v=(batch, n)\n\n"
        "def f(x, w, v=None):\n    v = jnp.zeros_like(x) if v is None else v\n"
        "    return 0.9 * v + x @ w\n",
        "the default value of 'v' is None, and it is used as float",
        "v=None",
        ("v=None", "v"),
    ),
    "a container": Refused(
        "# gradgen: shape p=(n,)\n# gradgen: example p={a, b}\n\n"
        "def f(p):\n    return p['a'] * p['b']\n",
        "there is a shape for 'p', which is a container",
        "# gradgen: shape p=",
        ("p=(n,)", "p.a=(n,) p.b=(n,)"),
    ),
    "no axes": Refused(
        "# gradgen: shape x=batch\n\ndef f(x):\n    return 2 * x\n",
        "malformed shape directive: the shape of 'x', 'batch', is no list of axes",
        "# gradgen: shape x=",
        ("x=batch", "x=(batch,)"),
    ),
    "a sum for an axis": Refused(
        "# gradgen: shape x=(n+1,)\n\ndef f(x):\n    return 2 * x\n",
        "'n+1' is not an axis",
        "# gradgen: shape x=",
        ("n+1", "2*n"),
    ),
    "a float's dtype": Refused(
        "# gradgen: shape x=(n,):float32\n\ndef f(x):\n    return 2 * x\n",
        "the dtype 'float32' is not one of float, bool, int",
        "# gradgen: shape x=",
        (":float32", ""),
    ),
    "a size of nothing": Refused(
        "# gradgen: shape x=(n,)\n# gradgen: size m=3\n\ndef f(x):\n    return 2 * x\n",
        "there is a size for 'm', which is no axis",
        "# gradgen: size m",
        ("m=3", "n=3"),
    ),
    "axes that do not fit": Refused(
        "# gradgen: shape x=(batch, n) w=(m, n)\n\ndef f(x, w):\n    return x @ w\n",
        "cannot be traced on arrays of these shapes: TypeError: dot_general requires contracting "
        "dimensions to have the same shape, got (n,) and (m,)",
        "x @ w",
        ("w=(m, n)", "w=(n, m)"),
    ),
    "an axis called as Python has it": Refused(
        "# gradgen: shape x=(batch, in)\n\ndef f(x):\n    return 2 * x\n",
        "an axis cannot be called 'in'",
        "# gradgen: shape x=",
        ("in)", "n_in)"),
    ),
    "a loop over an axis": Refused(
        "# gradgen: shape x=(batch, n)\n\n"
        "def f(x):\n    return sum(x[k].sum() for k in range(x.shape[0]))\n",
        "depends on the size of an axis",
        "range(",
        ("(batch, n)", "(3, n)"),
    ),
    "a root of a size": Refused(
        "# gradgen: shape x=(batch, n)\n\ndef f(x):\n    return x / x.shape[1] ** 0.5\n",
        "depends on the size of an axis",
        "x.shape[1]",
        ("(batch, n)", "(batch, 4)"),
    ),
    "a branch on a size": Refused(
        "# gradgen: shape x=(batch, n)\n\n"
        "def f(x):\n    if x.shape[0] > 3:\n        return x * 2\n    return x\n",
        "depends on the size of an axis",
        "x.shape[0] > 3",
        ("(batch, n)", "(32, n)"),
    ),
    "a branch on a value": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x):\n    if x.sum() > 0:\n        return 2 * x\n    return x\n",
        "branches in Python on a value that is only known at run time",
        "x.sum() > 0",
        (
            "if x.sum() > 0:\n        return 2 * x\n    return x",
            "return jnp.where(x.sum() > 0, 2 * x, x)",
        ),
    ),
    "an array from outside": Refused(
        "# gradgen: shape x=(65,)\n\nW = jnp.arange(65.0) + 1.0\n\ndef f(x):\n    return x * W\n",
        "reads an array of shape (65,) that is none of its arguments, of more than 64 elements",
        "def f",
        (
            "x=(65,)\n\nW = jnp.arange(65.0) + 1.0\n\ndef f(x):",
            "x=(65,) W=(65,)\n\ndef f(x, W):",
        ),
    ),
    "a loop without an end": Refused(
        "# gradgen: shape x=(n,) y=(n,)\n\n"
        "def f(x, y):\n"
        "    return y * lax.while_loop(lambda c: c.sum() < 9, lambda c: c * 2, x * x)\n",
        "a loop whose end is found at run time has no derivative in reverse mode",
        "lax.while_loop",
        (
            "lax.while_loop(lambda c: c.sum() < 9, lambda c: c * 2, x * x)",
            "lax.fori_loop(0, 20, lambda k, c: jnp.where(c.sum() < 9, c * 2, c), x * x)",
        ),
    ),
    "a setting that is a shape": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x, depth=3):\n    return jnp.sin(x) + jnp.arange(depth).sum()\n",
        "counts or indexes in Python",
        "return jnp.sin",
        ("# gradgen: shape", "# gradgen: static depth=3\n# gradgen: shape"),
    ),
    "a setting that is a count": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x, depth=3):\n    for _ in range(depth):\n        x = jnp.sin(x)\n    return x\n",
        "counts or indexes in Python",
        "for _ in range(depth)",
        ("# gradgen: shape", "# gradgen: static depth=3\n# gradgen: shape"),
    ),
    "nothing to differentiate": Refused(
        "# gradgen: shape x=(n,)\n\ndef f(x):\n    return jnp.floor(x)\n",
        "no output of 'f' depends differentiably on x",
        "def f",
        ("jnp.floor(x)", "x + lax.stop_gradient(jnp.floor(x) - x)"),
    ),
    "a number that follows the precision": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x):\n    return x / (jnp.abs(x).sum() + 10 * jnp.finfo(x.dtype).eps)\n",
        "computes with another number",
        "def f",
        ("10 * jnp.finfo", "jnp.finfo"),
    ),
    "a precision of its own": Refused(
        "# gradgen: shape x=(n,)\n\ndef f(x):\n    return x.astype(jnp.float16) * 0.1\n",
        "computes in float16, whatever it is given",
        "x.astype",
        ("jnp.float16", "x.dtype"),
    ),
    "a rule that is not linear": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "@jax.custom_jvp\ndef g(x):\n    return x * x\n\n"
        "@g.defjvp\ndef _g(p, t):\n    return g(p[0]), t[0] * t[0]\n\n"
        "def f(x):\n    return g(x)\n",
        "the rule of 'g' is not linear in its tangents",
        "@g.defjvp",
        ("t[0] * t[0]", "2 * p[0] * t[0]"),
    ),
    "products of another dtype": Refused(
        "# gradgen: shape x=(n, m) w=(m, k)\n\n"
        "def f(x, w):\n    return jnp.tanh(jnp.matmul(x, w, preferred_element_type='float16'))\n",
        "a form of 'dot_general' is not supported: its products are of another dtype than its "
        "operands",
        "return jnp.tanh(jnp.matmul",
        ("x=(n, m) w=(m, k)\n\n"
         "def f(x, w):\n    return jnp.tanh(jnp.matmul(x, w, preferred_element_type='float16'))",
         "x=(n, k)\n\ndef f(x):\n    return jnp.tanh(x)"),
    ),
    "two precisions": Refused(
        "# gradgen: shape x=(n, m) w=(m, k)\n\n"
        "def f(x, w):\n    return jnp.matmul(x, w, precision=('highest', 'default')) * 2\n",
        "a form of 'dot_general' is not supported: its two operands have different precisions",
        "return jnp.matmul",
        ("x=(n, m) w=(m, k)\n\n"
         "def f(x, w):\n    return jnp.matmul(x, w, precision=('highest', 'default'))",
         "x=(n, k)\n\ndef f(x):\n    return x"),
    ),
    "unsigned integers": Refused(
        "# gradgen: shape x=(n,) k=(n,):int\n\ndef f(x, k):\n    return x * k.astype('uint32')\n",
        "conversions to unsigned integers are not supported",
        "return x * k.astype",
        ("k=(n,):int\n\ndef f(x, k):\n    return x * k.astype('uint32')",
         "k=(n,):uint8\n\ndef f(x, k):\n    return x * k"),
    ),
    "complex numbers": Refused(
        "# gradgen: shape x=(n,)\n\ndef f(x):\n    return jnp.abs(x + 1j)\n",
        "complex numbers are not supported",
        "return jnp.abs",
        ("jnp.abs(x + 1j)", "jnp.sqrt(x * x + 1)"),
    ),
    "some platforms alone": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x):\n    return 2 * lax.platform_dependent(x, cpu=jnp.sin, tpu=jnp.tanh)\n",
        "code that differs between platforms is not supported",
        "return 2 * lax.platform_dependent",
        ("lax.platform_dependent(x, cpu=jnp.sin, tpu=jnp.tanh)", "x"),
    ),
    "platforms and a default": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x):\n    return 2 * lax.platform_dependent(x, cpu=jnp.sin, default=jnp.tanh)\n",
        "code that differs between platforms is not supported",
        "return 2 * lax.platform_dependent",
        ("lax.platform_dependent(x, cpu=jnp.sin, default=jnp.tanh)", "x"),
    ),
    "operations that follow the precision": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x):\n    return x * 2 if x.dtype == 'float32' else x * x\n",
        "'f' computes with other operations in float32 than in float64",
        "def f",
        ("def f(x):\n    return x * 2 if x.dtype == 'float32' else x * x",
         "def f(x, single=1.0):\n    return jnp.where(single == 1.0, x * 2, x * x)"),
    ),
    "a dtype that follows the precision": Refused(
        "# gradgen: shape x=(n,)\n\ndef f(x):\n"
        "    return x * jnp.floor(x).astype('int8' if x.dtype == 'float32' else 'int16')\n",
        "'f' computes with another dtype (int8 and not int16) in float32 than in float64",
        "def f",
        ("x=(n,)\n\ndef f(x):\n"
         "    return x * jnp.floor(x).astype('int8' if x.dtype == 'float32' else 'int16')",
         "x=(n,) k=(n,):int\n\ndef f(x, k):\n    return x * k"),
    ),
    "an operation without a derivative": Refused(
        "# gradgen: shape x=(n,)\n\ndef f(x):\n    return x * lax.igamma_grad_a(x, 2.0 + x)\n",
        "JAX has no derivative of the primitive 'igamma_grad_a'",
        "return x * lax.igamma_grad_a",
        ("(x, 2.0 + x)", "(*lax.stop_gradient((x, 2.0 + x)))"),
    ),
    "a backward rule that returns no tuple": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "@jax.custom_vjp\ndef vspiked(x):\n    return 2.0 * x\n\n"
        "vspiked.defvjp(lambda x: (vspiked(x), x), lambda x, t: 2.0 * t)\n\n"
        "def f(x):\n    return vspiked(x)\n",
        "the derivative rule of 'vspiked' fails: TypeError: Custom VJP bwd rule must produce",
        "vspiked.defvjp",
        ("2.0 * t)", "(2.0 * t,))"),
    ),
    "a tangent of another shape": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "@jax.custom_jvp\ndef g(x):\n    return 2.0 * x\n\n"
        "@g.defjvp\ndef _g(p, t):\n    return g(p[0]), t[0].sum()\n\n"
        "def f(x):\n    return g(x)\n",
        "the derivative rule of 'g' fails: TypeError: Custom JVP rule must produce",
        "@g.defjvp",
        ("t[0].sum()", "2.0 * t[0]"),
    ),
    "a rule that reads what is around it": Refused(
        "# gradgen: shape x=(n,) y=(n,)\n\n"
        "def f(x, y):\n"
        "    @jax.custom_jvp\n    def g(x):\n        return 2.0 * x\n\n"
        "    @g.defjvp\n    def _g(p, t):\n        return g(p[0]), t[0] * y\n\n"
        "    return g(x)\n",
        "the derivative rule of 'g' reads a value of the function around it",
        "@g.defjvp",
        ("def g(x):\n        return 2.0 * x\n\n"
         "    @g.defjvp\n    def _g(p, t):\n        return g(p[0]), t[0] * y\n\n"
         "    return g(x)",
         "def g(x, y):\n        return 2.0 * x\n\n"
         "    @g.defjvp\n    def _g(p, t):\n        return g(*p), t[0] * p[1]\n\n"
         "    return g(x, y)"),
    ),
    "an array for a default": Refused(
        "# gradgen: shape x=(n,) w=(3,)\n\ndef f(x, w=jnp.ones(3)):\n    return x * w.sum()\n",
        "the argument 'w' holds an array of shape (3,)",
        "def f(x, w",
        ("w=jnp.ones(3)", "w"),
    ),
    "a name that stands for something else": Refused(
        "# gradgen: shape x=(leading, n)\n\ndef f(x):\n    return 2 * x\n",
        "an axis cannot be called 'leading', which code has another use for",
        "# gradgen: shape x",
        ("leading", "n_leading"),
    ),
    "axes in front of which one is meant": Refused(
        "# gradgen: shape x=(..., n)\n\ndef f(x):\n    return x - x.mean(0)\n",
        "'...' in a shape stands for any number of axes, and 'f' does something else with no axis "
        "in its place",
        "# gradgen: shape x",
        ("...", "batch"),
    ),
    "axes in front that there have to be": Refused(
        "# gradgen: shape x=(..., n)\n\ndef f(x):\n    return x * x.shape[1]\n",
        "and 'f' fails with no axis in its place: IndexError: tuple index out of range",
        "# gradgen: shape x",
        ("...", "batch"),
    ),
    "axes in front that end elsewhere": Refused(
        "# gradgen: shape x=(..., n)\n\ndef f(x):\n    return x.T\n",
        "and 'f' has an array with them elsewhere, of shape (n, ...)",
        "# gradgen: shape x",
        ("...", "batch"),
    ),
    "axes in front that are behind": Refused(
        "# gradgen: shape x=(n, ...)\n\ndef f(x):\n    return x * 2\n",
        "'...' is not an axis",
        "# gradgen: shape x",
        ("n, ...", "..., n"),
    ),
    "what JAX does not differentiate": Refused(
        "# gradgen: shape x=(n,)\n\ndef f(x):\n    return x.at[0].apply(jnp.sin)\n",
        "JAX has no derivative of 'scatter' here",
        "x.at[0]",
        (".apply(jnp.sin)", ".set(jnp.sin(x[0]))"),
    ),
    "an operation without code": Refused(
        "# gradgen: shape x=(n, n) y=(n, n)\n\ndef f(x, y):\n    return jnp.linalg.inv(x) @ y\n",
        "the primitive 'lu' is not supported in arrays",
        "jnp.linalg.inv",
        ("jnp.linalg.inv(x) @ y", "x @ y"),
    ),
    "products so far along an open axis": Refused(
        "# gradgen: shape x=(time, n)\n\ndef f(x):\n    return lax.cumprod(x, axis=0)\n",
        "JAX has no derivative of 'cumprod' here",
        "return lax.cumprod(",
        ("x=(time, n)", "x=(4, n)"),
    ),
    "axes of a default value": Refused(
        "# gradgen: shape x=(n,) v=(n,)\n\ndef f(x, v=0.0):\n    return 0.9 * v + x\n",
        "the shape of 'v' is stated as (n,), and its default value is a number",
        "# gradgen: shape",
        ("v=(n,)", "v=()"),
    ),
    "the middle of an open axis": Refused(
        "# gradgen: shape x=(time, n)\n\n"
        "def f(x):\n    return jnp.tanh(x[x.shape[0] // 2])\n",
        "'f' depends on the size of an axis: only integers",
        "x[x.shape[0]",
        ("x=(time, n)", "x=(4, n)"),
    ),
    "what is shown meanwhile": Refused(
        "# gradgen: shape x=(n,)\n\n"
        "def f(x):\n    jax.debug.print('{}', x)\n    return jnp.tanh(x)\n",
        "the primitive 'debug_print' is not supported in arrays",
        "jax.debug.print",
        ("    jax.debug.print('{}', x)\n", ""),
    ),
}  # fmt: skip


@pytest.fixture
def sets(pytestconfig: pytest.Config) -> Sizes:
    """The sizes at which what a hint leads to is compared with JAX."""
    return SIZES["float64"] if pytestconfig.getoption("--full") else SIZES["float64"][:1]


@pytest.mark.parametrize("name", CASES)
def test_refused_at_its_place_with_a_hint_that_works(
    name: str, sets: Sizes, tmp_path: Path
) -> None:
    case = CASES[name]
    with pytest.raises(GradgenError) as refused:
        pair(tmp_path, case.text)
    error = refused.value
    assert case.message in error.message
    assert error.hint
    line = (HEADER + case.text).splitlines()[(error.line or 0) - 1]
    assert case.at in line or line.strip().startswith(case.at)
    before, after = case.mended
    assert before in case.text
    check(pair(tmp_path, case.text.replace(before, after, 1)), "float64", sets=sets)


PROPOSED = {
    "layer": "def f(v, z, x, w):\n    return 0.9 * v * (1 - z) + x @ w\n",
    "recurrent layer": "def f(v, x, p):\n    return 0.9 * v + x @ p['w'] + jnp.tanh(v) @ p['r']\n",
    "state and input": "def f(s, x, w):\n    return s['v'] + s['i'] + x @ w, s['i']\n",
    "packed, transposed": "def f(y):\n    v, i = y.T\n    return jnp.stack([v + i, i * v]).T\n",
    "before columns": "def f(v, x, w, r):\n    return 0.9 * v + w @ x - r @ jnp.tanh(v)\n",
    "one neuron's mean": "def f(v):\n    return v - v.mean(-1, keepdims=True)\n",
}


@pytest.mark.parametrize("name", PROPOSED)
def test_shapes_are_proposed(name: str, sets: Sizes, tmp_path: Path) -> None:
    text = f"\n{PROPOSED[name]}"
    with pytest.raises(GradgenError) as refused:
        pair(tmp_path, text)
    directive = refused.value.hint.rpartition(": # ")[2]
    assert directive.startswith("gradgen: shape ")
    check(pair(tmp_path, f"# {directive}\n{text}"), "float64", sets=sets)


PACKED = {
    "packed, sliced": "def f(y, x):\n    v, i = y[:, 0], y[:, 1]\n"
    "    return jnp.stack([0.9 * v + i, jnp.tanh(i) + x], axis=1)\n",
    "packed, under an ellipsis": "def f(t, y, x):\n    v, i = y[..., 0], y[..., 1]\n"
    "    return jnp.stack([v * jnp.exp(-i), x - i], axis=-1)\n",
    "packed, split": "def f(s, x):\n    v, i = jnp.split(s, 2, axis=-1)\n"
    "    return jnp.concatenate([0.9 * v + i * v, 0.8 * i + x], -1), jnp.tanh(v)\n",
    "packed, moved": "def f(s, x):\n    v, w, z = jnp.moveaxis(s, -1, 0)\n"
    "    return jnp.stack([v * w + x, w - v, z], axis=-1)\n",
    "packed in a container": "def f(p, x):\n    v, i = p['y'][:, 0], p['y'][:, 1]\n"
    "    return {'y': jnp.stack([v + i * x, p['g'] * i], axis=1), 'g': p['g']}\n",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full) if name == "packed, under an ellipsis" else name
        for name in PACKED
    ],
)
def test_packed_state_is_found(name: str, sets: Sizes, tmp_path: Path) -> None:
    made = pair(tmp_path, f"\n{PACKED[name]}")
    assert made.front.read is not None
    assert made.front.read.startswith("# gradgen: shape ")
    check(made, "float64", sets=sets)


def test_shapes_are_asked_for_where_none_can_be_proposed(sets: Sizes, tmp_path: Path) -> None:
    text = """
def f(params, batch, key):
    x, labels = batch

    def cell(carry, x_t):
        v, key = carry
        key, drawn = jax.random.split(key)
        v = params["decay"] * v + x_t @ params["w"] + jax.random.normal(drawn, v.shape)
        return (v, key), jnp.tanh(v)

    start = jnp.zeros((x.shape[1], params["w"].shape[1])), key
    _, z = lax.scan(cell, start, x)
    scores = jax.nn.log_softmax(z.mean(0))
    return -jnp.take_along_axis(scores, labels[:, None], axis=1).mean()
"""
    with pytest.raises(GradgenError) as refused:
        pair(tmp_path, text)
    directive = refused.value.hint.rpartition(": # ")[2]
    for path, axes in {
        "params.decay": "()",
        "params.w": "(n_in, n)",
        "batch.0": "(time, batch, n_in)",
        "batch.1": "(batch,):int32",
        "key": "():key",
    }.items():
        assert f"{path}=?" in directive
        directive = directive.replace(f"{path}=?", f"{path}={axes}")
    assert "?" not in directive
    check(pair(tmp_path, f"# {directive}\n{text}"), "float64", sets=sets)
