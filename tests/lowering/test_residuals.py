"""What is kept between the passes: the least there is, and enough."""

from __future__ import annotations

from itertools import chain, combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import (
    MODELS,
    REPRESENTATIVES,
    ROOT,
    STYLES,
    each,
    generate,
    generate_text,
    run_text,
)
from test_generated_interface import is_float

from gradgen.compile.front import Front, open_front, ranges_of
from gradgen.config import Settings
from gradgen.ir.program import count_operations
from gradgen.lowering.residuals import split
from gradgen.verify.recount import recount

FILES = pytest.mark.parametrize("path", each(*MODELS, *STYLES))
NEXT = "# gradgen: next v=0, w=1"
CHOICES = ("auto", "inputs", "entries", "JAX")


@FILES
def test_both_passes_are_the_whole_program(path):
    generated = generate(path)
    module, trace = generated.module, generated.front.trace
    products = (module.vjp.chosen.program, module.vjp.forward.program)
    found = {choice: split(products, trace, choice) for choice in CHOICES}
    for passes in found.values():
        passes.forward.check()
        passes.backward.check()
        # nothing is read that is not kept, and what is computed is the same code
        whole = {i.target: i for i in passes.whole.instructions}
        assert all(whole[i.target] == i for i in passes.forward.instructions)
        assert all(whole[i.target] == i for i in passes.backward.instructions)
        assert passes.backward.results == passes.whole.results
    auto = found["auto"]
    assert auto.bytes == min(passes.bytes for passes in found.values())
    backward = {k: count_operations(p.backward.instructions).total for k, p in found.items()}
    assert backward["JAX"] <= backward["inputs"]


@pytest.mark.parametrize(
    "step",
    [
        "return jnp.sin(v * w) * jnp.exp(v), w * x",
        "a = v * w\n    return a * a * x, jnp.tanh(w)",
        "return jnp.where(v > 1.0, jnp.exp(v) * w, v * x), w",
        "a = jnp.exp(v)\n    b = jnp.tanh(a * x)\n    return a * b, b * w * gain",
        "z = (v > 0.5).astype(v.dtype)\n    return v * z * w, w * w * z",
    ],
)
def test_no_other_choice_keeps_less(tmp_path, step):
    text = f"import jax.numpy as jnp\n{NEXT}\ndef step(v, w, x, gain=2.0):\n    {step}\n"
    generated = generate_text(tmp_path, text)
    trace, whole = generated.front.trace, generated.module.vjp.chosen.program
    auto = split([whole], trace, "auto")
    inputs = {i.variable: i.path for i in trace.inputs}
    late = set(whole.inputs) - inputs.keys()
    for instruction in whole.instructions:
        if not late.isdisjoint(instruction.variables):
            late.add(instruction.target)
    early = [i for i in whole.instructions if i.target not in late]
    read = {v for i in whole.instructions if i.target in late for v in i.variables}
    needed = (read | {a for _, a in whole.results if isinstance(a, str)}) - late
    changing = {v for v, path in inputs.items() if path in ("v", "w", "x")}
    for instruction in early:
        if not changing.isdisjoint(instruction.variables):
            changing.add(instruction.target)
    charged = changing - {v for v, path in inputs.items() if path == "x"}
    size = dict.fromkeys(charged, 4)
    size |= {i.target: 1 for i in early if i.dtype == "bool" and i.target in charged}
    values = [v for v in (*inputs, *(i.target for i in early)) if v in charged]
    least = min(
        sum(size[v] for v in kept)
        for kept in subsets(values)
        if computable(early, needed, {*kept, *inputs} - (charged - set(kept)))
    )
    assert auto.bytes == least


def subsets(values):
    return chain.from_iterable(combinations(values, n) for n in range(min(len(values), 4) + 1))


def computable(code, needed, known):
    """Whether everything needed follows from what is known."""
    known = set(known)
    for instruction in code:
        if known.issuperset(instruction.variables):
            known.add(instruction.target)
    return known.issuperset(needed)


