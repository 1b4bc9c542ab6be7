"""Steps of layers and networks with weights inside, as people write them, for learning online."""

from __future__ import annotations

UNCOUPLED = {
    "feed-forward LIF": """
# gradgen: shape v=(batch, n) i=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt v, i, z, w
# gradgen: next v=0, i=1, z=2

def f(v, i, z, x, w, alpha=0.95, beta=0.9):
    i_next = beta * i + x @ w
    v_next = alpha * v + (1.0 - alpha) * i_next - lax.stop_gradient(z)
    return v_next, i_next, spike(v_next - 1.0)
""",
    "adaptive LIF": """
# gradgen: shape v=(batch, n) a=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt v, a, z, w

def f(v, a, z, x, w, alpha=0.95, rho=0.97):
    v = alpha * v + x @ w
    a = rho * a + (1.0 - rho) * z
    z = spike(v - 1.0 - 0.3 * a)
    return v, a, z
""",
    "hard reset": """
# gradgen: shape v=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n) b=(n,)
# gradgen: wrt v, z, w, b

def f(v, z, x, w, b):
    v = 0.9 * v * (1.0 - z) + x @ w + b
    z = spike(v - 1.0)
    return v, z
""",
    "gates of Hodgkin and Huxley": """
# gradgen: shape v=(batch, n) m=(batch, n) h=(batch, n) x=(batch, n_in) w=(n_in, n) g=(n,)
# gradgen: wrt v, m, h, w, g
# gradgen: next v=0, m=1, h=2

def f(v, m, h, x, w, g, dt=0.1):
    m_inf, h_inf = jax.nn.sigmoid(2.0 * v), jax.nn.sigmoid(-3.0 * v)
    open_ = jnp.tanh(m) ** 3 * jnp.tanh(h)
    current = jax.nn.softplus(g) * open_**2 * (1.0 - v) - 0.3 * v + x @ w
    return v + dt * current, m + dt * (m_inf - m) / (1.0 + m_inf), h + dt * (h_inf - h)
""",
    "learned time constants, one for all": """
# gradgen: shape v=(batch, n) i=(batch, n) x=(batch, n_in) w=(n_in, n) tau=(n,) rate=()
# gradgen: wrt v, i, w, tau, rate

def f(v, i, x, w, tau, rate):
    i = jax.nn.sigmoid(rate) * i + x @ w
    alpha = jnp.exp(-1.0 / (1.0 + tau**2))
    v = alpha * v + (1.0 - alpha) * i
    return v, i, spike(v - 1.0)
""",
    "a mask that may change": """
# gradgen: shape v=(batch, n) x=(batch, n_in) w=(n_in, n) mask=(n_in, n)
# gradgen: wrt v, w
# gradgen: next v=0

def f(v, x, w, mask):
    v = 0.9 * v + x @ (w * mask)
    return v, spike(v - 1.0)
""",
    "a mask in one argument with its weights": """
# gradgen: shape v=(batch, n) x=(batch, n_in) p.w=(n_in, n) p.mask=(n_in, n)
# gradgen: example p={w, mask}
# gradgen: wrt v, p.w
# gradgen: next v=0

def f(v, x, p):
    v = 0.9 * v + x @ (p["w"] * p["mask"])
    return v, spike(v - 1.0)
""",
    "transformed weights": """
# gradgen: shape v=(batch, n) x=(batch, n_in) y=(batch, k) w=(n_in, n) u=(n, k) s=(k, r) t=(r, n)
# gradgen: wrt v, w, u, s, t
# gradgen: next v=0

def f(v, x, y, w, u, s, t):
    v = 0.9 * v + x @ jnp.abs(w) + y @ jax.nn.softplus(u).T + y @ (s @ t)
    return v, spike(v - 1.0)
""",
    "tied weights, in containers": """
# gradgen: shape s.v=(n,) s.i=(n,) x=(m,) y=(m,) p.w=(m, n) p.b=(n,) p.gain=()
# gradgen: wrt s, p
class State(NamedTuple):
    v: object
    i: object

class Parameters(NamedTuple):
    w: object
    gain: object
    b: object

def f(s: State, x, y, p: Parameters):
    i = 0.8 * s.i + p.gain * (x @ p.w)
    v = 0.9 * s.v + i * (y @ p.w) + p.b
    return State(v, i), {"z": spike(v - 1.0), "cost": jnp.sum(p.w**2) + v.sum()}
""",
    "an output of the state before, and a delay": """
# gradgen: shape v=(batch, n) d=(batch, n) e=(batch, n) x=(batch, n_in) w=(n_in, n) c=(n, k)
# gradgen: wrt v, d, e, w, c
# gradgen: next v=0, d=1, e=2

def f(v, d, e, x, w, c):
    return 0.9 * v + x @ w - 0.1 * e, jnp.tanh(v), d, (v * e) @ c
""",
    "a readout and a state that is a copy": """
# gradgen: shape v=(batch, n) u=(batch, n) y=(batch, k) x=(batch, n_in) w=(n_in, n) o=(n, k) th=(n,)
# gradgen: wrt v, u, y, w, th
# gradgen: next v=0, u=1, y=2

def f(v, u, y, x, w, o, th):
    v = 0.9 * v * jnp.cos(u) + x @ w
    return v, v, 2.0 * lax.stop_gradient(y) + x[:, :1] @ o[:1], spike(v - th)
""",
    "packed state": """
# gradgen: shape y=(batch, n, 3) x=(batch, n_in) w=(n_in, n) b=(n,)
# gradgen: wrt y, w, b
# gradgen: next y=0

def f(y, x, w, b):
    v, a, z = y[..., 0], y[..., 1], y[..., 2]
    v = 0.9 * v + x @ w + b
    a = 0.95 * a + 0.05 * z
    z = spike(v - 1.0 - 0.3 * a)
    return jnp.stack([v, a, z], -1), z
""",
    "packed state in halves": """
# gradgen: shape y=(batch, 2*n) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt y, w
# gradgen: next y=0

def f(y, x, w):
    v, i = jnp.split(y, 2, -1)
    i = 0.8 * i + x @ w
    v = 0.9 * v + 0.1 * i
    return jnp.concatenate([v, i], -1), spike(v - 1.0)
""",
    "packed state, axes moved": """
# gradgen: shape y=(batch, n, 2) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt y, w
# gradgen: next y=0

def f(y, x, w):
    v, i = jnp.moveaxis(y, -1, 0)
    i = 0.8 * i + x @ w
    v = 0.9 * v + 0.1 * i
    return jnp.moveaxis(jnp.stack([v, i]), 0, -1), spike(v - 1.0)
""",
    "packed state that is also read as a whole": """
# gradgen: shape y=(batch, n, 2) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt y, w
# gradgen: next y=0

def f(y, x, w):
    new = (0.9 * y - 0.1 * y[..., ::-1]).at[..., 0].add(x @ w)
    padded = jnp.pad(y[:, :, :1], ((0, 0), (0, 0), (1, 1)))
    return new.at[..., 1].set(jnp.tanh(new[..., 0])), jnp.cumsum(y, -1), padded
""",
    "a delay line": """
# gradgen: shape v=(batch, n) d=(4, batch, n) x=(batch, n_in) w=(n_in, n) b=(n,)
# gradgen: wrt v, d, w, b
# gradgen: next v=0, d=1

def f(v, d, x, w, b):
    v = 0.9 * v + x @ w - d[-1] * b
    return v, jnp.concatenate([spike(v - 1.0)[None], d[:-1]])
""",
    "a delay line with a pointer": """
# gradgen: shape v=(batch, n) d=(4, batch, n) k=():int32 x=(batch, n_in) w=(n_in, n) b=(n,)
# gradgen: wrt v, d, w, b
# gradgen: next v=0, d=1, k=2

def f(v, d, k, x, w, b):
    v = 0.9 * v + x @ w - d[k] * b
    return v, d.at[k].set(spike(v - 1.0)), (k + 1) % 4
""",
    "errors along axes whose size is a sum": """
# gradgen: shape v=(batch, n) x=(batch, n_in) w=(n_in, n) s=(2, n)
# gradgen: wrt v, w
# gradgen: next v=0

def f(v, x, w, s):
    v = 0.9 * v + x @ w
    beside = jnp.concatenate([v[:, ::-1], v], 1)
    return v, jnp.concatenate([v, s]), jnp.pad(jnp.tanh(v), ((1, 0), (2, 1))), beside
""",
    "convolution": """
# gradgen: shape v=(batch, 4, 5, 6) x=(batch, c, 7, 6) w=(4, c, 3, 3) b=(4,)
# gradgen: wrt v, w, b
# gradgen: next v=0

def f(v, x, w, b):
    y = lax.conv_general_dilated(x, w, (1, 1), ((0, 0), (1, 1)))
    v = 0.9 * v + y + b[:, None, None]
    return v, spike(v - 1.0)
""",
    "convolution, channels last, hard reset": """
# gradgen: shape v=(batch, 3, 5, o) z=(batch, 3, 5, o) x=(batch, 8, 7, c) w=(3, 2, c, o)
# gradgen: wrt v, z, w
# gradgen: next v=0, z=1

def f(v, z, x, w):
    numbers = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(x, jnp.tanh(w), (2, 1), "VALID", None, (1, 2), numbers)
    v = 0.9 * v * (1.0 - z) + y
    return v, spike(v - 1.0)
""",
}

