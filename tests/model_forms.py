"""What the expressions of random models look like: text by text, with the size of the results."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

ANY = math.inf


@dataclass(frozen=True)
class Form:
    """How to compute a float: text, the largest arguments it is meant for, the bound."""

    text: str
    limit: float = ANY
    bound: float | Callable[..., float] = 2.0


def _forms(limit: float, bound: float | Callable[..., float], texts: str) -> list[Form]:
    return [Form(text.strip(), limit, bound) for text in texts.strip().splitlines()]


UNARY = [
    *_forms(ANY, lambda b: b, """
        -{x}
        jnp.abs({x})
        jnp.floor({x})
        jnp.ceil({x})
        jnp.round({x})
        jnp.trunc({x})
        jnp.negative({x})
        +{x}
        lax.stop_gradient({x})
        {x} + lax.stop_gradient(jnp.round({x}) - {x})
        jax.nn.relu({x})
        jax.nn.leaky_relu({x})
        jax.nn.elu({x})
        jax.nn.celu({x}, 0.5)
        jax.nn.silu({x})
        jax.nn.gelu({x})
        jax.nn.gelu({x}, approximate=False)
        jax.nn.selu({x})
        jax.nn.hard_silu({x})
        jax.nn.squareplus({x})
        jax.nn.softplus({x})
        jax.nn.log_sigmoid({x})
        jax.nn.mish({x})
        jnp.arcsinh({x})
        jnp.cbrt({x} + 3.0)
        jnp.sqrt({x} * {x} + 0.25)
        jnp.log1p(jnp.abs({x}))
        jnp.log({x} ** 2 + 0.5)
        jnp.log2(jnp.abs({x}) + 1.5)
        jnp.nan_to_num({x})
        {x}.astype({x}.dtype)
        {x} + 0.5 * {x}.astype(jnp.float32)
        jnp.where({x} > 0.0, {x}, 0.1 * {x})
        jnp.where({x} > 0.0, jnp.sqrt(jnp.where({x} > 0.0, {x}, 1.0)), 0.0)
        jnp.where({x} == 0.0, 1.0, {x} / jnp.where({x} == 0.0, 1.0, {x}))
        jnp.where(jnp.isfinite({x}), {x}, 0.0)
        jnp.maximum({x}, 0.0)
        jnp.minimum({x}, 1)
        jnp.maximum({x}, {x})
        {x} * 0.5 + {x} * 0.5
        {x} - {x}
        {x} / 4
        0.1 * {x}
        2 * {x} - 1
        lax.reduce_precision(lax.stop_gradient({x}), 8, 10)
        lax.integer_pow({x}, 1)
    """),
    *_forms(ANY, 1.0, """
        jnp.tanh({x})
        jnp.sin({x})
        jnp.cos({x})
        jnp.sign({x})
        jnp.arctan({x})
        jax.nn.sigmoid({x})
        lax.logistic({x})
        special.expit({x})
        special.erf({x})
        special.erfc({x})
        lax.erf({x})
        special.ndtr({x})
        special.i0e({x})
        special.i1e({x})
        jax.nn.hard_tanh({x})
        jax.nn.hard_sigmoid({x})
        jax.nn.soft_sign({x})
        jax.nn.sparse_sigmoid({x})
        jax.nn.relu6({x})
        jnp.clip({x}, -1.0, 1.0)
        jnp.clip({x}, 0, 1)
        jnp.clip({x}, max=0.5)
        lax.clamp(-1.0, {x}, 1.0)
        jnp.heaviside({x}, 0.5)
        jnp.mod({x}, 1.0)
        {x} % 2.0
        jnp.fmod({x}, 1.5)
        jnp.where({x} > 1.0, 1.0, 0.0)
        jnp.where({x} >= 1, 1, 0) * 1.0
        ({x} > 0.5).astype({x}.dtype)
        jnp.asarray({x} > 0, {x}.dtype)
        (0.1 * {x} > 0.0).astype(float)
        {x} / (1.0 + jnp.abs({x}))
        1.0 / ({x} ** 2 + 1.0)
        1 / (1 + {x} * {x})
        jnp.reciprocal(jnp.abs({x}) + 1.0)
        lax.rsqrt({x} ** 2 + 1.0)
        ({x} ** 2 + 1.0) ** -0.5
        jnp.exp(-jnp.abs({x}))
        jnp.exp(-({x} ** 2))
        jnp.finfo({x}.dtype).eps * {x}
        jnp.zeros_like({x})
        jnp.ones_like({x}) * 0.5
    """),
    *_forms(4.0, 60.0, """
        jnp.exp({x})
        jnp.exp2({x})
        2.0 ** {x}
        jnp.expm1({x})
        jnp.sinh({x})
        jnp.cosh({x})
        {x} ** 2
        {x} ** 3
        {x} ** 4
        {x} * {x} * {x}
        jnp.square({x})
        lax.integer_pow({x}, 5)
        lax.square({x})
        jnp.power({x}, 2)
        ({x} ** 2 + 0.25) ** 1.5
        ({x} * {x} + 1.0) ** -2
        jnp.power(jnp.abs({x}) + 0.5, 2.5)
        jnp.arccosh({x} ** 2 + 1.5)
        special.gammaln(jnp.abs({x}) + 1.0)
        special.digamma(jnp.abs({x}) + 1.0)
        special.entr(jnp.abs({x}) + 0.1)
        {x} // 1.0
        jnp.log(1.0 + jnp.exp({x}))
        jnp.tan(0.3 * {x})
    """),
    *_forms(0.9, 3.0, """
        jnp.arcsin({x})
        jnp.arccos({x})
        jnp.arctanh({x})
        jnp.log1p({x})
        special.erfinv({x})
        special.logit(0.5 + 0.5 * {x})
        jnp.tan({x})
    """),
]  # fmt: skip
HAZARDOUS = _forms(4.0, 60.0, """
    jnp.log({x})
    jnp.sqrt({x})
    jnp.cbrt({x})
    lax.rsqrt({x})
    1.0 / {x}
    {x} / {x}
    {x} ** -1
    {x} ** -2
    jnp.abs({x}) ** 0.5
    {x} ** 1.5
    0.0 ** {x}
    jnp.arcsin({x})
    jnp.arccosh({x})
    jnp.arctanh({x})
    jnp.log1p({x})
    jnp.exp(30.0 * {x})
    jnp.exp(200.0 * {x})
    jnp.where({x} > 0.0, jnp.sqrt({x}), 0.0)
    jnp.where({x} > 0.0, jnp.log({x}), {x})
    jnp.where({x} == 0.0, 1.0, jnp.sin({x}) / {x})
    jnp.where(jnp.abs({x}) < 1e-3, 1.0 - 0.5 * {x}, {x} / jnp.expm1({x}))
    special.xlogy({x}, {x})
    special.gammaln({x})
    jnp.log(jnp.exp({x}) - 1.0)
    jnp.inf * {x}
    jnp.where({x} > 0.0, jnp.nan, {x})