def simulation(front: Front, dtype):
    """A loss over time, of the state at the start and of the inputs at each step."""
    trace, ranges = front.trace, ranges_of(front)
    random = np.random.default_rng(0)
    state = {path for path, _ in trace.recurrence}
    places = {o.path: k for k, o in enumerate(trace.outputs)}
    following = {path: places[output] for path, output in trace.recurrence}
    start, driven, shared = {}, {}, {}
    for i in trace.inputs:
        low, high = ranges.get(i.path, (0.1, 0.9))
        middle = (low + high) / 2
        kind = dtype if i.dtype == "float" else i.dtype
        if i.path in state:
            start[i.path] = jnp.asarray(random.uniform(middle, high, 3), kind)
        elif i.wrt:
            # weakly, since no precision lasts for long where gradients explode
            weak = low + 0.3 * (high - low)
            driven[i.path] = jnp.asarray(random.uniform(low, weak, (STEPS, 3)), kind)
        else:
            shared[i.path] = jnp.asarray(middle, kind)
    paths = [i.path for i in trace.inputs]

    def loss(function, start, driven):
        def body(state, xs):
            now, weight = xs
            leaves = {**state, **now, **shared}
            positional, keyword = front.signature.bind([leaves[p] for p in paths])
            outputs = jax.tree.leaves(function(*positional, **keyword))
            total = sum(
                (k + 1) * jnp.mean(weight * out) for k, out in enumerate(outputs) if is_float(out)
            )
            return {p: outputs[k] for p, k in following.items()}, total

        weights = jnp.cos(jnp.arange(STEPS)).astype(dtype)
        return jnp.sum(jax.lax.scan(body, start, (driven, weights))[1])

    return loss, start, driven


STEPS = 1000
EVERY_MODEL = sorted((ROOT / "models").glob("[a-z]*.py"))
TRAINED = [p for p in MODELS if p.stem in ("alif", "cuba_lif_state", "glif", "lif", "morris_lecar")]


def gradient(loss, function, start, driven, *, wrap=lambda f: f):
    floats = {p: x for p, x in start.items() if is_float(x)}
    rest = {p: x for p, x in start.items() if not is_float(x)}
    of = wrap(lambda chosen, driven: loss(function, {**chosen, **rest}, driven))
    return jax.jit(jax.grad(of, (0, 1)))(floats, driven)


def assert_close(found, wanted, tolerance):
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
        one, two = np.asarray(one, float), np.asarray(two, float)
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance * np.abs(two).max())


def in_float64(front, start, driven):
    """The source's gradient at the same numbers."""
    with jax.enable_x64(True):
        loss = simulation(front, "float64")[0]
        exact = [
            {p: jnp.asarray(x, "float64") if is_float(x) else x for p, x in values.items()}
            for values in (start, driven)
        ]
        return gradient(loss, front.function, *exact)


def difference(found, wanted):
    """The largest, relative to the largest number beside it."""
    both = ([np.asarray(x, float) for x in jax.tree.leaves(tree)] for tree in (found, wanted))
    pairs = zip(*both, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs if np.any(b))


LONG_TRAINED = REPRESENTATIVES | {"adex", "hodgkin_huxley", "resonate_and_fire", "stdp", "theta"}
"""What the normal run takes over a thousand steps."""
LONG = [
    *((p, "auto", "float64") for p in each(*EVERY_MODEL, representatives=LONG_TRAINED)),
    *((p, "auto", "float32") for p in each(*TRAINED, representatives=("lif", "morris_lecar"))),
    *((p, choice, "float64") for choice in CHOICES[1:] for p in each(*TRAINED, representatives=())),
]


@pytest.mark.parametrize(
    ("path", "residuals", "dtype"),
    [
        pytest.param(*p.values, choice, dtype, id=f"{p.id}-{choice}-{dtype}", marks=p.marks)
        for p, choice, dtype in LONG
    ],
)
def test_gradients_after_a_thousand_steps(path, residuals, dtype):
    if residuals == "auto":
        front = open_front(Settings(str(path)))
        committed = ROOT / "generated" / f"{path.stem}_grad.py"  # which is what would be made now
        running = run_text(committed.read_text(encoding="utf-8"))
        step = getattr(running, front.source.name)
    else:
        generated = generate(path, residuals=residuals)
        front, step = generated.front, generated.function()
    with jax.enable_x64(dtype == "float64"):
        loss, start, driven = simulation(front, dtype)
        wanted = gradient(loss, front.function, start, driven)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(wanted))
        assert any(np.any(x) for x in jax.tree.leaves(wanted))
        found = gradient(loss, step, start, driven)
    if dtype == "float32" and difference(found, wanted) > 1e-5:
        # rounding grows with time, by as much in JAX's own gradient
        exact = in_float64(front, start, driven)
        assert difference(found, exact) < 2.0 * difference(wanted, exact) < 1e-4
    else:
        assert_close(found, wanted, {"float64": 1e-12, "float32": 1e-5}[dtype])


