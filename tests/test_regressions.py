"""What random models found, each as the smallest model that shows it, against JAX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comparing import check_model
from generating import generate_text

from gradgen.compile.array_generation import generate_arrays, replayed_arrays
from gradgen.compile.front import open_front
from gradgen.compile.generation import generate
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.targets.jax.render import render_arrays

HEADER = """\
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy import special
"""

ROOT_AT_ZERO = """
@jax.custom_jvp
def spike(v):
    return (v > 0.0).astype(v.dtype)

@spike.defjvp
def _spike_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return spike(v), dv / (1.0 + 5.0 * jnp.abs(v)) ** 2

@jax.custom_jvp
def two(v, w):
    return v * jnp.tanh(w), jnp.heaviside(v, 1.0)

@two.defjvp
def _two_jvp(primals, tangents):
    (v, w), (dv, dw) = primals, tangents
    s = jax.nn.sigmoid(4.0 * v)
    return two(v, w), (dv * jnp.tanh(w) + 0.5 * dw, 4.0 * s * (1 - s) * dv)

def step(y, x0, x1):
    y0, y1 = y[..., 0], y[..., 1]
    a0 = jnp.logaddexp(x1, ((jnp.abs(y0) + 0.5) ** jnp.tanh(x1)))
    a1 = jnp.where((x1 > 0.0) ^ (lax.erf(x1) > 0.0), a0, jnp.clip(x1, y1, y1 + 1.0))
    a2 = spike(x0 - 1.0)
    a3 = jnp.sqrt((x0 + 0.5) ** 2 + jnp.where(x1 > x0, a2, a1) ** 2)
    a4 = jnp.fmod(a2, jnp.abs(a3) + 0.5)
    a5 = jnp.clip(a4, a2, a2 + 1.0)
    a6, a7 = two(y1, a2)
    return jnp.stack([0.9 * y0 + a7, 0.9 * y0 + a5], axis=-1)
"""

FINITE_IN_FORWARD_MODE = """
def step(y, x0):
    y0 = y[..., 0]
    y1 = y[..., 1]
    y2 = y[..., 2]
    a1 = lax.integer_pow(x0, 5)
    b1 = jnp.where(y1 == x0, y1, x0)
    b2 = special.digamma(jnp.abs((a1 / (1.0 + jnp.abs(a1)))) + 1.0)
    a2 = jnp.logaddexp(b2, jnp.where(x0 > b1, x0, b1))
    b3 = lax.max(y1, 0.9 + 0.0 * y1)
    b4 = jnp.log1p(jnp.clip((jnp.asarray(a1, y0.dtype) + y0), -1.0, 1.0))
    a3 = jnp.where(b3 > b4, b3, b4)
    a4 = jnp.minimum(a3, a3)
    a5 = a2 / (1.0 + jnp.abs(a2))
    return jnp.stack([0.9 * y0 + a4, 0.9 * y0 + a5, 0.9 * y0 + a3], axis=-1)
"""

TIE_ON_A_LOGARITHM = """
def step(sum, primal: int, values, shape, *, partial):
    a2 = jnp.finfo(shape.dtype).eps * jnp.heaviside(shape - (-0.3), 1.0)
    a3 = special.xlog1py(a2, jnp.abs(sum))
    a5 = values[1] * jnp.tanh(values[1])
    a7 = jnp.var(jnp.stack([values[1], a5, values[1]]), axis=0)
    a8 = jnp.clip(a7, a3, a3 + 1.0)
    a10 = (0.1 * (special.i0e(a3) + partial) > 0.0).astype(float)
    a11 = jnp.where(a10 < jnp.abs(a10), partial, a7)
    a13 = 0.9 * sum + a3
    return [a13, values[1], partial, a11, jnp.where((a13 > 0.0) ^ (a8 > 0.0), a13, a8)]

def example():
    return (0.5, 2, (0.5, 0.5), 0.5), {"partial": 0.5}
