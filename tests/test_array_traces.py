"""Learning online on arrays: traces against backpropagation through time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_sources import HEADER
from compiling import run_compiled
from hypothesis import note
from learning_online import EMIT, Run, compare
from projects import gradgen
from random_runs import examples, run_shard
from test_arrays import pair
from trace_sources import COUPLED, UNCOUPLED
from trace_strategies import steps

from gradgen.compile.array_generation import generate_arrays, judge_arrays
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.targets.jax.render import render_arrays

SHARDS = 4
EXAMPLES = examples(8)

REPRESENTATIVES = {
    "feed-forward LIF",
    "hard reset",
    "transformed weights",
    "packed state",
    "convolution",
    "errors along axes whose size is a sum",
    "two layers",
    "a reciprocal of a size that errors meet",
}
"""Those of the normal run."""


def each(sources):
    return [
        name if name in REPRESENTATIVES else pytest.param(name, marks=pytest.mark.full)
        for name in sources
    ]


@pytest.mark.parametrize("name", each(UNCOUPLED))
def test_exact_without_coupling(name, tmp_path):
    with jax.enable_x64(True):
        run = Run(pair(tmp_path, UNCOUPLED[name], emit=EMIT))
        compare(run.online, run.through_time, run, 1e-12)


@pytest.mark.parametrize("name", each(COUPLED))
def test_full_is_exact(name, tmp_path):
    with jax.enable_x64(True):
        run = Run(pair(tmp_path, COUPLED[name], emit=EMIT, locality="full"))
        compare(run.online, run.through_time, run, 1e-10)


RECURRENT = """
# gradgen: shape v=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n) r=(n, n) o=(n, k)
# gradgen: wrt v, z, w, r, o
# gradgen: next v=0, z=1

def f(v, z, x, w, r, o):
    v = 0.9 * v - 0.5 * lax.stop_gradient(z) + x @ w + z @ r
    z = spike(v - 1.0)
    return v, z, z @ o