@pytest.mark.parametrize("path", each(*TRAINED, representatives=("alif", "cuba_lif_state")))
def test_under_transformations(path):
    generated = generate(path)
    with jax.enable_x64(True):
        loss, start, driven = simulation(generated.front, "float64")
        wanted = gradient(loss, generated.source, start, driven)
        step = generated.function()
        assert_close(gradient(loss, jax.checkpoint(step), start, driven), wanted, 1e-12)
        assert_close(gradient(loss, step, start, driven, wrap=jax.checkpoint), wanted, 1e-12)
        other = jax.tree.map(lambda x: x[..., ::-1], (start, driven))
        many = jax.tree.map(lambda *both: jnp.stack(both), (start, driven), other)
        mapped = jax.vmap(lambda s, d: gradient(loss, step, s, d))(*many)
        assert_close(jax.tree.map(lambda x: x[0], mapped), wanted, 1e-12)
        wanted = gradient(loss, generated.source, *other)
        assert_close(jax.tree.map(lambda x: x[1], mapped), wanted, 1e-12)


PRECISIONS = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 0.1}
"""And how close gradients are in each."""


@pytest.mark.parametrize(
    ("residuals", "dtype"),
    [
        pytest.param(
            choice,
            dtype,
            marks=() if choice == "auto" or dtype == "float64" else pytest.mark.full,
        )
        for choice in CHOICES
        for dtype in PRECISIONS
    ],
)
def test_learned_parameters(residuals, dtype):
    """A decay for each neuron and one threshold for all, against a batch of inputs."""
    path = next(p for p in MODELS if p.stem == "lif")
    generated = generate(path, ("wrt", "U, I, S, a, th"), residuals=residuals)

    def loss(step, parameters, inputs):
        def body(state, x):
            *state, spike = step(*state, x, a=parameters["a"], th=parameters["th"])
            return tuple(state), jnp.sum(spike)

        start = jnp.zeros(inputs.shape[1:], inputs.dtype)
        return jnp.sum(jax.lax.scan(body, (start, start), inputs)[1])

    def gradients(step, dtype, steps):
        decays = jnp.linspace(0.85, 0.95, 4, dtype=dtype)
        parameters = {"a": decays, "th": jnp.asarray(0.4, dtype)}
        inputs = 4.0 * jnp.asarray(np.random.default_rng(0).uniform(size=(steps, 3, 4)), dtype)
        value = jax.value_and_grad(lambda p, x: loss(step, p, x), (0, 1))
        return jax.jit(value)(parameters, inputs)

    with jax.enable_x64(dtype == "float64"):
        steps = 20 if dtype == "bfloat16" else STEPS
        wanted = gradients(generated.source, dtype, steps)
        assert wanted[1][0]["a"].shape == (4,)
        assert wanted[1][0]["th"].shape == ()
        assert all(np.any(np.asarray(x, float)) for x in jax.tree.leaves(wanted))
        assert_close(gradients(generated.function(), dtype, steps), wanted, PRECISIONS[dtype])


@pytest.mark.parametrize("path", each(*TRAINED, representatives=("alif", "cuba_lif_state")))
def test_memory_is_what_is_stated(path):
    generated = generate(path)
    loss, start, driven = simulation(generated.front, "float32")
    wide = jax.tree.map(
        lambda x: jnp.broadcast_to(x[..., :1], (*x.shape[:-1], 4096)), (start, driven)
    )

    def temporary(function):
        floats = {p: x for p, x in wide[0].items() if is_float(x)}
        rest = {p: x for p, x in wide[0].items() if not is_float(x)}
        of = lambda chosen, driven: loss(function, {**chosen, **rest}, driven)  # noqa: E731
        compiled = jax.jit(jax.grad(of, (0, 1))).lower(floats, wide[1]).compile()
        return compiled.memory_analysis().temp_size_in_bytes / (STEPS * 4096)

    found = temporary(generated.function())
    assert found <= generated.module.passes.bytes + 0.5
    assert found <= 1.05 * temporary(generated.source) + 0.1
    assert found <= 1.05 * temporary(jax.checkpoint(generated.source)) + 0.1


def test_nothing_is_kept_of_a_linear_step(tmp_path):
    generated = generate_text(tmp_path, "def step(v, x):\n    return 0.5 * v + x\n")
    assert generated.module.passes.bytes == 0
    step = generated.function()
    assert jax.grad(lambda v: step(v, 1.0))(2.0) == 0.5