"""

CANCELS_AT_ONE_POINT = """
def step(i, w):
    a2 = 1.0 / (jnp.abs((1.0 + i) * jnp.pi) + 1.0)
    a3 = jax.vjp(lambda y: jnp.arcsin(jnp.clip(y % 2.0, -1.0, 1.0)), a2)[1](0.5 * a2)[0]
    a4 = 0.9 * a2 + a2
    a5 = 0.9 * a4 + a4
    a6 = a5 - 0.1 * a5 * a5
    a7 = jnp.tanh(a6 + a2)
    a8 = a7 - 0.1 * a4 * a7
    a9 = a8 - 0.1 * a2 * a8
    a10 = 0.9 * a9 + a3 / (1.0 + jnp.abs(a3))
    a11 = a10 - 0.1 * a10 * a10
    a13 = lax.while_loop(lambda c: c[0] < 0, lambda c: (c[0] + 1, 0.5 * c[1]), (0, a11))[1]
    a14 = jnp.tanh((a10 - 2 * a6) * a9)
    a15 = jnp.tanh(a5 + a7)
    a16 = 0.9 * a15 + jnp.tanh(a13)
    a17 = 0.9 * a16 + a6
    a18 = a17 - 0.1 * a16 * a17
    a19 = jnp.tanh(a18 + a17)
    a20 = jnp.tanh(a19 + a9)
    a21 = jnp.tanh(a20 + a14)
    a22 = jnp.tanh(a21 + a19)
    a23 = a22 - 0.1 * a20 * a22
    a24 = 0.9 * a23 + a20
    a26 = jnp.tanh(a24 + a7)
    return a26
"""

MODELS = {
    "a loop that is never run makes strong what it carries": """
def step(i, w, v):
    a = jnp.where(v <= 0.5, v, w)
    b = lax.fori_loop(0, 0, lambda k, y: (y + 0.01 * k).astype(y.dtype), v)
    return 0.9 * i + jnp.where(b == a, b, -1 * a)
""",
    # the tangent of an argument that no output depends on is not passed on
    "unused argument": """
def step(v, w):
    return v + v
""",
    "argmax": """
def step(v, w):
    return jnp.select([v > 1.0, w > 0.0], [v, 2.0 * w], 0.25)
""",
    # integers have 32 bits in one trace and 64 in the other
    "width of integers": """
def step(v, w):
    n = jnp.floor(v).astype(int)
    return lax.switch(n, [lambda y: y, lambda y: 2.0 * y, lambda y: y * y], w), n.astype(jnp.int32)
""",
    # zero times nan: no mask at the end of the branch undoes what its partials are
    "nan in the other branch": """
def step(v, w):
    z = lax.cond(v > 0.0, lambda y: jnp.sqrt(jnp.log(y) ** 2), lambda y: 0.5 * y, v)
    return jnp.tanh(z) * w
""",
    "infinity in the other branch": """
def step(v, w):
    return lax.cond(v > w, lambda y: jnp.inf * jnp.sin(y), lambda y: y, w)
""",
    "nan in a branch of three": """
def step(v, w):
    n = jnp.clip(jnp.round(v), 0, 2).astype(int)
    return lax.switch(n, [lambda y: y / (y - y), lambda y: y * w, lambda y: jnp.log(-(y**2))], v)
""",
    # how many are largest is a sum of truth values, which is no truth value
    "derivative of a largest number within the step": """
def step(v, w):
    return 0.9 * w + jax.jvp(lambda y: jnp.max(jnp.stack([y, v]), axis=0), (v,), (0.5 * w,))[1]
""",
    # numbers are compared, and what comes of it is a float
    "mask of numbers": """
def step(v, w):
    mask = (jax.grad(lambda y: (v + 0.0 * y).astype(y.dtype))(w) > 0.0).astype(w.dtype)
    return mask, 0.9 * v + mask
""",
    # XLA compiles a loop as one piece, even eagerly
    "fused loop": """
def step(v, w):
    body = lambda y, x: (0.5 * y + 0.1 * x * y, y * x - 0.3)
    last, found = lax.scan(body, v, jnp.stack([v, w, v]))
    return last, found[0], found[1]
""",
    # nothing of it depends on the arguments but its shape
    "shape of a constant": """
def step(v, w):
    return jnp.tanh(jnp.ones_like(v) * 0.5), v * w
""",
    "shape of one argument, value of another": """
def step(v, w):
    return jnp.ones_like(v) * w, jnp.zeros_like(w) + v, w - 0.5
""",
    "numbers": """
def step(v, w):
    return 0.5, jnp.zeros(()), jnp.ones_like(v), 2, True, v
""",
    # only what is read further can be promoted there
    "truth value returned as a float": """
def step(v, w):
    return (v >= w).astype(v.dtype), v * w
""",
    # newer versions of JAX have primitives of their own in these derivatives
    "derivatives of special functions": """