"""


def eprop(run):
    """The gradients of a recurrent layer by e-prop (Bellec et al. 2020), by hand."""

    def gradients(leaves):
        v, z, _, w, r, o = leaves
        e_w, e_r = jnp.zeros((v.shape[0], w.shape[0])), jnp.zeros_like(v)
        d_w, d_r, d_o = jnp.zeros_like(w), jnp.zeros_like(r), jnp.zeros_like(o)
        (xs,), (of_v, of_z, of_y) = run.drive, run.errors
        for x, error_v, error_z, error_y in zip(xs, of_v, of_z, of_y, strict=True):
            before = z
            v = 0.9 * v - 0.5 * z + x @ w + z @ r
            z = (v > 1.0) * 1.0
            e_w, e_r = 0.9 * e_w + x, 0.9 * e_r + before
            slope = 1.0 / (10.0 * jnp.abs(v - 1.0) + 1.0) ** 2
            signal = error_v + (error_z + error_y @ o.T) * slope
            d_w, d_r, d_o = d_w + e_w.T @ signal, d_r + e_r.T @ signal, d_o + z.T @ error_y
        return [d_w, d_r, d_o]

    return gradients


def test_neuron_is_eprop(tmp_path):
    with jax.enable_x64(True):
        made = pair(tmp_path, RECURRENT, emit=EMIT, locality="neuron")
        run = Run(made, steps=6)
        assert run.driven == [2]
        compare(run.online, eprop(run), run, 1e-12)
    found = made.generated.GRADGEN["traces"]
    line = 1 + (HEADER + RECURRENT).split("\n").index(RECURRENT.split("\n")[6])
    assert found["left_out"] == (f"z in line {line}",)
    assert found["held"]["v by w"] == "(batch, n_in)"
    assert found["held"]["v by r"] == "(batch, n)"
    assert "by --locality neuron: what goes from one neuron" in made.text
    assert f"to others by z in line {line}" in made.text.replace("\n# ", " ")


def test_layer_is_exact_within_a_layer(tmp_path):
    """Where the layer above has no memory, nothing is left out that counts."""
    text = COUPLED["two layers"].replace("0.8 * j", "0.0 * j").replace("0.9 * u + 0.1 * j", "j")
    with jax.enable_x64(True):
        run = Run(pair(tmp_path, text, emit=EMIT, locality="layer"))
        compare(run.online, run.through_time, run, 1e-12)
    assert "i by o" not in run.made.generated.GRADGEN["traces"]["held"]


@pytest.mark.parametrize(
    ("name", "due"),
    [
        ("feed-forward LIF", {"v by w": "(batch, n_in)", "i by w": "(batch, n_in)"}),
        ("adaptive LIF", {"v by w": "(batch, n_in)", "a by w": "(batch, n, n_in)"}),
        ("hard reset", {"v by w": "(batch, n, n_in)", "v by b": "(batch, n)"}),
        ("a mask in one argument with its weights", {"v by p.w": "(batch, n_in)"}),
        ("packed state in halves", {"y by w": "(batch, n_in)", "y by w, 2": "(batch, n_in)"}),
        ("convolution", {"v by w": "(batch, 5, 6, c, 3, 3)", "v by b": "()"}),
        pytest.param(
            "packed state",
            {"v by w": "(batch, n_in)", "a by w": "(batch, n, n_in)", "v by b": "()"},
            marks=pytest.mark.full,
        ),
        pytest.param(
            "a mask that may change", {"v by w": "(batch, n, n_in)"}, marks=pytest.mark.full
        ),
        pytest.param(
            "transformed weights",
            {"v by w": "(batch, n_in)", "v by u": "(batch, k)"},
            marks=pytest.mark.full,
        ),
    ],
)
def test_axes_of_traces(name, due, tmp_path):
    held = pair(tmp_path, UNCOUPLED[name], emit=EMIT).generated.GRADGEN["traces"]["held"]
    assert due.items() <= held.items()
    # a spike is computed of what has traces, and nothing is handed on twice
    assert not any(one.startswith("z by w") for one in held)
    assert not any("batch, n, n_in" in axes for axes in held.values() if axes not in due.values())


def test_errors_at_some_outputs_take_less(tmp_path):
    made = pair(tmp_path, UNCOUPLED["feed-forward LIF"], emit=EMIT)
    with jax.enable_x64(True):
        run = Run(made)
        primals = run.primals(run.leaves)
        traces = made.function("_traces_init")(primals)
        _, traces = made.function("_traces_step")(traces, primals)
        error = jnp.asarray(run.errors[2][0])
        pulled = made.function("_traces_vjp")
        zeros = jnp.zeros_like(error)
        (found,), (due,) = (
            pulled(traces, (None, None, error)),
            pulled(traces, (zeros, zeros, error)),
        )
        np.testing.assert_array_equal(found, due)

        def products(*errors):
            lowered = jax.jit(lambda traces, e: pulled(traces, (*errors, e))).lower(traces, error)
            return lowered.compile().as_text().count(" dot(")

        assert (products(zeros, zeros), products(None, None)) == (2, 1)
        with pytest.raises(ValueError, match="an error at one output at least"):
            pulled(traces, (None, None, None))
        with pytest.raises(ValueError, match="in the shape of output 2, not float64"):
            pulled(traces, (None, None, error[:, :1]))


SUMS = """
# gradgen: shape v=(k,) b=() s=(k, j) c=(j,)
# gradgen: wrt v, b

def f(v, b, s, c):
    v = 0.9 * v + b
    total = v.sum()
    return v, s + v[:, None], total + c, jnp.pad(v, (1, 0)), jnp.pad(total + c, (1, 1))
