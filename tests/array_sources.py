"""Functions on arrays as people write them: layers, networks, losses, one for each kind."""

from __future__ import annotations

HEADER = """
import jax, jax.numpy as jnp
from jax import lax
from typing import NamedTuple

@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)

@spike.defjvp
def _r(p, t):
    return spike(p[0]), t[0] / (10.0 * jnp.abs(p[0]) + 1.0) ** 2

@jax.custom_vjp
def vspike(x):
    return (x > 0).astype(x.dtype)
vspike.defvjp(lambda x: (vspike(x), x), lambda x, g: (g / (10.0 * jnp.abs(x) + 1.0) ** 2,))
"""

SOURCES = {
    "recurrent adaptive layer": """
# gradgen: shape v=(batch, n) a=(batch, n) z=(batch, n) x=(batch, n_in)
# gradgen: shape p.w=(n_in, n) p.r=(n, n) p.b=(n,)
# gradgen: example p={w, r, b}

def f(v, a, z, x, p, rho=0.97):
    v = 0.9 * v * (1.0 - z) + x @ p["w"] + z @ p["r"] + p["b"]
    a = rho * a + (1 - rho) * z
    return v, a, spike(v - 1.0 - 0.1 * a)
""",
    "custom_vjp and a matrix times a vector": """
# gradgen: shape v=(n,) x=(m,) w=(n, m)

def f(v, x, w):
    v = 0.9 * v + w @ x
    return v, vspike(v - 1.0)
""",
    "attention": """
# gradgen: shape x=(batch, t, d) q=(d, h) k=(d, h) v=(d, h)

def f(x, q, k, v):
    s = jnp.einsum("bth,bsh->bts", x @ q, x @ k) / jnp.sqrt(1.0 * q.shape[1])
    return jax.nn.softmax(s, axis=-1) @ (x @ v)
""",
    "layer normalisation": """
# gradgen: shape x=(batch, d) g=(d,) b=(d,)

def f(x, g, b):
    m = x.mean(-1, keepdims=True)
    s = ((x - m) ** 2).mean(-1, keepdims=True)
    return g * (x - m) / jnp.sqrt(s + 1e-5) + b
""",
    "layer normalisation by variance": """
# gradgen: shape x=(batch, d) g=(d,) b=(d,)

def f(x, g, b):
    return g * (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) + b
""",
    "Hodgkin-Huxley layer with gap junctions": """
# gradgen: shape v=(batch, n) m=(batch, n) h=(batch, n) s=(batch, n_in) w=(n_in, n)

def f(v, m, h, s, w, g=0.1):
    i = s @ w + g * (v.mean(-1, keepdims=True) - v)
    am = 0.1 * (v + 40.0) / (1.0 - jnp.exp(-(v + 40.0) / 10.0))
    bm = 4.0 * jnp.exp(-(v + 65.0) / 18.0)
    m = m + 0.01 * (am * (1 - m) - bm * m)
    h = h + 0.01 * (0.07 * jnp.exp(-(v + 65.0) / 20.0) * (1 - h) - h)
    v = v + 0.01 * (i - 120.0 * m**3 * h * (v - 50.0) - 0.3 * (v + 54.4))
    return v, m, h
""",
    "split, concatenate and stack": """
# gradgen: shape x=(batch, n) h=(batch, m) w=(n, 2*m) r=(m, 2*m)

def f(x, h, w, r):
    a, b = jnp.split(x @ w + h @ r, 2, -1)
    return jnp.concatenate([jnp.tanh(a) * b, h], -1), jnp.stack([a, b], 1)
""",
    "convolution": """
# gradgen: shape x=(batch, 3, 8, 8) w=(4, 3, 3, 3) b=(4,)

def f(x, w, b):
    y = lax.conv_general_dilated(x, w, (1, 1), "SAME") + b[:, None, None]
    return jax.nn.relu(y)
""",
    "convolution with named channels": """
# gradgen: shape x=(batch, c, 8, 8) w=(o, c, 3, 3)

def f(x, w):
    return jnp.tanh(lax.conv_general_dilated(x, w, (2, 2), "VALID"))
""",
    "maximum over windows": """
# gradgen: shape x=(batch, 4, 8)

def f(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2), (1, 1, 2), "VALID")
""",
    "mean over windows": """
# gradgen: shape x=(batch, 4, 8)

def f(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 1, 2), (1, 1, 2), "VALID") / 2
""",
    "gather and scatter": """
# gradgen: shape x=(n, d) idx=(k,):int32

def f(x, idx):
    y = x[idx]
    return jnp.sin(y), x.at[idx].add(1.0).sum(0), x.at[idx].set(0.5)
""",
    "cross-entropy by take_along_axis": """
# gradgen: shape x=(batch, n) labels=(batch,):int32

def f(x, labels):
    l = jax.nn.log_softmax(x)
    return -jnp.take_along_axis(l, labels[:, None], 1).mean()
""",
    "cross-entropy by one_hot": """
# gradgen: shape x=(batch, 10) labels=(batch,):int32

def f(x, labels):
    return -(jax.nn.one_hot(labels, 10) * jax.nn.log_softmax(x)).sum(-1).mean()
""",
    "reductions and cumulative sums": """
# gradgen: shape x=(batch, n)

def f(x):
    total = jnp.abs(x).sum() + jax.nn.logsumexp(x, -1)
    return x.max(-1), x.min(0), x.prod(-1), total, jnp.cumsum(x, 1)
""",
    "roll, pad, reverse, transpose, reshape": """
# gradgen: shape x=(batch, n) y=(batch, n)

def f(x, y):
    return jnp.roll(x, 1, -1) * y, jnp.pad(x, ((0, 0), (1, 2))), x[:, ::-1], x.T @ y, x.reshape(-1)
""",
    "vmap inside": """
# gradgen: shape x=(batch, n) w=(n, m)

def f(x, w):
    return jax.vmap(lambda r: jnp.tanh(r @ w) * r.sum())(x)
""",
    "einsum with three operands": """
# gradgen: shape a=(b, i, j) c=(b, j, k) d=(i, k) e=(n,)

def f(a, c, d, e):
    outer = jnp.einsum("n,m->nm", e, e)
    return jnp.einsum("bij,bjk,ik->b", a, c, d), outer, jnp.einsum("ij,i->j", d, d.sum(1))
""",
    "refractory period": """
# gradgen: shape v=(batch, n) ref=(batch, n) x=(batch, n)

def f(v, ref, x):
    v = jnp.where(ref > 0, 0.0, 0.9 * v + x)
    z = spike(v - 1.0)
    ref = jnp.where(z > 0, 3.0, jnp.maximum(ref - 1.0, 0.0))
    return jnp.where(z > 0, 0.0, v), ref, jnp.clip(v, -1.0, 1.0)
""",
    "NamedTuple state": """
# gradgen: shape s.v=(batch, n) s.i=(batch, n) x=(batch, m) w=(m, n)

class State(NamedTuple):
    v: jax.Array
    i: jax.Array

def f(s: State, x, w, tau=20.0):
    i = 0.8 * s.i + x @ w
    v = s.v + (-s.v + i) / tau
    return State(v, i), spike(v - 1)
""",
    "two-layer loss with a penalty": """
# gradgen: shape p.w=(n, m) p.o=(m, k) x=(batch, n) y=(batch, k)
# gradgen: example p={w, o}

def f(p, x, y):
    h = jnp.tanh(x @ p["w"])
    return ((h @ p["o"] - y) ** 2).mean() + 1e-3 * (p["w"] ** 2).sum()
""",
    "spikes made of numbers": """
# gradgen: shape v=(batch, n)

@jax.custom_jvp
def fires(x):
    return jnp.where(x > 0, 1.0, 0.0).astype(x.dtype)

@fires.defjvp
def _fires(p, t):
    return fires(p[0]), t[0] / (1.0 + jnp.abs(p[0]))

def f(v):
    z = fires(v - 1.0)
    return z, fires(v).sum(0), 2.0 * z, v - z
""",
    "straight-through estimator": """
# gradgen: shape v=(batch, n) z=(batch, n)

def f(v, z):
    soft = jax.nn.sigmoid(4 * (v - 1.0))
    return soft + lax.stop_gradient((v > 1.0) - soft), 0.9 * v - lax.stop_gradient(z)
""",
    "delay line": """
# gradgen: shape buf=(5, batch, n) v=(batch, n) k=():int32

def f(buf, v, k):
    d = lax.dynamic_index_in_dim(buf, k, 0, keepdims=False)
    return jnp.concatenate([buf[1:], v[None]]), v * d, lax.dynamic_update_index_in_dim(buf, v, k, 0)
""",
    "masked recurrent weights": """
# gradgen: shape z=(batch, n) w=(n, n)

def f(z, w):
    return z @ (w * (1 - jnp.eye(w.shape[0]))), z @ jnp.abs(w), jnp.diagonal(w)
""",
    "outputs made of nothing": """
# gradgen: shape x=(batch, n)

def f(x):
    z = jnp.zeros_like(x)
    return x + z, z, jnp.ones((x.shape[0], 3)) * x.sum(-1, keepdims=True)
""",
    "activations": """
# gradgen: shape x=(batch, n)

def f(x):
    nn = jax.nn
    steps = jnp.select([x > 1.0, x > 0.0], [2.0 * x, x], nn.standardize(x))
    return nn.relu(x), nn.gelu(x), nn.softplus(x), nn.elu(x), nn.leaky_relu(x), nn.silu(x), steps
""",
    "normalised weights": """
# gradgen: shape x=(batch, n) w=(n, m)

def f(x, w):
    w = w / jnp.linalg.norm(w, axis=0)
    return x @ w
""",
    "sort": """
# gradgen: shape x=(batch, n)

def f(x):
    return jnp.sort(x, -1)
""",
    "numbers among arrays": """
# gradgen: shape x=(n,) a=()

def f(x, a):
    return a * x, x.sum() * a, x[0] * x[-1]
""",
    "axes of size one": """
# gradgen: shape x=(1, n) w=(n, 1)

def f(x, w):
    return x @ w, x * w.T, x + w
""",
    "causal attention": """
# gradgen: shape x=(t, n)

def f(x):
    mask = jnp.tril(jnp.ones((x.shape[0], x.shape[0])))
    s = jnp.where(mask > 0, x @ x.T, -1e9)
    return jax.nn.softmax(s) @ x
""",
    "loop of fixed length": """
# gradgen: shape v=(batch, n) i=(batch, n)

def f(v, i):
    def sub(k, v):
        return v + 0.1 * (-v + i)
    return lax.fori_loop(0, 4, sub, v)
""",
    "branch": """
# gradgen: shape v=(batch, n) t=()

def f(v, t):
    return lax.cond(t > 0.5, lambda v: v * 2, lambda v: jnp.sin(v), v)
""",
    "noise from raw key data": """
# gradgen: shape v=(batch, n) key=(2,):uint32

def f(v, key):
    return v + 0.1 * jax.random.normal(key, v.shape)
""",
    "dropout and noise from a key": """
# gradgen: shape v=(batch, n) key=():key

def f(v, key, s=0.1):
    k1, k2, k3 = jax.random.split(key, 3)
    keep = jax.random.bernoulli(k2, 0.8, v.shape)
    v = jnp.where(keep, v / 0.8, 0.0) + s * jax.random.normal(k1, v.shape, v.dtype)
    return v + jax.random.gumbel(k3, v.shape, v.dtype), v[jax.random.randint(key, (3,), 0, 2)]
""",
    "cross-entropy by indices": """
# gradgen: shape x=(batch, n_in) params.w=(n_in, n) params.b=(n,) labels=(batch,):int32
# gradgen: example params={w, b}

def f(params, x, labels):
    h = jax.nn.relu(x @ params["w"] + params["b"])
    h = h - h.mean(-1, keepdims=True)
    return -jnp.mean(jax.nn.log_softmax(h)[jnp.arange(x.shape[0]), labels])
""",
    "loss with what else is to be known": """
# gradgen: shape w=(n, m) x=(batch, n) y=(batch, m)

def f(w, x, y):
    out = jnp.tanh(x @ w)
    rate = (out > 0).mean()
    return ((out - y) ** 2).mean() + 0.1 * out.mean(), {"rate": rate, "out": out}
""",
    "a sum whose cotangent is stretched along two axes": """
# gradgen: shape u=(batch, m)

def f(u):
    last = u[-1:]
    return jnp.stack([last, jnp.tanh(last)], -1).sum(-1)
""",
    "arguments that are returned as they are": """
# gradgen: shape b=(n,) s=()

def f(b, s):
    return s, b
""",
    "the first axis fastest": """
# gradgen: shape x=(batch, n) w=(6, n)

def f(x, w):
    mixed = lax.reshape(w, (2, 3, w.shape[1]), (1, 0))
    return jnp.ravel(x, order="F"), x @ jnp.reshape(w, (-1, 6), order="F"), mixed[1, 0]
""",
    "small integers added up": """
# gradgen: shape v=(batch, n)

def f(v):
    spikes = v > 1.0
    return 0.9 * v, spikes.sum(0, dtype=jnp.int8), jnp.prod(spikes, 1, dtype=jnp.uint8)
""",
    "logarithms of sums so far": """
# gradgen: shape x=(6, n)

def f(x):
    return lax.cumlogsumexp(x, axis=0)
""",
    "products along an open axis, added up": """
# gradgen: shape x=(batch, time, n)

def f(x):
    return jnp.mean(jnp.prod(jax.nn.sigmoid(x), axis=1))
""",
    "the variance of a sample": """
# gradgen: shape x=(batch, n)

def f(x):
    return jnp.var(x, ddof=1)
""",
    "equal numbers added up": """
# gradgen: shape x=(batch, 16, 16, n) b=(n,)

def f(x, b):
    return jnp.mean(x * 2.0 + b, axis=(1, 2))
""",
    "a probability by default": """
# gradgen: shape x=(batch, n) w=(n, m) key=():key
# gradgen: wrt w

def f(w, x, key, train=True, rate=0.2):
    h = jax.nn.relu(x @ w)
    if train:
        h = h * jax.random.bernoulli(key, 1 - rate, h.shape) / (1 - rate)
    return h * (rate > 0.1)
""",
    "running statistics": """
# gradgen: shape x=(batch, n) statistics.0=(n,) statistics.1=(n,)
# gradgen: wrt x

def f(x, statistics):
    mean, var = x.mean(0), x.var(0)
    now, (old_mean, old_var) = lax.stop_gradient((mean, var)), statistics
    new = 0.9 * old_mean + 0.1 * now[0], 0.9 * old_var + 0.1 * now[1]
    return (x - mean) / jnp.sqrt(var + 1e-5), new
""",
    "numbers computed of sizes": """
# gradgen: shape x=(batch, n)

def f(x):
    share = 1 / x.shape[1]
    mean = jnp.sum(x * x) * (1.0 / (x.shape[0] * x.shape[1]))
    floored = jnp.maximum(x * x, 1.0 / x.shape[0])
    return mean + share * jnp.tanh(x), x * (2.0 / x.shape[0] + 1.0), floored * (1 - share)
""",
    "a mask in front of what is infinite": """
# gradgen: shape y=(..., 2) x=(...,)

def f(y, x):
    held = jnp.clip(jnp.where(x > 0.0, x, y[..., 1]), -1.0, 1.0)
    slow = (jnp.abs(jax.scipy.special.erfinv(held)) + 0.5) ** -0.75
    return jnp.stack([0.9 * y[..., 0] + slow, y[..., 1]], axis=-1)
""",
    "keys stacked by a loop": """
# gradgen: shape v=(n,) key=():key
# gradgen: wrt v

def f(v, key):
    def step(v, k):
        return 0.8 * v + jax.random.normal(k, v.shape, v.dtype), jax.random.fold_in(k, 3)
    v, keys = lax.scan(step, v, jax.random.split(key, 3))
    return v + jax.random.normal(keys[0], v.shape, v.dtype)
""",
    "a loop of which nothing is kept": """
# gradgen: shape v=(n,)

def f(v):
    return lax.scan(lambda v, _: (0.8 * v, v), v, None, length=12)
""",
    "a loop of no steps": """
# gradgen: shape x=(time, n) w=(n, m)

def f(x, w):
    def step(v, x):
        return 0.5 * v + x @ w, jnp.tanh(v)
    v, none = lax.scan(step, jnp.zeros(w.shape[1], x.dtype), x[:0])
    return lax.scan(step, v, x)[0] + none.sum()
""",
    "a name for what is kept": """
# gradgen: shape v=(n,)
from jax.ad_checkpoint import checkpoint_name

def f(v):
    return jnp.exp(checkpoint_name(jnp.tanh(v), "rate"))
""",
    "the same result twice": """
# gradgen: shape x=(n,)

def f(x):
    return jnp.tanh(x), jnp.tanh(x), jnp.concatenate([x, x])
""",
    "feed-forward layer": """
# gradgen: shape v=(batch, n) i=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt v, i, z, w

def f(v, i, z, x, w, alpha=0.95, beta=0.9):
    i_next = beta * i + x @ w
    v_next = alpha * v + (1.0 - alpha) * i_next - lax.stop_gradient(z)
    return v_next, i_next, spike(v_next - 1.0)
""",
    "attention with heads": """
# gradgen: shape q=(b, h, t, d) k=(b, h, s, d) v=(b, h, s, d)

def f(q, k, v):
    a = jax.nn.softmax(jnp.einsum("bhtd,bhsd->bhts", q, k) / 3.0)
    return a @ v
""",
    "a state, and numbers that take several lines": """
# gradgen: shape s.v=(b, n) s.i=(b, n) inp=(b, n)

class State(NamedTuple):
    v: jax.Array
    i: jax.Array

def f(s: State, inp, tau_syn_inv=200.0, tau_mem_inv=100.0, v_leak=0.0, v_th=1.0, dt=0.001):
    v = s.v + dt * tau_mem_inv * (v_leak - s.v + s.i)
    return State(v, s.i - dt * tau_syn_inv * s.i + inp), spike(v - v_th)
""",
    "diagonals": """
# gradgen: shape c=(k, i)

def f(c):
    return jnp.einsum("ij,ji->i", c, c.T), jnp.einsum("ii->i", c @ c.T), jnp.trace(c @ c.T)
""",
    "a key for the next step": """
# gradgen: shape x=(b, n) key=():key

def f(x, key):
    key, now = jax.random.split(key)
    return x + jax.random.normal(now, x.shape, x.dtype), key
""",
    "numbers that are spaced evenly": """
# gradgen: shape x=(n,)

def f(x):
    return 2 * x, jnp.linspace(0.0, 1.0, 5, dtype=x.dtype)
""",
    "numbers of its own among the results": """
# gradgen: shape x=(n,)

def f(x):
    return 2 * x, 5, True, jnp.arange(4)
""",
    "sizes and a float of its own among the results": """
# gradgen: shape x=(b, n)

def f(x):
    return 2 * x, x.shape[0], 1.0, x.shape[1] * 2 + x.shape[0]
""",
    "the dtype of an argument": """
# gradgen: shape z=(batch, n) r=(n, n)

def f(z, r):
    return jnp.tanh(z @ (r * (1.0 - jnp.eye(r.shape[0], dtype=r.dtype))))
""",
    "arrays that the module makes": """
# gradgen: shape x=(batch, 6) w=(3, n)

DECAYS = jnp.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
PARTNERS = jnp.array([1, 0, 3, 2, 5, 4])
INHIBITORY = jnp.array([False, True, False])
COUNTS = jnp.array([[1, 2], [3, 4], [5, 6]])

def f(x, w):
    signed = jnp.where(INHIBITORY[:, None], -jnp.abs(w), jnp.abs(w))
    return x * DECAYS + x[:, PARTNERS], x[:, jnp.array([2, 2, -1])], signed, COUNTS.T @ w
""",
    "places that are known": """
# gradgen: shape x=(4, batch, n) y=(batch, n)

def f(x, y):
    total = sum(0.5 ** t * jnp.sin(x[t]) for t in range(4))
    away = jnp.sin(y[1]) * y[-2] + x[7, 0]
    return total, x[2, 0], x[-1] * y, y[:, 0], away, y[:, -1:], jnp.diff(y, axis=1), x[1:3, :, 0]
""",
    "repeated and tiled": """
# gradgen: shape x=(batch, n) y=(n,) z=(batch, 5*c)

def f(x, y, z):
    tiled = jnp.tile(x, (2, 3)) * jnp.tile(jnp.sin(y), 3)
    groups = jnp.sin(z).reshape(z.shape[0], -1, 5).mean(-1)
    return tiled, jnp.tile(y, (2, 1)), jnp.repeat(x, 2, axis=1), groups
""",
    "sorted by one another": """
# gradgen: shape x=(batch, n) y=(batch, n) z=(batch, 8)

def f(x, y, z):
    best, places = lax.top_k(z, 3)
    ordered = jnp.take_along_axis(jnp.sin(y), jnp.argsort(x, axis=1), axis=1)
    one, other = lax.sort((x, y), dimension=1, num_keys=1)
    return best, places, ordered, one * other, jnp.median(z, axis=1)
""",
    "changed at places": """
# gradgen: shape x=(n, d) u=(d,) v=(k, d) idx=(k,):int32

def f(x, u, v, idx):
    kept = jax.ops.segment_sum(jnp.sin(v), idx, num_segments=x.shape[0])
    most = jax.ops.segment_max(v, idx, num_segments=x.shape[0])
    changed = x.at[0].multiply(u).at[0].min(0.5).at[-1].max(jnp.cos(u))
    return kept, jnp.where(jnp.isfinite(most), most, 0.0), changed, x.at[idx].max(0.1)
""",
}