def step(v, w):
    x = 0.9 * jnp.tanh(v)
    return jnp.arcsin(x), jnp.arctanh(x), special.erf(v), special.erfc(w), jax.nn.gelu(w, False)
""",
    # a loop that takes an array for v only where w is one too
    "shape of an argument that no value depends on": """
def step(v, w):
    unused = lax.fori_loop(0, 0, lambda k, y: jnp.tanh(y * w), v)
    return 0.9 * v + jnp.zeros_like(w)
""",
    # stacked, so that they have one shape, which no value says and u need not have
    "shape of two arguments": """
def step(u, v, w):
    return jnp.zeros_like(jnp.stack([v, w]))[0], u * v, w
""",
    # v may be an array alone, w only beside it
    "shape of an argument that needs another": """
def step(u, v, w):
    return jnp.zeros_like(v), jnp.zeros_like(w), u * jnp.stack([v, v + w])[1]
""",
    "switch on one of several arguments": """
def step(v, w):
    n = jnp.clip(jnp.floor(w), 0, 2).astype(int)
    return 0.9 * v + lax.switch(n, [jnp.tanh, lambda y: y * y, lambda y: 2.0 * y], w), v
""",
    # a sum of the step that has nothing but zero times its first term
    "sum with a zero": """
def step(v, w):
    a = 0.0 * v + w
    return jax.nn.softplus(jax.nn.sigmoid(a * v)) * a, jnp.tanh(a) - 0.0 * w
""",
    # newer versions of JAX scale its arguments with other numbers in each dtype
    "hypot": """
def step(v, w):
    return jnp.hypot(v, 2.0 * w) + 0.5 * v
""",
    # w takes part in the dtype, and in nothing else
    "promoted with what is not computed": """
def step(v, w):
    return 0.9 * v + jnp.where(False, w, v)
""",
    # a default float beside one of 32 bits: each is told by itself
    "strong numbers of two kinds": """
def step(v, w):
    return v + w * jnp.float32(0.3) + jnp.zeros(()), (v + w) * jnp.float32(0.3) * jnp.ones(())
""",
    # arrays that are made when the module is, in the precision of that moment
    "arrays of the module": """
C, COEF = jnp.array(0.3), jnp.array([1.0, -0.5, 0.25])

def step(v, w):
    return C * v + w, jnp.polyval(COEF, v), jnp.dot(COEF, jnp.stack([v, w, v * w]))
""",
    "numbers of fixed integer types": """
def step(v, w):
    return v * w, jnp.where(v > 0, jnp.int32(1), jnp.int32(0)), jnp.where(w > 0, 3, 2)
""",
    "operands that a function of lax does not promote": """
def step(v, w):
    return special.gammainc(jnp.abs(v) + 0.5, jnp.abs(w) + 0.5)
""",
    "numbers of a dtype that a float32 and an argument have together": """
def step(v, w):
    return 0.9 * v, jnp.ones_like(jnp.float32(0.3) * w) * 0.5
""",
    "a number of float32 that meets nothing but masks": """
def step(v):
    return 0.9 * v + jnp.float32(0.3) * jnp.abs(jnp.maximum(v, v)) * 1.0
""",
    # to NumPy, JAX's default float is always float64
    "machine constants of the default float": """
def step(v, w):
    steps = jnp.floor(v * w).astype(int) * 0.5
    return 0.9 * v + jnp.finfo(steps.dtype).eps * steps, w
""",
    # JAX keeps an array of NumPy in the precision that it met it in first
    "vector of NumPy": """
import numpy as np

ARR = np.array([0.1, 0.2, 0.3])

def step(v, w):
    return jnp.dot(ARR, jnp.stack([v, w, v * w])), w
""",
    "a quotient of numbers alone": """
def step(v, i):
    bent = jax.grad(lambda y: jnp.stack([v])[0] + 0.0 * y)(jnp.tanh(i))
    chosen = jnp.select([bent > 1.0, bent > 0.0], [bent, bent], 0.25)
    return 0.9 * v + jnp.stack([chosen / (1.0 + jnp.abs(chosen))])[0]