"""


def test_each_error_may_be_the_only_one(tmp_path):
    """What is handed on tells the sizes of the others, of axes that are sums too."""
    made = pair(tmp_path, SUMS, emit=EMIT)
    with jax.enable_x64(True):
        run = Run(made)
        primals = run.primals(run.leaves)

        def everything(primals):
            outputs, pull = jax.vjp(lambda b: made.source(primals[0], b, *primals[2:]), primals[1])
            traces = made.function("_traces_init")(primals)
            _, traces = made.function("_traces_step")(traces, primals)
            found, due = [], []
            for place in range(len(outputs)):
                alone = [jnp.ones_like(x) * (k == place) for k, x in enumerate(outputs)]
                due += pull(tuple(alone))
                found += made.function("_traces_vjp")(
                    traces, tuple(x if k == place else None for k, x in enumerate(alone))
                )
            return outputs, traces, found, due

        outputs, traces, found, due = run_compiled(everything, primals)
        assert len(found) == len(due) == len(outputs)
        for one, other in zip(found, due, strict=True):
            np.testing.assert_allclose(one, other)
        short = (None, None, None, jnp.ones_like(outputs[3])[1:], None)
        with pytest.raises(ValueError, match="in the shape of output 3"):
            made.function("_traces_vjp")(traces, short)


def test_memory_does_not_grow_with_time(tmp_path):
    made = pair(tmp_path, UNCOUPLED["feed-forward LIF"], emit=EMIT)

    def kept(steps):
        run = Run(made, (3, 4, 5), steps)
        drive = [jax.ShapeDtypeStruct(x.shape, "float32") for x in (*run.drive, *run.errors)]

        def online(leaves, drive):
            run.drive, run.errors = drive[:1], drive[1:]
            return run.online(leaves)

        leaves = [jnp.asarray(leaf, "float32") for leaf in run.leaves]
        compiled = jax.jit(online).lower(leaves, drive).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert kept(10) == kept(1_000)


def test_a_step_may_be_mapped_and_is_not_differentiated(tmp_path):
    made = pair(tmp_path, UNCOUPLED["hard reset"], emit=EMIT)
    run = Run(made, (3, 4, 5))
    primals = run.primals([jnp.asarray(leaf, "float32") for leaf in run.leaves])
    traces = made.function("_traces_init")(primals)
    step = made.function("_traces_step")
    two = jax.tree.map(lambda x: jnp.stack([x, 2.0 * x]), primals)
    mapped = run_compiled(jax.vmap(step, (None, 0)), traces, two)
    alone = run_compiled(step, traces, jax.tree.map(lambda x: x[1], two))
    for one, other in zip(jax.tree.leaves(mapped), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(one[1], other, rtol=1e-6)
    with pytest.raises(TypeError, match="derivative rules of its own"):
        jax.grad(lambda w: step(traces, (*primals[:3], w, primals[4]))[0][1].sum())(primals[3])


SMALL = """
# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n) r=(n, n) o=(n,)
# gradgen: wrt v, w, r, o

def f(v, x, w, r, o):
    v = 0.75 * v + x @ w + jnp.tanh(v) @ r
    return v, v * o
"""


@pytest.mark.parametrize(
    ("locality", "right", "wrong"),
    [
        ("neuron", "", ""),
        ("neuron", "0.75 * v_by_w", "0.5 * v_by_w"),
        ("neuron", "v_by_w_new.T @", "2.0 * v_by_w_new.T @"),
        pytest.param("full", "", "", marks=pytest.mark.full),
        pytest.param("full", " + 0.75 * v_by_r", " - 0.75 * v_by_r", marks=pytest.mark.full),
    ],
)
def test_a_wrong_trace_is_found(locality, right, wrong, tmp_path):
    path = tmp_path / "model.py"
    path.write_text(HEADER + SMALL)
    front = open_front(Settings(str(path), emit=("traces",), locality=locality))
    module = array_module(front)
    text = render_arrays(module)
    assert right in text
    found = judge_arrays(
        front, module, text.replace(right, wrong, 1) if right else text, quick=True
    )
    assert found.exact == (right == wrong)


PACKED = """
# gradgen: shape y=(batch, n, 2) x=(batch, m) w=(m, n) r=(n, n)
# gradgen: wrt y, w, r
# gradgen: next y=0

def f(y, x, w, r):
    v, z = y[..., 0], y[..., 1]
    v = 0.9 * v + x @ w + z @ r
    z = spike(v - 1.0)
    return jnp.stack([v, z], -1), z