""")  # fmt: skip
BINARY = [
    *_forms(ANY, lambda a, b: a + b, """
        {x} + {y}
        {x} - {y}
        jnp.maximum({x}, {y})
        jnp.minimum({x}, {y})
        jnp.where({x} > {y}, {x}, {y})
        jnp.where({x} == {y}, {x}, -1 * {y})
        jnp.clip({x}, {y}, {y} + 1.0)
        jnp.logaddexp({x}, {y})
        lax.max({x}, {y} + 0.0 * {x})
        0.9 * {x} + 0.1 * {y}
        {x} - (1 - {y}) * 0.5
        -({x} - {y})
        jnp.sqrt(({x} + 0.5) ** 2 + {y} ** 2)
        jnp.add({x}, {y}) - jnp.subtract({x}, {y})
        jnp.where(({x} > 0.0) & ({y} > 0.0), {x}, 0.5 * {y})
        jnp.where(({x} > 0.0) | jnp.logical_not({y} > 0.0), {x}, {y})
        jnp.where(jnp.logical_xor({x} > 0.0, {y} > 0.0), {x}, {y})
        jnp.select([{x} > 1.0, {y} > 0.0], [{x}, {y}], 0.25)
        jnp.asarray({x}, {y}.dtype) + {y}
    """),
    *_forms(8.0, 64.0, """
        {x} * {y}
        {x} * {y} * {x}
        -{x} * {y}
        {x} * (1.0 - {y})
        {x} * ({y} > 0.0)
        jnp.float32(0.3) * {x} * {y}
        {x} / ({y} ** 2 + 0.5)
        {x} / (jnp.abs({y}) + 1)
        {x} / (2.0 + jnp.cos({y}))
        (jnp.abs({x}) + 0.5) ** jnp.tanh({y})
        jnp.power({x} ** 2 + 0.5, 0.25 * {y})
        special.xlogy(jnp.abs({x}), jnp.abs({y}) + 0.5)
        special.xlog1py({x}, jnp.abs({y}))
        special.gammainc(jnp.abs({x}) + 0.5, jnp.abs({y}) + 0.5)
    """),
    *_forms(ANY, 2.0, """
        jnp.arctan2({x}, {y} ** 2 + 0.5)
        jnp.fmod({x}, jnp.abs({y}) + 0.5)
        jnp.heaviside({x} - {y}, 1.0)
        ({x} >= {y}).astype({x}.dtype)
        jnp.where({x} <= {y}, 1.0, -1.0)
        jnp.tanh({x} * {y})
    """),
]  # fmt: skip
HAZARDOUS_BINARY = _forms(4.0, 60.0, """
    {x} / {y}
    {x} / ({x} - {y})
    {x} ** {y}
    jnp.arctan2({x}, {y})
    jnp.sqrt({x} * {x} + {y} * {y})
    jnp.where({y} != 0.0, {x} / {y}, 0.0)
    jnp.where({x} > {y}, jnp.log({x} - {y}), 0.0)
    jnp.mod({x}, {y})
    special.xlogy({x}, {y})