""",
}

INTEGERS = {
    "power of a number": "jnp.power(2.0, n) * v, 0.5**n * v + 1.0",
    "power of an integer": "v * 2**n, 3 ** (n % 3), (-1) ** n",
    "promoted by itself": "v * (1 / n), jnp.exp(-n / 20)",
}


@pytest.mark.parametrize("name", INTEGERS)
def test_regression_with_an_integer(name):
    source = f"def step(v, n: int):\n    return {INTEGERS[name]}\n"
    example = "def example():\n    return (0.5, 2), {}\n"
    assert check_model(f"{HEADER}\n{source}\n{example}") == "exact"


def test_where_64_bit_types_change_dtypes_the_text_is_for_float32_alone(tmp_path):
    text = "def step(v, w):\n    return v.astype(jnp.result_type(v, w, jnp.float32)) + w\n"
    assert generate_text(tmp_path, f"{HEADER}\n{text}").front.trace.single
    generic = text.replace(", jnp.float32", "")
    assert not generate_text(tmp_path, f"{HEADER}\n{generic}").front.trace.single


STATIC_FIELD = """
import dataclasses
from typing import Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    v: Any
    tag: str = dataclasses.field(default="t", metadata=dict(static=True))


def step(s: State, x):
    return (0.9 if s.tag == "t" else 0.5) * s.v + x