"""
HALVES = (
    PACKED.replace("(batch, n, 2)", "(batch, 2*n)")
    .replace("y[..., 0], y[..., 1]", "jnp.split(y, 2, -1)")
    .replace("jnp.stack([v, z], -1)", "jnp.concatenate([v, z], -1)")
)
CONVOLUTIONS = """
# gradgen: shape v=(batch, c, h) u=(batch, k, h) x=(batch, d, h) a=(c, d, 3) b=(k, c, 3)
# gradgen: wrt v, u, a, b
# gradgen: next v=0, u=1

def f(v, u, x, a, b):
    v = 0.9 * v + lax.conv_general_dilated(x, a, (1,), "SAME")
    z = spike(v - 1.0)
    u = 0.9 * u + lax.conv_general_dilated(z, b, (1,), "SAME")
    return v, u, spike(u - 1.0)
"""


TWO_DIMENSIONAL = """
# gradgen: shape v=(batch, c, 8, 8) u=(batch, k, 4, 4) x=(batch, 2, 8, 8)
# gradgen: shape a=(c, 2, 3, 3) b=(k, c, 3, 3)
# gradgen: wrt v, u, a, b
# gradgen: next v=0, u=1

def f(v, u, x, a, b):
    v = 0.9 * v + lax.conv_general_dilated(x, a, (1, 1), "SAME")
    u = 0.9 * u + lax.conv_general_dilated(spike(v - 1.0), b, (2, 2), "SAME")
    return v, u, spike(u - 1.0)
"""
DENSE = """
# gradgen: shape v=(batch, 4, 6) u=(batch, 7) x=(batch, 3, 6) a=(4, 3, 3) w=(24, 7)
# gradgen: wrt v, u, a, w
# gradgen: next v=0, u=1

def f(v, u, x, a, w):
    v = 0.9 * v + lax.conv_general_dilated(x, a, (1,), "SAME")
    u = 0.9 * u + spike(v - 1.0).reshape(v.shape[0], -1) @ w
    return v, u, spike(u - 1.0)
"""
APART = DENSE.replace("(24, 7)", "(4, 6, 7)").replace(
    "spike(v - 1.0).reshape(v.shape[0], -1) @ w",
    "jnp.einsum('bch,chk->bk', spike(v - 1.0), w)",
)
LATE = """
# gradgen: shape d=(5, batch, n) v=(batch, n) x=(batch, m) w=(m, n) r=(n, n)
# gradgen: wrt d, v, w, r
# gradgen: next d=0, v=1

def f(d, v, x, w, r):
    v = 0.9 * v + x @ w + d[-1] @ r
    z = spike(v - 1.0)
    return jnp.roll(d, 1, 0).at[0].set(z), v, z
"""


def test_parts_of_a_delay_line_are_parts_of_a_neuron(tmp_path):
    """A slice of four steps, in a source with four axes in its shapes, is none of these axes."""
    path = tmp_path / "model.py"
    path.write_text(HEADER + LATE)
    front = open_front(Settings(str(path), emit=("traces",), locality="neuron"))
    module = array_module(front)
    assert judge_arrays(front, module, render_arrays(module), quick=True).exact


@pytest.mark.full
@pytest.mark.parametrize(
    ("text", "locality"),
    [
        (TWO_DIMENSIONAL, "neuron"),
        (APART, "auto"),
        (COUPLED["two layers"], "full"),
        (COUPLED["two layers"], "layer"),
        (COUPLED["two layers"], "neuron"),
        (PACKED, "full"),
        (PACKED, "neuron"),
        (HALVES, "neuron"),
        (CONVOLUTIONS, "neuron"),
        (UNCOUPLED["convolution"], "auto"),
        (UNCOUPLED["a delay line"], "auto"),
        (UNCOUPLED["packed state that is also read as a whole"], "auto"),
    ],
)
def test_verifies(text, locality, tmp_path):
    path = tmp_path / "model.py"
    path.write_text(HEADER + text)
    front = open_front(Settings(str(path), emit=EMIT, locality=locality))
    assert generate_arrays(front, lambda what: None).report.exact


def test_what_is_never_formed_may_be_left_out(tmp_path):
    """Of two convolutions, the lower one's effects through the memory of the upper one."""
    with jax.enable_x64(True):
        text = CONVOLUTIONS.replace("0.9 * u", "0.0 * u")
        run = Run(pair(tmp_path, text, emit=EMIT, locality="neuron"))
        compare(run.online, run.through_time, run, 1e-12)
    assert run.made.generated.GRADGEN["traces"]["held"]["v by a"] == "(batch, h, d, 3)"