""")  # fmt: skip
SQUASHES = _forms(ANY, 1.0, """
    jnp.tanh({x})
    jnp.sin({x})
    {x} / (1.0 + jnp.abs({x}))
    jnp.clip({x}, -1.0, 1.0)
""")  # fmt: skip
TRUTHS = """
    {x} > {y}
    {x} >= {y}
    {x} < {y}
    {x} <= {y}
    {x} == {y}
    {x} != {y}
    {x} > 0
    {x} >= 1.0
    jnp.isnan({x})
    jnp.logical_not({x} > {y})
    ({x} > 0.0) & ({y} < 1.0)
    ({x} > 0.0) | ({y} > 0.0)
    ({x} > 0.0) ^ ({y} > 0.0)
    (0.5 < {x}) == ({y} > 0.5)
""".strip().splitlines()
INTEGERS_OF_FLOATS = """
    jnp.floor({x}).astype(int)
    jnp.round({x}).astype(jnp.int32)
    ({x} > 0.0).astype(int)
    ({x} > 0.0).astype(jnp.int32) + ({x} > 1.0)
    jnp.where({x} > 0.0, 2, 1)
    jnp.sign({x}).astype(int)
""".strip().splitlines()
INTEGERS_OF_INTEGERS = """
    {n} + 1
    {n} - 1
    -{n}
    {n} * 2
    {n} // 2
    {n} % 3
    jnp.maximum({n} - 1, 0)
    jnp.clip({n}, 0, 2)
    jnp.abs({n})
    {n} & 3
    {n} << 1
    {n} >> 1
    ~{n}
    {n} ** 2
    jnp.where({n} > 0, {n} - 1, {n})