def test_the_bytes_are_in_the_record():
    generated = generate(next(p for p in MODELS if p.stem == "alif"))
    counts = generated.running.GRADGEN["counts"]
    counted = recount(generated.text)
    for name, function in (("residuals", "_residuals"), ("backward", "_cotangents")):
        stated = {key: n for key, n in counts[name].items() if key != "kept"}
        assert counted[function].differs_from(stated) is None
    _, pull = jax.vjp(generated.function(), *[jnp.zeros(1024, jnp.float32)] * 3)
    saved = [leaf.nbytes for leaf in jax.tree.leaves(pull) if jnp.shape(leaf) == (1024,)]
    # the inputs that a step would keep are its state, U and A: S is there for every step anyway
    assert counts["residuals"]["kept"] == {"bytes": sum(saved) / 1024, "inputs": 2 * 4}


@pytest.mark.parametrize(
    ("directive", "carried"),
    [("", "4 for all that a scan carries: v"), (NEXT, "8 for all that a scan carries: v, w")],
)
def test_the_header_names_what_is_carried(tmp_path, directive, carried):
    """So that one sees that `w` was not recognised, which is then taken to be driven."""
    text = (
        f"{directive}\ndef step(v, w, x):\n"
        "    v_next = v * w + x\n    adaptation = w * v\n    return v_next, adaptation\n"
    )
    header = generate_text(tmp_path, text).text.partition('"""')[0]
    assert carried in " ".join(header.replace("#", "").split())


def test_what_is_not_differentiated_costs_nothing(tmp_path):
    text = (
        "# gradgen: next v=0, u=1\n# gradgen: wrt v, u, x, w\n"
        "def step(v, u, x, w=0.5):\n    return 0.9 * v + w * u, 0.9 * u + x\n"
    )
    generated = generate_text(tmp_path, text)
    assert generated.module.passes.bytes == 4  # the cotangent of w reads u

    def loss(start, w, inputs):
        def body(state, x):
            return generated.function()(*state, x, w), None

        return jnp.sum(jax.lax.scan(body, (start, start), inputs)[0][0])

    arguments = jnp.zeros(4096), jnp.full(4096, 0.5), jnp.zeros((STEPS, 4096))
    by_state, by_weight = (
        jax.jit(jax.grad(loss, k)).lower(*arguments).compile().memory_analysis().temp_size_in_bytes
        for k in (0, 1)
    )
    assert by_weight >= 4 * STEPS * 4096
    assert by_state < 0.1 * by_weight


def test_twice_where_only_truth_values_are_kept(tmp_path):
    text = (
        "import jax\nimport jax.numpy as jnp\n\n\n@jax.custom_jvp\ndef spike(x):\n"
        "    return jnp.where(x > 0, 1.0, 0.0)\n\n\n@spike.defjvp\ndef _rule(p, t):\n"
        "    (x,), (dx,) = p, t\n    return spike(x), dx * (spike(x + 0.5) - spike(x - 0.5))\n\n\n"
        "# gradgen: next v=0\ndef step(v, x):\n    u = 0.9 * v + x\n    return u, spike(u - 1.0)\n"
    )
    step = generate_text(tmp_path, text).function()
    assert jax.grad(lambda v: step(v, 0.2)[1])(1.0) == pytest.approx(0.9)
    with pytest.raises(TypeError):
        jax.grad(jax.grad(lambda v: step(v, 0.2)[1]))(1.0)


def test_leaves_are_called_as_they_like(tmp_path):
    text = "def step(outputs, kept, primals):\n    return outputs * kept + primals\n"
    step = generate_text(tmp_path, text).function()
    assert jax.grad(step, (0, 1, 2))(2.0, 3.0, 4.0) == (3.0, 2.0, 1.0)


def test_arguments_are_called_as_they_like(tmp_path):
    text = (
        "from typing import NamedTuple\nimport jax\nclass State(NamedTuple):\n    v: jax.Array\n"
        "def step(leaves: State, types: State):\n"
        "    return State(0.9 * leaves.v + types.v), leaves.v\n"
    )
    generated = generate_text(tmp_path, text)
    state = generated.source.__globals__["State"]
    jacobian = generated.function("jacobian")(state(1.0), state(2.0))
    assert jacobian == (state((state(0.9), state(1.0))), (state(1.0), state(0.0)))