RING = UNCOUPLED["a delay line with a pointer"].replace(
    "d[k]", "lax.dynamic_index_in_dim(d, k, keepdims=False)"
)
NUMBERS = TWO_DIMENSIONAL.replace("c, ", "3, ").replace("k, ", "2, ")


@pytest.mark.parametrize(
    ("text", "locality", "message", "hint"),
    [
        (
            TWO_DIMENSIONAL,
            "auto",
            "couples neurons through its state, by v in line 26: which of that",
            "--locality neuron keeps nothing of it: 576*batch*c + 4608*batch = 2,654,208 bytes; "
            "--locality full cannot be had: the influence matrix, 576*batch*c*k*k + "
            "4608*batch*c*c + 1152*batch*c*k = 11,173,625,856 bytes, goes through conv, which is "
            "never stored (in float32)",
        ),
        (
            TWO_DIMENSIONAL,
            "full",
            "the trace of 1 by a goes through conv",
            "--locality neuron leaves it out, by name: 576*batch*c + 4608*batch = 2,654,208 bytes",
        ),
        (NUMBERS, "auto", "the trace of 1 by a goes through conv", "give the channels"),
        (
            DENSE,
            "auto",
            "the trace of 1 by a goes through reshape",
            "keep the axes apart, as jnp.e",
        ),
        (RING, "auto", "the trace of 0 by d goes through dynamic_slice", "read one place as d[k]"),
    ],
    ids=["coupled", "full", "numbers", "reshape", "ring"],
)
def test_refused_with_what_can_be_had(text, locality, message, hint, tmp_path):
    with pytest.raises(GradgenError) as refused:
        pair(tmp_path, text, emit=EMIT, locality=locality)
    assert message in str(refused.value)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("text", "locality"),
    [
        (APART, "auto"),
        pytest.param(
            *(TWO_DIMENSIONAL.replace("0.9 * u", "0.0 * u"), "neuron"), marks=pytest.mark.full
        ),
    ],
    ids=["axes apart", "channels with names"],
)
def test_what_is_offered_instead_is_exact(text, locality, tmp_path):
    with jax.enable_x64(True):
        run = Run(pair(tmp_path, text, emit=EMIT, locality=locality), (2, 3, 2, 4))
        compare(run.online, run.through_time, run, 1e-12)


