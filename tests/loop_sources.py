"""Functions with loops over time as people write them: losses of networks, one for each kind."""

from __future__ import annotations

_SHAPES = "# gradgen: shape xs=(time, batch, n_in) y=(batch, n) p.w=(n_in, n) p.r=(n, n) p.b=(n,)"
_HEAD = f"""
{_SHAPES}
# gradgen: example p={{w, r, b}}
# gradgen: wrt p

def _zeros(xs, p):
    return jnp.zeros((xs.shape[1], p["w"].shape[1]), xs.dtype)
"""

LOOPS = {
    "a leaky layer and its last potential": """
def f(p, xs, y):
    def step(v, x):
        return 0.9 * v + x @ p["w"] + p["b"], None
    return ((lax.scan(step, _zeros(xs, p), xs)[0] - y) ** 2).mean()
""",
    "recurrence and spikes put out": """
def f(p, xs, y):
    def step(c, x):
        v, z = c
        v = 0.9 * v * (1.0 - z) + x @ p["w"] + z @ p["r"]
        z = spike(v - 1.0)
        return (v, z), z
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, z), xs)[1].mean(0) - y) ** 2).mean()
""",
    "a rule for cotangents alone": """
def f(p, xs, y):
    def step(c, x):
        v, z = c
        v = 0.9 * v * (1.0 - z) + x @ p["w"] + z @ p["r"]
        z = vspike(v - 1.0)
        return (v, z), z
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, z), xs)[1].mean(0) - y) ** 2).mean()
""",
    "a loss added up step by step": """
def f(p, xs, y):
    def step(c, x):
        v, z, total = c
        v = 0.9 * v * (1.0 - z) + x @ p["w"]
        return (v, spike(v - 1.0), total + ((v - y) ** 2).sum()), None
    z = _zeros(xs, p)
    return lax.scan(step, (z, z, jnp.zeros((), xs.dtype)), xs)[0][2]
""",
    "a readout added up": """
# gradgen: shape labels=(batch,):int32

def f(p, xs, y, labels):
    def step(c, x):
        v, total = c
        v = 0.9 * v + jnp.tanh(x @ p["w"])
        return (v, total + v @ p["r"]), None
    z = _zeros(xs, p)
    logits = lax.scan(step, (z, z), xs)[0][1] / xs.shape[0] + y
    return -jax.nn.log_softmax(logits)[jnp.arange(xs.shape[1]), labels % y.shape[1]].mean()
""",
    "stages of a step, each of the one before": """
def f(p, xs, y):
    def step(h, x):
        h = h + x @ p["w"]
        for _ in range(3):
            h = h + jnp.tanh(h @ p["r"])
        return h, h
    hs = lax.scan(step, _zeros(xs, p), xs)[1]
    return hs, jnp.mean((hs - y) ** 2)
""",
    "two sequences, one of numbers": """
def f(p, xs, y):
    def step(v, q):
        x, k = q
        v = 0.9 * v + jnp.tanh(x @ p["w"] + v @ p["r"]) * k
        return v, ((v - y) ** 2).mean()
    return lax.scan(step, _zeros(xs, p), (xs, jnp.cos(xs[:, 0, 0])))[1].sum()
""",
    "backwards in time": """
def f(p, xs, y):
    def step(v, x):
        v = 0.9 * v + jnp.tanh(x @ p["w"] + v @ p["r"])
        return v, v
    return ((lax.scan(step, _zeros(xs, p), xs, reverse=True)[1] - y) ** 2).mean()
""",
    "a start that is learned": """
def f(p, xs, y):
    def step(v, x):
        return 0.9 * v + jnp.tanh(x @ p["w"] + v @ p["r"]), None
    return ((lax.scan(step, _zeros(xs, p) + p["b"], xs)[0] - y) ** 2).mean()
""",
    "gradients by the input and the start": """
# gradgen: wrt p, xs, y

def f(p, xs, y):
    def step(v, x):
        v = 0.9 * v + jnp.tanh(x @ p["w"] + v @ p["r"])
        return v, v * x.sum()
    return lax.scan(step, y, xs)[1].mean()
""",
    "refractory counters": """
def f(p, xs, y):
    def step(c, x):
        v, left = c
        v = jnp.where(left > 0, 0.0, 0.9 * v + x @ p["w"])
        z = spike(v - 1.0)
        return (v - z, jnp.where(z > 0, 3, jnp.maximum(left - 1, 0))), v
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, jnp.zeros(z.shape, jnp.int32)), xs)[1] - y) ** 2).mean()
""",
    "a reset that is detached": """
def f(p, xs, y):
    def step(c, x):
        v, z = c
        v = 0.9 * v + x @ p["w"] + z @ p["r"] - lax.stop_gradient(z)
        z = spike(v - 1.0)
        return (v, z), z
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, z), xs)[1].mean(0) - y) ** 2).mean()
""",
    "mapped over examples": """
def f(p, xs, y):
    def one(x, t):
        def step(c, x):
            v, z = c
            v = 0.9 * v * (1.0 - z) + x @ p["w"] + z @ p["r"]
            z = spike(v - 1.0)
            return (v, z), z
        z = jnp.zeros(p["w"].shape[1], x.dtype)
        return ((lax.scan(step, (z, z), x)[1].mean(0) - t) ** 2).mean()
    return jax.vmap(one, in_axes=(1, 0))(xs, y).mean()
""",
    "weights of gates packed": """
def f(p, xs, y):
    def step(h, x):
        g = jnp.concatenate([x @ p["w"], h @ p["r"]], -1)
        a, b = jnp.split(g, 2, -1)
        h = jnp.tanh(a + b) + 0.5 * h
        return h, h
    return ((lax.scan(step, _zeros(xs, p), xs)[1] - y) ** 2).mean()
""",
    "a line of delays": """
def f(p, xs, y):
    def step(c, x):
        v, buffer = c
        v = 0.9 * v + jnp.tanh(x @ p["w"] + buffer[0] @ p["r"])
        return (v, jnp.concatenate([buffer[1:], v[None]])), v
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, jnp.stack([z] * 3)), xs)[1] - y) ** 2).mean()
""",
    "leaks and thresholds that are learned": """
# gradgen: shape leak=(n,) tau=()
# gradgen: wrt p, leak, tau

def f(p, leak, tau, xs, y):
    alpha, beta = jax.nn.sigmoid(leak), jnp.exp(-jnp.abs(tau))
    r = p["r"] * (1.0 - jnp.eye(p["r"].shape[0], dtype=xs.dtype))
    def step(c, x):
        v, z, out = c
        v = alpha * v + (1.0 - alpha) * (x @ p["w"] + z @ r) - z * p["b"]
        z = spike(v - p["b"])
        out = beta * out + z @ p["r"]
        return (v, z, out), jax.nn.softmax(out)
    z = _zeros(xs, p)
    return -(y * jnp.log(lax.scan(step, (z, z, z), xs)[1].mean(0) + 1e-3)).mean()
""",
    "two layers that feed back": """
def f(p, xs, y):
    def lif(v, z, i):
        v = 0.95 * v * (1.0 - z) + 0.3 * i
        return v, spike(v - 1.0)
    def step(c, x):
        v, z, u, s = c
        v, z = lif(v, z, x @ p["w"] + z @ p["r"] + s @ p["r"].T)
        u, s = lif(u, s, z @ p["r"] + s @ p["r"])
        return (v, z, u, s), s
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, z, z, z), xs)[1].sum(0) - y) ** 2).mean()
""",
    "layer after layer": """
def f(p, xs, y):
    def lif(c, i):
        v, z = c
        v = 0.95 * v * (1.0 - z) + 0.3 * i
        return v, spike(v - 1.0)
    def step(c, x):
        one, two = c
        one = lif(one, x @ p["w"] + p["b"])
        two = lif(two, one[1] @ p["r"])
        return (one, two), two[0]
    z = _zeros(xs, p)
    return ((lax.scan(step, ((z, z), (z, z)), xs)[1].mean(0) - y) ** 2).mean()
""",
    "two loops in a row": """
def f(p, xs, y):
    def first(v, x):
        v = 0.9 * v + x @ p["w"]
        return v, jnp.tanh(v)
    def second(u, h):
        u = 0.8 * u + h @ p["r"]
        return u, u
    z = _zeros(xs, p)
    _, hs = lax.scan(first, z, xs)
    return ((lax.scan(second, z, hs)[1] - y) ** 2).mean()
""",
    "steps within steps": """
def f(p, xs, y):
    def step(c, x):
        i = x @ p["w"]
        def substep(k, q):
            v, m = q
            m = m + 0.1 * (jax.nn.sigmoid(v) - m)
            return v + 0.1 * (i - v * m), m
        c = lax.fori_loop(0, 3, substep, c)
        return c, c[0]
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, z), xs)[1] - y) ** 2).mean()
""",
    "many steps within steps": """
def f(p, xs, y):
    def step(v, x):
        i = x @ p["w"]
        def substep(v, _):
            return v + 0.01 * (i - v * jnp.tanh(v)), None
        v, _ = lax.scan(substep, v, length=70)
        return v, v
    return ((lax.scan(step, _zeros(xs, p), xs)[1] - y) ** 2).mean()
""",
    "a counter of steps": """
def f(p, xs, y):
    def step(c, x):
        k, v = c
        v = 0.9 * v + jnp.where(k > 2, x @ p["w"], 0.0) + p["b"] * (k * 0.1)
        return (k + 1, v), v
    return ((lax.scan(step, (0, _zeros(xs, p)), xs)[1] - y) ** 2).mean()
""",
    "what is carried and never changed": """
def f(p, xs, y):
    def step(c, x):
        v, w = c
        return (0.9 * v + x @ w, w), v
    return ((lax.scan(step, (_zeros(xs, p), 2.0 * p["w"]), xs)[1] - y) ** 2).mean()
""",
    "a machine constant in each step": """
def f(p, xs, y):
    def step(v, x):
        v = 0.9 * v + x @ p["w"]
        return v / (jnp.abs(v).max() + jnp.finfo(v.dtype).eps), v + jnp.finfo(x.dtype).tiny
    return ((lax.scan(step, _zeros(xs, p), xs)[1] - y) ** 2).mean()
""",
    "no sequence": """
def f(p, xs, y):
    def step(v, _):
        return v + 0.01 * (jnp.tanh(v @ p["r"] + p["b"]) - v), None
    return ((lax.scan(step, xs.mean(0) @ p["w"], length=80)[0] - y) ** 2).mean()
""",
    "a map over time": """
def f(p, xs, y):
    hs = lax.map(lambda x: jnp.tanh(x @ p["w"]) * p["b"], xs)
    return ((hs.sum(0) - y) ** 2).mean()
""",
    "what the last step alone gives": """
def f(p, xs, y):
    def step(c, x):
        v, old = c
        return (0.9 * v + x @ p["w"], v), None
    z = _zeros(xs, p)
    v, old = lax.scan(step, (z, z), xs)[0]
    return ((v - old - y) ** 2).mean()
""",
    "masks over time": """
# gradgen: shape lengths=(batch,):int32

def f(p, xs, y, lengths):
    def step(c, q):
        k, x = q
        v = 0.9 * c + x @ p["w"] + jnp.tanh(c @ p["r"])
        v = jnp.where((k < lengths)[:, None], v, c)
        return v, v
    out = lax.scan(step, _zeros(xs, p), (jnp.arange(xs.shape[0]), xs))[1]
    return ((out[-1] - y) ** 2).mean()
""",
    "a penalty on weights and rates": """
def f(p, xs, y):
    def step(c, x):
        v, z = c
        v = 0.9 * v * (1.0 - z) + x @ p["w"] + z @ p["r"]
        z = spike(v - 1.0)
        return (v, z), (z, v)
    z = _zeros(xs, p)
    zs, vs = lax.scan(step, (z, z), xs)[1]
    rates = zs.mean((0, 1))
    return ((vs[-1] - y) ** 2).mean() + 0.1 * ((rates - 0.1) ** 2).sum() + (p["w"] ** 2).sum()
""",
    "gates of Hodgkin and Huxley": """
def f(p, xs, y):
    def step(c, x):
        v, m, h = c
        am, bm = 0.3 * jnp.exp(0.1 * v), 0.5 * jnp.exp(-0.1 * v)
        m = m + 0.1 * (am * (1.0 - m) - bm * m)
        h = h + 0.1 * (bm * (1.0 - h) - am * h)
        v = v + 0.1 * (x @ p["w"] - m**3 * h * (v - 1.0) - 0.2 * (v + 0.5))
        return (v, m, h), v
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, z + 0.1, z + 0.6), xs)[1] - y) ** 2).mean()
""",
    "the whole trajectory": """
# gradgen: wrt p, y

def f(p, xs, y):
    def step(c, x):
        v, z = c
        v = 0.9 * v * (1.0 - z) + x @ p["w"] + z @ p["r"]
        z = spike(v - 1.0)
        return (v, z), {"v": v, "z": z}
    return lax.scan(step, (y, jnp.zeros_like(y)), xs)
""",
    "a branch on the time": """
def f(p, xs, y):
    def step(c, x):
        k, v = c
        v = lax.cond(k % 2 == 0, lambda v: 0.9 * v + x @ p["w"], lambda v: jnp.sin(v), v)
        return (k + 1, v), v
    return ((lax.scan(step, (0, _zeros(xs, p)), xs)[1] - y) ** 2).mean()
""",
    "a count known at run time alone": """
def f(p, xs, y):
    def body(k, v):
        return 0.9 * v + xs[k] @ p["w"]
    return ((lax.fori_loop(0, xs.shape[0], body, _zeros(xs, p)) - y) ** 2).mean()
""",
    "a start that is a number of Python": """
def f(p, xs, y):
    def step(c, x):
        t, k = c
        return (t + (jnp.tanh(x @ p["w"]) * y).sum() * k, k * 0.5), t
    (t, _), ts = lax.scan(step, (0.0, 1.0), xs)
    return t + ts.mean()
""",
    "places that a table is read at": """
# gradgen: shape ids=(time,):int32 table=(k, n)
# gradgen: wrt table

def f(p, xs, y, ids, table):
    def step(v, i):
        v = 0.9 * v + table[i % table.shape[0]]
        return v, v
    return (lax.scan(step, y, ids)[1] ** 2).mean()
""",
    "a step that its input does not reach": """
def f(p, xs, y):
    def step(c, x):
        s, total = c
        return (jnp.tanh(s @ p["r"]), total + s @ p["r"]), None
    s, total = lax.scan(step, (y + p["b"], y), xs)[0]
    return (s**2).mean() + (total**2).mean()
""",
    "keys that are carried": """
# gradgen: shape key=():key

def f(p, xs, y, key):
    def step(c, x):
        v, k = c
        k, s = jax.random.split(k)
        v = 0.9 * v + (x @ p["w"]) * jax.random.bernoulli(s, 0.5, v.shape)
        return (v, k), v
    return (lax.scan(step, (jnp.zeros_like(y), key), xs)[1] ** 2).mean()
""",
    "a convolution in each step": """
# gradgen: shape im=(time, batch, 2, h, h) k=(3, 2, 3, 3)
# gradgen: wrt k

def f(p, xs, y, im, k):
    def step(v, x):
        v = 0.9 * v + lax.conv(x, k, (1, 1), "SAME")
        z = spike(v - 0.5)
        return v * (1.0 - z), z
    v = jnp.zeros((im.shape[1], 3, im.shape[3], im.shape[4]), im.dtype)
    return (lax.scan(step, v, im)[1].mean(0) ** 2).sum()
""",
    "convolutions layer after layer": """
# gradgen: shape im=(time, batch, 2, h, h) k=(3, 2, 3, 3) q=(2, 3, 3, 3) c=(3,)
# gradgen: wrt k, q, c, im

def f(p, xs, y, im, k, q, c):
    def conv(x, k):
        return lax.conv(x, k, (1, 1), "SAME")
    def step(s, x):
        u, v = s
        u = 0.9 * u + conv(x, k) + c[:, None, None]
        v = 0.8 * v + conv(jnp.tanh(u), q)
        return (u, v), v
    u = jnp.zeros((im.shape[1], 3, *im.shape[3:]), im.dtype)
    v = jnp.zeros((im.shape[1], 2, *im.shape[3:]), im.dtype)
    return (lax.scan(step, (u, v), im, reverse=True)[1] ** 2).sum()
""",
    "a convolution of what is carried": """
# gradgen: shape im=(time, batch, 2, h, h) k=(2, 2, 3, 3)
# gradgen: wrt k

def f(p, xs, y, im, k):
    def step(v, x):
        v = 0.5 * v + 0.1 * lax.conv(v, k, (1, 1), "SAME") + x
        return v, v
    return (lax.scan(step, jnp.zeros_like(im[0]), im)[1] ** 2).sum()
""",
    "products in steps within steps": """
def f(p, xs, y):
    def step(v, x):
        def substep(v, _):
            return 0.9 * v + 0.1 * jnp.tanh(v @ p["r"] + p["b"]) + x @ p["w"], None
        v, _ = lax.scan(substep, v, length=12)
        return v, v
    return ((lax.scan(step, _zeros(xs, p), xs)[1] - y) ** 2).mean()
""",
    "spikes that arrive later": """
# gradgen: shape delays=(n,):int32

def f(p, xs, y, delays):
    places = jnp.clip(delays, 0, 2)[None, None, :]
    def step(c, x):
        v, buffer = c
        z = jnp.take_along_axis(buffer, places, axis=0)[0]
        v = 0.9 * v + x @ p["w"] + z @ p["r"]
        return (v, jnp.concatenate([spike(v - 1.0)[None], buffer[:-1]])), v
    z = _zeros(xs, p)
    return ((lax.scan(step, (z, jnp.stack([z] * 3)), xs)[1] - y) ** 2).mean()
""",
    "a loss of each step, with weights over time": """
# gradgen: shape weights=(time,)

def f(p, xs, y, weights):
    def step(v, x):
        v = 0.9 * v + x @ p["w"]
        return v, jnp.tanh(v)
    hs = lax.scan(step, _zeros(xs, p), xs)[1]
    return ((weights[:, None, None] * (hs @ p["r"] - y)) ** 2).mean() + (hs * p["b"]).mean()
""",
    "a batch of losses": """
def f(p, xs, y):
    def one(b):
        def step(v, x):
            return 0.9 * v + jnp.tanh(x @ p["w"] + b), None
        return lax.scan(step, jnp.zeros_like(y), xs)[0]
    return (jax.vmap(one)(jnp.stack([p["b"], 2.0 * p["b"]])) ** 2).mean()
""",
}
"""All but the head, which is the same for all; f comes with a line of shapes of its own, if it has
more arguments."""


def loop_source(name: str) -> str:
    """The whole text of a source, but for the header that sources on arrays share."""
    own = LOOPS[name]
    wrt = "# gradgen: wrt" in own
    head = _HEAD.replace("# gradgen: wrt p\n", "") if wrt else _HEAD
    return head + own