"""


def test_a_static_field_has_its_default(tmp_path):
    made = generate_text(tmp_path, HEADER + STATIC_FIELD)
    state = made.source.__globals__["State"](0.5)
    assert made.function("jacobian")(state, 0.3)[0].v == pytest.approx(0.9)
    text = STATIC_FIELD.replace('default="t", ', "")
    with pytest.raises(GradgenError, match=r"'s\.tag' is not a number") as refused:
        generate_text(tmp_path, HEADER + text)
    assert "give the field a default value" in refused.value.hint


@pytest.mark.parametrize("name", MODELS)
def test_regression(name):
    values = ", ".join(
        ["0.5"] * (MODELS[name].partition("def step")[2].partition(")")[0].count(",") + 1)
    )
    text = f"{HEADER}\n{MODELS[name]}\n\ndef example():\n    return ({values},), {{}}\n"
    assert check_model(text) == "exact"


def test_rounded_derivative_is_refused(tmp_path):
    with pytest.raises(GradgenError, match=r"'reduce_precision' to the same precision"):
        generate_text(
            tmp_path, f"{HEADER}\ndef step(v):\n    return lax.reduce_precision(v, 8, 9)\n"
        )


def test_a_source_that_its_own_default_does_not_suit(tmp_path):
    # a truth value of Python has no astype; with arrays the source works
    model = tmp_path / "model.py"
    model.write_text("def step(v, n=20):\n    return 0.9 * v * n, (n > 0.0).astype(int)\n")
    assert generate(Settings(str(model)), lambda what: None).report.exact


@pytest.mark.parametrize("which", [(1, 2), (1, 3)])
def test_what_has_to_be_an_array_with_another_shapes_what_both_do(which, tmp_path):
    # s is an array where a or beta is, and the first result has the axes of beta, not of s
    text = (
        "def step(v, s, a, beta):\n    c = a + beta\n"
        "    z = lax.fori_loop(0, 0, lambda k, y: jnp.tanh(s).astype(y.dtype), c)\n"
        "    return 0.9 * v + beta, z\n"
    )
    generated = generate_text(tmp_path, f"{HEADER}\n{text}")
    given = [np.full((3,) if k in which else (), 0.5, np.float32) for k in range(4)]
    found, due = generated.function()(*given), generated.source(*given)
    assert [x.shape for x in found] == [x.shape for x in due]


def test_what_cancels_everywhere_is_zero(tmp_path):
    # the derivative of y / y is the rounding of two numbers that are equal
    model = tmp_path / "model.py"
    model.write_text(
        "import jax.numpy as jnp\n\n"
        "def step(v, w):\n    y = jnp.tanh(v + w) + 2.0\n    return y / y, 0.9 * v\n"
    )
    assert generate(Settings(str(model)), lambda what: None).report.exact


def test_plain_modes_on_arrays_where_the_cheapest_orders_are_not_finite(tmp_path):
    # a zero that JAX selects is multiplied by what a root at zero has made infinite
    model = tmp_path / "model.py"
    model.write_text(f"{HEADER}\n# gradgen: shape y=(..., 2) x0=(...,) x1=(...,)\n{ROOT_AT_ZERO}")
    front = open_front(Settings(str(model)))
    made = generate_arrays(front, lambda what: None)
    assert made.report.exact
    assert made.module.pulled.plan == made.module.pulled.sweep
    assert "rejected before it: order annealing" in made.sentence()
    again = replayed_arrays(front, made.module.recipe)
    assert again is not None
    assert render_arrays(again) == made.text


def test_jaxs_own_products_where_all_others_overflow(tmp_path):
    # 200 exp(200 y) is beyond float32 where the derivative of tanh is zero already
    model = tmp_path / "model.py"
    model.write_text(
        f"{HEADER}\n"
        "@jax.custom_vjp\ndef spike(v):\n    return jnp.where(v > 0.0, 1.0, 0.0)\n\n"
        "spike.defvjp(lambda v: (spike(v), v), lambda v, g: (g / (1.0 + jnp.abs(v)) ** 2,))\n\n"
        "def step(v):\n"
        "    u = lax.cond(v < 1.0, lambda y: jnp.tanh(jnp.exp(200.0 * y)), lambda y: 1.5 * y, v)\n"
        "    return 0.9 * v + spike(-u - 1.0)\n"
    )
    assert generate(Settings(str(model)), lambda what: None).report.exact


@pytest.mark.full
def test_derivatives_that_cancel_at_one_point_alone_verify(tmp_path):
    # 1e7 of 1 + 1e7 beside a tie, in forward mode alone, in front of a long path
    model = tmp_path / "model.py"
    model.write_text(f"{HEADER}\n{CANCELS_AT_ONE_POINT}")
    assert generate(Settings(str(model)), lambda what: None).report.exact


@pytest.mark.full
def test_roundings_are_those_of_the_mode_that_is_finite(tmp_path):
    # of two numbers that are equal and infinite, reverse mode makes NaN
    model = tmp_path / "model.py"
    model.write_text(HEADER + FINITE_IN_FORWARD_MODE)
    front = open_front(Settings(str(model)))
    assert generate_arrays(front, lambda what: None).report.exact


@pytest.mark.full
def test_a_tie_on_a_logarithm_whose_last_bit_is_not_defined_verifies():
    # XLA's log1p gives another last bit at the end of an array, and 1e-16 of it meets a variance
    assert check_model(HEADER + TIE_ON_A_LOGARITHM, verified=True) == "exact"


@pytest.mark.full
def test_derivatives_beside_a_huge_exponential_verify():
    # dv'/dv is the difference of two numbers of 1e13, in JAX as well, where the reset saturates
    model = Path(__file__).parents[1] / "models" / "adex.py"
    directives = (("wrt", "v, w, I, C, gL, EL, D, VT, tw, a, Vr, b"),)
    outcome = generate(Settings(str(model), directives=directives), lambda what: None)
    assert outcome.report.exact


def test_a_rule_of_what_is_held_constant_is_not_asked(tmp_path):
    # JAX does not call it, and it fails on the whole number beside
    model = tmp_path / "model.py"
    model.write_text(
        "import jax\nimport jax.numpy as jnp\nfrom jax.scipy import special\n\n"
        "def step(v, u=0.9, x=20):\n"
        "    return 0.9 * v + special.xlogy(jnp.abs(x), jax.lax.stop_gradient(u) + 0.5)\n"
    )
    assert generate(Settings(str(model)), lambda what: None).report.exact


def test_a_step_with_as_many_traces_as_operations(tmp_path):
    model = tmp_path / "model.py"
    model.write_text(
        "import jax.numpy as jnp\n\n"
        "def step(state, x, tau, decay):\n"
        "    v, trace, seen = state\n"
        "    v = jnp.tanh(tau) * v + x - seen\n"
        "    trace = decay * trace + v\n"
        "    seen = jnp.tanh(trace)\n"
        "    return v * seen, (v, trace, seen)\n"
    )
    settings = Settings(str(model), emit=("f", "traces"))
    assert generate(settings, lambda what: None).report.exact


@pytest.mark.full
def test_float32_within_a_scan_beside_an_operation_that_does_not_promote(tmp_path):
    model = tmp_path / "model.py"
    model.write_text(
        "import jax.numpy as jnp\nfrom jax import lax\n\n"
        "def step(v, i=-1.0):\n"
        "    def body(y, k):\n"
        "        most = lax.max(v, y + 0.5 * y.astype(jnp.float32))\n"
        "        return jnp.tanh(most + k).astype(y.dtype), y\n"
        "    return 0.9 * lax.scan(body, v, jnp.stack([v, v]))[0] + i\n"
    )
    assert generate(Settings(str(model)), lambda what: None).report.exact