COUPLED = {
    "recurrent adaptive layer": """
# gradgen: shape v=(batch, n) a=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n) r=(n, n)
# gradgen: wrt v, a, z, w, r

def f(v, a, z, x, w, r):
    v = 0.9 * v * (1.0 - z) + x @ w + z @ r
    a = 0.95 * a + 0.05 * z
    z = spike(v - 1.0 - 0.3 * a)
    return v, a, z
""",
    "two layers": """
# gradgen: shape v=(batch, n) i=(batch, n) u=(batch, k) j=(batch, k) x=(batch, m) w=(m, n) o=(n, k)
# gradgen: wrt v, i, u, j, w, o

def f(v, i, u, j, x, w, o):
    i = 0.8 * i + x @ w
    v = 0.9 * v + 0.1 * i
    z = spike(v - 1.0)
    j = 0.8 * j + z @ o
    u = 0.9 * u + 0.1 * j
    return v, i, u, j, z, spike(u - 1.0)
""",
    "lateral inhibition and a readout": """
# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n) b=(n,) o=(n, k)
# gradgen: wrt v, w, b, o
# gradgen: next v=0

def f(v, x, w, b, o):
    v = 0.9 * v + x @ w + b - 0.2 * jnp.tanh(v).sum(-1, keepdims=True)
    z = spike(v - 1.0)
    return v, z @ o
""",
    "a reciprocal of a size that errors meet": """
# gradgen: shape v=(batch, n) a=(batch, n) z=(batch, n) d=(2, batch, n)
# gradgen: shape x=(batch, m) w=(m, n) r=(n, n) b=(n,) g=()
# gradgen: wrt v, a, z, d, w, r, b, g
# gradgen: next v=0, a=1, z=2, d=3

def f(v, a, z, d, x, w, r, b, g):
    d = jnp.stack([z, d[0]])
    v = jnp.tanh(
        x @ w + jnp.where(v > 0.2, 0.7 * v, 0.9 * v) + b + -0.5 * z
        + 0.2 * v.mean(-1, keepdims=True) + 0.3 * d[1]
    )
    a = 0.5 * jnp.tanh(0.4 * a + 0.3 * a + g * a + z @ (r - jnp.diag(jnp.diag(r))))
    z = spike(v - 0.5)
    return v, a, z, d, jnp.mean((v - 0.1) ** 2, -1)
""",
    "two recurrent layers that feed back": """
# gradgen: shape v=(b, n) z=(b, n) u=(b, k) y=(b, k) x=(b, m) w=(m, n) r=(n, n) o=(n, k) c=(k, n)
# gradgen: wrt v, z, u, y, w, r, o, c

def f(v, z, u, y, x, w, r, o, c):
    v = 0.9 * v + x @ w + z @ r + y @ c
    z = spike(v - 1.0)
    u = 0.9 * u * (1.0 - y) + z @ o
    y = spike(u - 1.0)
    return v, z, u, y
""",
}