def test_any_number_of_axes_in_front(tmp_path):
    text = SMALL.replace("v=(batch, n) x=(batch, m)", "v=(..., n) x=(..., m)")
    text = text.replace(" + jnp.tanh(v) @ r", " + o")
    made = pair(tmp_path, text, emit=EMIT)
    random = np.random.default_rng(0)
    v, x, w, r, o = (
        jnp.asarray(random.normal(size=shape), "float32")
        for shape in ((2, 3, 4), (2, 3, 5), (5, 4), (4, 4), (4,))
    )

    def learned(v, x):
        primals = v, x, w, r, o
        traces = made.function("_traces_init")(primals)
        result, traces = made.function("_traces_step")(traces, primals)
        return made.function("_traces_vjp")(traces, result)

    found = run_compiled(learned, v, x)
    due = run_compiled(learned, v.reshape(6, 4), x.reshape(6, 5))
    for one, other in zip(found, due, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_step_of_one_neuron_has_no_locality(tmp_path):
    path = tmp_path / "model.py"
    path.write_text("def step(v, x):\n    v = 0.9 * v + x\n    return v\n")
    with pytest.raises(GradgenError, match="'step' is the step of one neuron"):
        open_front(Settings(str(path), emit=EMIT, locality="full"))


BEFORE = "# gradgen: shape v=(batch, n) x=(batch, n) w=(n, n)\nimport jax.numpy as jnp\n\n\n"


@pytest.mark.parametrize(
    ("text", "more", "message", "hint"),
    [
        (
            "def f(v, x, w):\n    v = 0.9 * v + x @ w + jnp.tanh(v) @ w\n    return v\n",
            (),
            "model.py:6:27: error: 'f' couples neurons through its state, by v in line 6",
            "--locality full keeps all, and is exact: ",
        ),
        (
            "def f(v, x, w):\n    v = 0.9 * v + x * w[0]\n    return v\n",
            ("--shape", "v=(..., n)", "--shape", "x=(..., n)"),
            "'x' has the axes that `...` stands for, and cannot be learned online",
            "--wrt v,w",
        ),
        (
            "def f(v, x, w):\n    v = 0.9 * v + jnp.sort(x * w[0], axis=1)\n    return v\n",
            ("--wrt", "v,w"),
            "model.py:6:19: error: the trace of out by w goes through sort",
            "leave traces out of --emit",
        ),
        (
            "import jax\n\ndef f(v, x, w):\n    k = w[:3, :3][:, None]\n"
            "    y = jax.lax.conv_general_dilated(jnp.tanh(v[:, None]), k, (1,), 'SAME')\n"
            "    v = y.mean(1) + x\n    return v\n",
            ("--wrt", "v,w", "--locality", "full"),
            "error: the trace of out by v goes through conv",
            "--locality neuron leaves it out, by name",
        ),
        (
            "def f(v, x, w):\n    v = 0.9 * v + x @ w\n    return v\n",
            ("--wrt", "v"),
            "nothing is learned: of 'f', only its state is differentiated",
            "--wrt v,x,w",
        ),
        (
            "def f(v, x, w):\n    v = 0.9 * v + x @ w\n    return v\n",
            ("--wrt", "w"),
            "'v' is state that is held constant",
            "--wrt w,v",
        ),
        (
            "# gradgen: next v=0\ndef f(v, x, w):\n    return (0.9 * v + x @ w).sum(0), x\n",
            (),
            "the state 'v' has the shape (batch, n), and its next value (n,)",
            "# gradgen: next v=0",
        ),
    ],
    ids=[
        "coupled",
        "axes in front",
        "never formed",
        "never formed, but left out",
        "nothing learned",
        "constant state",
        "another shape",
    ],
)
def test_refused(text, more, message, hint, tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(BEFORE + text)
    monkeypatch.chdir(tmp_path)
    refused = gradgen("model.py", "-o", "out.py", "--emit", "f,traces", *more)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert hint in refused.stderr
    assert not (tmp_path / "out.py").exists()


def test_what_is_called_like_an_argument_of_another_shape_is_no_state(tmp_path):
    text = (
        "# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n)\n"
        "def f(v, x, w):\n    v = 0.9 * v + x @ w\n    x = jnp.tanh(v).sum(-1)\n    return v, x\n"
    )
    with jax.enable_x64(True):
        made = pair(tmp_path, text, emit=EMIT)
        assert made.front.trace.recurrence == (("v", "0"),)
        run = Run(made, (2, 3, 2, 4))
        compare(run.online, run.through_time, run, 1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "shard", [0, *(pytest.param(k, marks=pytest.mark.full) for k in range(1, SHARDS))]
)
def test_random_steps(shard: int) -> None:
    """`full` is exact for random steps, through time; where neurons are coupled, too.

    GRADGEN_EXAMPLES=300 pytest tests/test_array_traces.py -k random --full    # others in each run
    """
    passed: set[str] = set()

    def one(text: str) -> None:
        if text in passed:
            return
        note(text)
        with tempfile.TemporaryDirectory() as folder, jax.enable_x64(True):
            run = Run(pair(Path(folder), text, emit=EMIT, locality="full"), (2, 3, 4, 5))
            compare(run.online, run.through_time, run, 1e-10)
        passed.add(text)
        if len(passed) % 100 == 0:
            jax.clear_caches()

    run_shard(one, steps(), shard, SHARDS, EXAMPLES)
