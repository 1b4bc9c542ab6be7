"""Expressions in which each primitive occurs, by what they are made of; `;` separates them."""

from __future__ import annotations

HEADER = """
from functools import partial
import jax
import jax.numpy as jnp
from jax import lax, nn

@jax.custom_jvp
def triangle(v, theta):
    return (v > theta).astype(v.dtype)

@triangle.defjvp
def _(primals, tangents):
    (v, theta), (dv, dtheta) = primals, tangents
    return triangle(v, theta), jnp.maximum(0.0, 1.0 - jnp.abs(v - theta)) * (dv - dtheta)

@jax.custom_vjp
def slope(v):
    return (v >= 0).astype(v.dtype)

slope.defvjp(lambda v: (slope(v), v), lambda v, g: (g / (1.0 + jnp.abs(v)) ** 2,))
"""

UNARY = """
-x ; lax.abs(x) ; lax.sign(x) * x ; lax.floor(x) + x ; lax.ceil(x) * x ; lax.round(x) * x
lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN) * x ; lax.square(x)
lax.reduce_precision(lax.stop_gradient(x), 5, 10) * x
x**1 ; x**0 ; x**2 ; x**3 ; x**4 ; x**7 ; x**-1 ; x**-2 ; x**-3
x**0.5 ; x**1.5 ; 2.0**x ; 0.0**x ; lax.exp(x) ; lax.exp2(x) ; lax.log(x) ; lax.expm1(x)
lax.log1p(x) ; lax.sqrt(x) ; lax.rsqrt(x) ; lax.cbrt(x) ; lax.logistic(x)
lax.stop_gradient(x) * x ; lax.sin(x) ; lax.cos(x) ; lax.tan(x) ; lax.asin(x) ; lax.acos(x)
lax.atan(x) ; lax.sinh(x) ; lax.cosh(x) ; lax.tanh(x) ; lax.asinh(x) ; lax.acosh(x) ; lax.atanh(x)
lax.erf(x) ; lax.erfc(x) ; lax.erf_inv(x) ; lax.lgamma(x) ; lax.digamma(x) ; lax.bessel_i0e(x)
lax.bessel_i1e(x) ; jnp.where(lax.is_finite(x), x, 2.0) ; 1.0 / x
x.astype(jnp.float16).astype(x.dtype) ; x.astype(jnp.bfloat16).astype(x.dtype)
jnp.where(x, 2.0 * x, x) ; lax.optimization_barrier(x) * x
"""
BINARY = """
x + y ; x - y ; x * y ; x / y ; x * x + y ; lax.pow(x, y) ; lax.atan2(x, y) ; lax.max(x, y)
lax.min(x, y) ; lax.rem(x, y) ; lax.nextafter(lax.stop_gradient(x), lax.stop_gradient(y)) * x
jnp.where(x == y, x, y) ; jnp.where(x != y, x, 2.0 * y) ; jnp.where(x < y, x, y)
jnp.where(x <= y, x, y) ; jnp.where(x > y, x, y) ; jnp.where(x >= y, x, y)
lax.select(x > 0.0, y, 2.0 * x) ; jnp.where((x > 0) & (y > 0), x, y)
jnp.where((x > 0) | (y > 0), x, y) ; jnp.where((x > 0) ^ (y > 0), x, y)
jnp.where(~(x > y), x, y) ; jnp.where(x > 0.0, 0.0, x * y) ; jnp.maximum(x, 0.0) * y ; x + x * y
jnp.floor_divide(x, y) * x
"""
INLINED = """
jnp.log2(x) ; jnp.clip(x, y) ; jnp.mod(x, y) ; jnp.logaddexp(x, y)
jnp.heaviside(x, y) * x ; jnp.floor_divide(x, y) * x ; jax.scipy.special.xlogy(x, y)
jax.scipy.special.xlog1py(x, y) ; jnp.fmod(x, y) ; jnp.square(x) ; jax.scipy.special.entr(x)
jnp.deg2rad(x) ; jnp.power(x, y) ; jnp.nan_to_num(x) * x ; jnp.fmax(x, y) ; jnp.fmin(x, y)
jnp.log10(x) ; jnp.trunc(x) * x
"""
SPECIAL = """
lax.igamma(lax.stop_gradient(x), y) ; lax.igamma(x, lax.stop_gradient(y)) ; lax.igammac(x, y)
lax.igamma_grad_a(lax.stop_gradient(x), lax.stop_gradient(y)) * y
lax.zeta(*lax.stop_gradient((x + 1.0, y))) * x ; lax.polygamma(1.0, y) * x ; lax.polygamma(2.0, y)
"""
TERNARY = """
lax.clamp(x, y, z) ; jnp.clip(y, x, z) ; lax.select(x > y, y, z) ; x * y + z ; (x - y) / z
jnp.where(x > 0.0, jnp.where(x > 0.0, y, z), x) ; lax.max(x, lax.min(y, z)) ; jnp.where(x, y, z)
lax.select_n(x > y, y, z) ; x * y * z ; jnp.where(x >= y, jnp.where(y >= z, x, z), y)
"""
BETA = "lax.betainc(lax.stop_gradient(x), lax.stop_gradient(y), z) * x"
INTEGER = """
x * k ; k + j ; k - j ; k * j ; lax.div(k, j) ; lax.rem(k, j) ; k // 3 ; k % 3 ; abs(k) ; -k
lax.sign(k) ; lax.max(k, j) ; lax.min(k, j) ; k & j ; k ^ j ; k | j ; ~k ; lax.population_count(k)
lax.clz(k) ; lax.shift_left(k, j & 7) ; lax.shift_right_logical(k, j & 7) ; k**2
jnp.clip(k, -2, 3) ; lax.shift_right_arithmetic(k, j & 7)
lax.convert_element_type(x, jnp.int32) + k ; jnp.where(k > j, x, 2.0 * x)
jnp.where(k == j, x, -x) ; x + k.astype(x.dtype) ; k > j ; (k != 0) & b
lax.select_n(jnp.clip(k, 0, 2), x, 2.0 * x, x * x) ; jnp.where(b, x, -x) ; ~b ; b ^ (k > 0)
x * (k >> 1) ; k.astype(bool) ; lax.select_n(b, k, j) ; x * b.astype(jnp.int32) ; b
k.astype(jnp.uint8) ; jnp.where(k < 0, x, k) ; lax.integer_pow(x, 2) * k ; x**k ; k == j ; k <= j
k >= j
"""
ACTIVATIONS = """
nn.relu(x) ; nn.relu6(x) ; nn.sigmoid(x) ; nn.softplus(x) ; nn.silu(x) ; nn.log_sigmoid(x)
nn.elu(x) ; nn.selu(x) ; nn.celu(x) ; nn.gelu(x) ; nn.soft_sign(x) ; nn.hard_tanh(x)
nn.hard_sigmoid(x) ; nn.hard_silu(x) ; nn.leaky_relu(x) ; nn.mish(x) ; nn.squareplus(x)
nn.sparse_plus(x) ; nn.sparse_sigmoid(x) ; nn.log1mexp(x) ; nn.gelu(x, approximate=False)
"""
STACKED = """
jnp.sum(s, 0) ; jnp.prod(s, 0) ; jnp.max(s, 0) ; jnp.min(s, 0) ; jnp.mean(s, 0)
jnp.cumsum(s, 0)[1] ; jnp.cumprod(s, 0)[2] ; lax.cummax(s, 0)[2] ; lax.cummin(s, 0)[1] ; s[0]
s[-1] * x ; s[1:3][0] ; s[::2][1] ; s[jnp.array([2, 0])][0] ; lax.dynamic_slice(s, (1,), (2,))[0]
lax.dynamic_index_in_dim(s, 1, 0)[0] ; s.at[0].set(y)[0] * s.at[0].set(y)[1]
s.at[1].set(0.0)[1] + z ; lax.dynamic_update_slice(s, z[None], (1,))[1] ; jnp.pad(s, (1, 1))[1]
jnp.pad(s, 1, mode="edge")[0] ; jnp.roll(s, 1)[0] ; jnp.flip(s)[0] ; jnp.tile(s, 2)[3]
jnp.repeat(s, 2)[3] ; jnp.concatenate([s, s])[4] ; jnp.split(s, 3)[1][0] ; s.reshape(3, 1)[2, 0]
jnp.transpose(jnp.stack([s, 2 * s]))[1, 1] ; jnp.expand_dims(s, 1)[1, 0] ; jnp.squeeze(s[None])[2]
jnp.broadcast_to(s, (2, 3))[1, 2] ; jnp.where(jnp.any(s > 0), x, y)
jnp.where(jnp.all(s > 0), x, y) ; jnp.arange(3.0, dtype=s.dtype)[2] * x ; jnp.diff(s)[0]
jnp.where(lax.reduce_xor((s > 0).astype(jnp.int32), (0,)) > 0, x, y) ; lax.rev(s, (0,))[0]
jnp.ravel(jnp.stack([s, y * s]), order="F")[3] ; lax.reshape(jnp.stack([s, 2 * s]), (6,), (1, 0))[2]
sum(s) ; jnp.argmax(w) * x ; jnp.argmin(w) * x ; jnp.max(w) ; jnp.min(w) ; lax.cummax(w)[3]
lax.cummin(w)[4] ; jnp.prod(w) ; jnp.stack([x, y], -1)[1] ; jnp.eye(3, dtype=s.dtype)[1] @ s
"""
DOT = """
lax.cumsum(s, 0, reverse=True)[0] ; jnp.sum(jnp.stack([s, s]), (0, 1)) ; nn.softmax(w)[2]
(jnp.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]], s.dtype) @ s)[0] ; jnp.dot(s, s)
jnp.outer(s, s)[0, 1] ; jnp.einsum("i,i->", s, jnp.array([1.0, -2.0, 0.5], s.dtype))
jnp.tensordot(s, s, 1) ; jnp.vdot(s, s) ; jnp.linalg.norm(s) ; jnp.var(s) ; jnp.std(s)
nn.softmax(s)[1] ; nn.logsumexp(s) ; nn.one_hot(1, 3) @ s
jnp.matmul(jnp.stack([s, s]), jnp.stack([s, s]).T)[0, 1] ; jnp.cross(s, jnp.flip(s))[0]
"""
CONTROL = """
triangle(x, y) ; triangle(x * y, z)
lax.cond(x > y, lambda a: a * y, lambda a: a + z, x) ; lax.cond(x > 0, lambda: y, lambda: z)
lax.switch((x > 0).astype(jnp.int32) + (y > 0), [lambda a: a, lambda a: a * a, jnp.sin], z)
lax.switch(jnp.asarray(x * 2, jnp.int32), [lambda a: a, lambda a: 2 * a, lambda a: 3 * a], y)
lax.fori_loop(0, 3, lambda i, a: a * x + i, y) ; lax.fori_loop(0, 0, lambda i, a: a * x, y)
lax.scan(lambda c, a: (c * a + x, c), y, s)[0]
jnp.sum(lax.scan(lambda c, a: (c + a, c * a), y, s)[1])
lax.scan(lambda c, a: (c * x + a, c), y, s, reverse=True)[1][0]
lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, y))[1]
jax.jit(lambda a: a * a + y)(x) ; jax.checkpoint(lambda a: jnp.sin(a) * y)(x)
lax.associative_scan(jnp.add, s)[2] ; lax.map(lambda a: a * x, s)[1]
jax.vmap(lambda a: a * x)(s)[2]
"""

SHORT_AXES = "s = jnp.stack([x, y, z]); w = jnp.stack([x, y, z, y, x])"


def expressions(text: str) -> list[str]:
    return [e.strip() for line in text.strip().splitlines() for e in line.split(";")]