""".strip().splitlines()
CONSTANTS = (
    "1.0", "2.0", "0.5", "-1.0", "0.0", "0.1", "0.9", "1e-3", "3", "1", "jnp.pi", "-0.3", "2.5",
    "_TAU", "_GAIN",
)  # fmt: skip
ARRAYS = {
    1: (
        "{q}[0]", "jnp.sum({q}, axis=0)",
    ),
    2: (
        "{q}[0] - {q}[1]", "{q}[-1]", "jnp.sum({q}, axis=0)", "jnp.max({q}, axis=0)",
        "jnp.prod({q}, axis=0)", "(_W2 @ {q})[0]", "jnp.dot(_W2[1], {q})", "jnp.mean({q}, axis=0)",
        "{q}[::-1][0]", "jnp.sum(_W2 @ jnp.tanh({q}), axis=0)",
        "jnp.min(jnp.concatenate([{q}, -{q}]), axis=0)", "jnp.einsum('ij,j...->i...', _W2, {q})[1]",
    ),
    3: (
        "{q}[1]", "jnp.sum({q} * {q}, axis=0)", "jnp.cumsum({q}, axis=0)[-1]",
        "jnp.roll({q}, 1, axis=0)[0]", "{q}.at[0].set(1.0)[0] + {q}[2]",
        "jax.nn.softmax({q}, axis=0)[0]", "jnp.flip({q}, 0)[0]", "special.logsumexp({q}, axis=0)",
        "(_W3 @ {q})[1]", "jnp.sum(jnp.split({q}, 3)[1], axis=0)",
        "jnp.concatenate([{q}[:1], {q}[1:] * 2.0])[2]", "jnp.diff({q}, axis=0)[1]",
        "jnp.sum(jnp.where({q} > 0.0, {q}, 0.0), axis=0)", "jnp.var({q}, axis=0)",
        "{q}[1:].sum(axis=0)",
    ),
}  # fmt: skip
SPIKES = (
    """
@jax.custom_jvp
def {name}(v):
    return (v > 0.0).astype(v.dtype)


@{name}.defjvp
def {name}_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return {name}(v), dv / (1.0 + 5.0 * jnp.abs(v)) ** 2
""",
    """
@jax.custom_jvp
def {name}(v, w):
    return jnp.where(v > w, 1.0, 0.0)


{name}.defjvps(
    lambda dv, ans, v, w: dv * jnp.maximum(0.0, 1.0 - jnp.abs(v - w)),
    lambda dw, ans, v, w: -dw * jax.nn.sigmoid(v) * ans,
)
""",
    """
@jax.custom_jvp
def {name}(v, w):
    return v * jnp.tanh(w), jnp.heaviside(v, 1.0)


@{name}.defjvp
def {name}_jvp(primals, tangents):
    (v, w), (dv, dw) = primals, tangents
    s = jax.nn.sigmoid(4.0 * v)
    return {name}(v, w), (dv * jnp.tanh(w) + 0.5 * dw, 4.0 * s * (1 - s) * dv)
""",
    """
@jax.custom_vjp
def {name}(v):
    return jnp.where(v > 0.0, 1.0, 0.0)


def {name}_fwd(v):
    return {name}(v), v


def {name}_bwd(v, g):
    return (g / (1.0 + jnp.abs(v)) ** 2,)


{name}.defvjp({name}_fwd, {name}_bwd)
""",
    """
@partial(jax.custom_vjp, nondiff_argnums=(2,))
def {name}(v, w, slope=2.0):
    return jnp.asarray(v > w, v.dtype)


def {name}_fwd(v, w, slope):
    return {name}(v, w, slope), (v, w)


def {name}_bwd(slope, residuals, g):
    v, w = residuals
    return g * jnp.exp(-slope * jnp.abs(v - w)), None


{name}.defvjp({name}_fwd, {name}_bwd)
""",
    """
@jax.custom_gradient
def {name}(v):
    return jnp.heaviside(v, 0.0), lambda g: g * jax.nn.relu(1.0 - jnp.abs(v))
""",
)
ARITIES = (1, 2, 2, 1, 2, 1)
RESULTS = (1, 1, 2, 1, 1, 1)
NAMES = (
    "v", "i", "w", "u", "x", "z", "s", "theta", "state_v", "tau", "x0", "p1", "t0", "leaves",
    "types", "outputs", "entries", "values", "tangents", "primals", "cotangents", "primal", "lax_",
    "sum", "max", "np_", "name", "value", "shape", "partial", "function", "output", "axes",
)  # fmt: skip
