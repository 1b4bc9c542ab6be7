"""The models themselves, without gradgen: shapes, ranges, derivatives and some physics."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import each
from jax.extend import core as jax_core

ROOT = Path(__file__).resolve().parent.parent
STYLES = ROOT / "tests" / "styles"

# file -> step function
MODELS = {
    "adex": "adex_step",
    "alif": "alif_step",
    "alif_multi": "alif_multi_step",
    "coba_lif": "coba_lif_step",
    "cuba_lif_refractory": "cuba_lif_refractory_step",
    "cuba_lif_state": "cuba_lif_step",
    "eif": "eif_step",
    "fitzhugh_nagumo": "fitzhugh_nagumo_step",
    "glif": "glif_step",
    "glif_multi": "glif_multi_step",
    "hodgkin_huxley": "hodgkin_huxley_step",
    "izhikevich": "izhikevich_step",
    "lif": "lif_step",
    "lif_2023": "lif_2023_step",
    "lif_reset": "lif_reset_step",
    "lif_traces": "lif_traces_step",
    "morris_lecar": "morris_lecar_step",
    "qif": "qif_step",
    "resonate_and_fire": "resonate_and_fire_step",
    "srm0": "srm0_step",
    "stdp": "stdp_step",
    "theta": "theta_step",
    "traub_miles": "traub_miles_step",
    "tsodyks_markram": "tsodyks_markram_step",
    "two_compartment": "two_compartment_step",
    "wang_buzsaki": "wang_buzsaki_step",
}

# what the arguments without a default are made of, where they are no scalars
CONTAINERS = {
    "alif_multi": lambda module: {"state": [0, [0, 0], 0]},
    "coba_lif": lambda module: {"state": module.CobaLIFState(*[0] * 4)},
    "cuba_lif_refractory": lambda module: {"x": (0, 0), "state": (0, 0, 0, 0)},
    "cuba_lif_state": lambda module: {"state": module.CubaLIFState(*[0] * 3)},
    "glif_multi": lambda module: {"state": module.GlifMultiState(0, (0, 0, 0), (0, 0, 0))},
    "lif_traces": lambda module: {"state": module.LIFTracesState(*[0] * 4)},
    "srm0": lambda module: {"state": (0, 0, 0)},
    "two_compartment": lambda module: {"state": module.TwoCompartmentState(*[0] * 5)},
}
INTEGERS = {"coba_lif": {"state.wait"}}


def load(path: Path):
    name = f"{path.parent.name}_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


def step_of(model: str):
    return getattr(load(ROOT / "models" / f"{model}.py"), MODELS[model])


def stated_ranges(model: str) -> dict[str, tuple[float, float]]:
    text = (ROOT / "models" / f"{model}.py").read_text()
    ranges = {}
    for line in re.findall(r"# gradgen: range (.*)", text):
        for name, low, high in re.findall(r"([\w.]+)=([-+.\deE]+):([-+.\deE]+)", line):
            assert name not in ranges, f"{model}: the range of {name} is stated twice"
            ranges[name] = (float(low), float(high))
    return ranges


def dotted(name: str, path) -> str:
    """The path of a leaf of an argument, as directives write it: params.tau, state.0."""
    return ".".join([name, *re.findall(r"\w+", jax.tree_util.keystr(path))])


def draw(model: str, shape=(), seed=0):
    """Arguments of the step, drawn uniformly from the ranges that the model states."""
    rng = np.random.default_rng(seed)
    ranges = stated_ranges(model)

    def sample(path):
        low, high = ranges[path]
        if path in INTEGERS.get(model, ()):
            return jnp.asarray(rng.integers(low, high, shape, endpoint=True), jnp.int32)
        return jnp.asarray(rng.uniform(low, high, shape), jnp.float32)

    module = load(ROOT / "models" / f"{model}.py")
    containers = CONTAINERS.get(model, lambda module: {})(module)
    return tuple(
        jax.tree_util.tree_map_with_path(
            lambda path, _, name=name: sample(dotted(name, path)),
            containers.get(name, 0 if p.default is p.empty else p.default),
        )
        for name, p in inspect.signature(step_of(model)).parameters.items()
    )


def floats(tree) -> list[jax.Array]:
    """The leaves that are floats."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def both_modes(model: str, args):
    """The terms of cotangent * Jacobian * tangent for each neuron, forward and reverse."""
    rng = np.random.default_rng(5)
    leaves, tree = jax.tree.flatten(args)

    def of_floats(*values):
        fresh = iter(values)
        everything = [next(fresh) if floats(leaf) else leaf for leaf in leaves]
        return floats(step_of(model)(*jax.tree.unflatten(tree, everything)))

    def directions(values):
        return [jnp.asarray(rng.uniform(0.5, 1.5, v.shape), v.dtype) for v in values]

    primals = floats(leaves)
    tangents = directions(primals)
    outputs, pushed = jax.jvp(of_floats, primals, tangents)
    cotangents = directions(outputs)
    pulled = jax.vjp(of_floats, *primals)[1](cotangents)
    return (
        jnp.array([c * t for c, t in zip(cotangents, pushed, strict=True)]),
        jnp.array([c * t for c, t in zip(pulled, tangents, strict=True)]),
    )


def assert_close(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def all_finite(tree) -> bool:
    return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))


def test_every_model_is_listed():
    assert {path.stem for path in (ROOT / "models").glob("*.py")} == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_docstrings(model):
    module = load(ROOT / "models" / f"{model}.py")
    for section in ("Equations", "Units:", "References:", "doi:"):
        assert section in module.__doc__
    step = step_of(model)
    assert "Args:" in step.__doc__
    assert "Returns:" in step.__doc__
    for name in inspect.signature(step).parameters:
        assert re.search(rf"^ +{name}: ", step.__doc__, re.MULTILINE), name


@pytest.mark.parametrize("model", MODELS)
def test_ranges_cover_the_arguments_and_contain_the_defaults(model):
    ranges = stated_ranges(model)
    for low, high in ranges.values():
        assert low < high
    for name, parameter in inspect.signature(step_of(model)).parameters.items():
        if parameter.default is not parameter.empty:
            for path, value in jax.tree_util.tree_leaves_with_path(parameter.default):
                low, high = ranges[dotted(name, path)]
                assert low <= value <= high, dotted(name, path)


@pytest.mark.parametrize("model", MODELS)
def test_runs_on_scalars_and_on_python_numbers(model):
    step = step_of(model)
    args = draw(model)
    new = step(*args)
    assert all(leaf.shape == () for leaf in jax.tree.leaves(new))
    plain = step(*jax.tree.map(lambda leaf: leaf.item(), args))
    for one, other in zip(jax.tree.leaves(new), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", each(*MODELS))
@pytest.mark.parametrize("shape", [(2, 3), pytest.param((3,), marks=pytest.mark.full)])
def test_is_elementwise(model, shape):
    step = step_of(model)
    args = draw(model, shape, seed=1)
    one_by_one = step
    for _ in shape:
        one_by_one = jax.vmap(one_by_one)
    assert_close(step(*args), one_by_one(*args))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("model", MODELS)
def test_keeps_the_dtype(model, dtype):
    args = draw(model, (3,))
    args = jax.tree.map(lambda leaf: leaf.astype(dtype) if floats(leaf) else leaf, args)
    # the dtypes are known without a number, and nothing is compiled for them
    new = jax.eval_shape(step_of(model), *args)
    assert {leaf.dtype for leaf in floats(new)} == {jnp.dtype(dtype)}


@pytest.mark.parametrize("model", each(*MODELS))
def test_value_and_derivatives_are_finite_in_the_stated_ranges(model):
    args = draw(model, (500,), seed=2)
    step, products = jax.jit(lambda *args: (step_of(model)(*args), both_modes(model, args)))(*args)
    assert all_finite(step)
    assert all_finite(products)


# --- physics -----------------------------------------------------------------------------------


def simulate(step, state, steps):
    """The states and the outputs of a step (state) -> (state, output), stacked over time."""

    def body(state, _):
        new, out = step(state)
        return new, (new, out)

    state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), state)
    return jax.jit(lambda start: jax.lax.scan(body, start, None, length=steps)[1])(state)


def upward_crossings(v, level):
    return int(jnp.sum((v[:-1] < level) & (v[1:] >= level)))


def test_lif_converges_to_its_input():
    step = step_of("lif")
    (U, I), z = simulate(lambda s: (step(*s, 0.8)[:2], step(*s, 0.8)[2]), (0.0, 0.0), 1000)
    assert U[-1] == pytest.approx(0.8, abs=1e-4)
    assert I[-1] == pytest.approx(0.8, abs=1e-4)
    assert not jnp.any(z)


def test_lif_fires_above_threshold_only():
    step = step_of("lif")
    _, _, z = step(jnp.array([0.9, 1.1]), jnp.array([1.0, 1.0]), 0.0, a=1.0)
    np.testing.assert_array_equal(z, [0.0, 1.0])
    slope = jax.grad(lambda U: step(U, 1.0, 0.0, a=1.0)[2])(1.5)
    assert slope == pytest.approx(1 / 6)


def test_the_three_lif_neurons_agree():
    args = draw("lif", (100,), seed=4)
    U, I, z = step_of("lif")(*args)
    U_reset, I_reset, z_reset = step_of("lif_reset")(*args)
    z_2023, U_2023, I_2023 = step_of("lif_2023")(*args)
    np.testing.assert_array_equal(z, z_reset)
    np.testing.assert_array_equal(z, z_2023)
    np.testing.assert_array_equal(I, I_reset)
    np.testing.assert_array_equal(U_reset, U_2023)
    np.testing.assert_array_equal(jnp.tanh(I), I_2023)
    np.testing.assert_array_equal(U_reset, jnp.where(z > 0, 0.0, U))


def test_lif_reset_fires_regularly():
    step = step_of("lif_reset")
    (_, _), z = simulate(lambda s: (step(*s, 2.0)[:2], step(*s, 2.0)[2]), (0.0, 0.0), 600)
    (times,) = np.nonzero(np.asarray(z))
    intervals = np.diff(times[times > 200])
    assert len(intervals) > 10
    assert np.ptp(intervals) <= 1


@pytest.mark.parametrize("function", ["spike", "reset", "release", "saturate"])
def test_lif_2023_rules_are_those_of_the_docstring(function):
    module = load(ROOT / "models" / "lif_2023.py")
    x, y = 0.3, 0.8
    expected = {
        "spike": (1 / 6, -1 / 6),
        "reset": (1 - y, -x),
        "release": (2 / (1 + x) ** 2,),
        "saturate": (1 - np.tanh(x) ** 2,),
    }[function]
    f = getattr(module, function)
    args = (x, y)[: len(expected)]
    np.testing.assert_allclose(jax.grad(f, tuple(range(len(args))))(*args), expected, rtol=1e-6)
    assert (module.release(0.0), module.release(1.0)) == (0.0, 1.0)


def test_alif_adapts():
    step = step_of("alif")

    def one(state):
        U, A, s = step(*state, 0.08)
        return (U, A), s

    (_, A), s = simulate(one, (0.0, 0.0), 2000)
    assert A[-1] < -1.0  # counts downwards
    assert s[-1] < jnp.max(s[:200])  # so a negative beta raises the threshold
    constant = simulate(
        lambda u: (step(*u, 0.08, beta=0.0)[:2], step(*u, 0.08, beta=0.0)[2]), (0.0, 0.0), 2000
    )[1]
    assert s[-1] < constant[-1]


def test_izhikevich_spikes_and_resets():
    step = step_of("izhikevich")

    def driven(I):
        def one(state):
            v, u, s = step(*state, I)
            return (v, u), s

        return simulate(one, (-70.0, -14.0), 2000)

    (v, u), s = driven(10.0)
    spikes = np.flatnonzero(np.asarray(s) > 0.5)
    assert 5 <= len(spikes) <= 100  # in one second
    at = np.flatnonzero(np.asarray(s) > 0.999)
    np.testing.assert_allclose(np.asarray(v)[at], -65.0, atol=1.0)
    assert np.all(np.asarray(u)[at] > np.asarray(u)[at - 1] + 5.0)
    (v, _), s = driven(0.0)
    assert float(jnp.max(s)) < 1e-6
    assert v[-1] == pytest.approx(-70.0, abs=0.5)  # 0.04 v^2 + 4.8 v + 140 = 0


def test_adex_spikes_and_adapts():
    step = step_of("adex")

    def driven(I):
        def one(state):
            v, w, s = step(*state, I)
            return (v, w), s

        return simulate(one, (-70.6, 0.0), 1000)

    (v, w), s = driven(1000.0)
    times = np.flatnonzero(np.asarray(s) > 0.5)
    intervals = np.diff(times)
    assert len(times) >= 5
    assert intervals[-1] > intervals[0]
    assert all_finite((v, w))
    (v, _), s = driven(0.0)
    assert not np.any(np.asarray(s) > 0.5)
    assert v[-1] == pytest.approx(-70.6, abs=0.1)


def test_hodgkin_huxley_rests_and_spikes():
    step = step_of("hodgkin_huxley")

    def driven(I, milliseconds):
        start = (-65.0, 0.05, 0.6, 0.32)
        return simulate(lambda s: (step(*s, I), ()), start, int(milliseconds * 100))[0]

    v, m, h, n = driven(0.0, 100)
    assert v[-1] == pytest.approx(-65.0, abs=0.5)
    assert upward_crossings(v, 0.0) == 0
    assert (m[-1], h[-1], n[-1]) == pytest.approx((0.053, 0.596, 0.318), abs=0.01)

    v, m, h, n = driven(10.0, 200)
    assert 10 <= upward_crossings(v, 0.0) <= 16  # about 70 Hz
    assert 30.0 < float(jnp.max(v)) < 50.0
    assert float(jnp.min(v)) > -77.0
    for gate in (m, h, n):
        assert 0.0 <= float(jnp.min(gate)) <= float(jnp.max(gate)) <= 1.0


def test_hodgkin_huxley_is_singular_where_its_docstring_says():
    step = step_of("hodgkin_huxley")
    for v in (-40.0, -55.0):
        assert not all_finite(step(v, 0.1, 0.5, 0.4, 0.0))


def test_fitzhugh_nagumo_rests_and_oscillates():
    step = step_of("fitzhugh_nagumo")
    v, w = simulate(lambda s: (step(*s, 0.0), ()), (-1.0, -0.5), 5000)[0]
    assert v[-1] == pytest.approx(-1.1994, abs=1e-3)
    assert w[-1] == pytest.approx(-0.6243, abs=1e-3)
    v, w = simulate(lambda s: (step(*s, 0.5), ()), (-1.0, -0.5), 5000)[0]
    assert upward_crossings(v, 0.0) >= 8
    assert float(jnp.max(jnp.abs(v))) < 2.5


def test_morris_lecar_rests_and_fires():
    step = step_of("morris_lecar")
    V, N = simulate(lambda s: (step(*s, 0.0), ()), (-50.0, 0.1), 10_000)[0]
    assert V[-1] == pytest.approx(-60.9, abs=0.2)
    assert N[-1] == pytest.approx(0.0149, abs=1e-3)
    V, _ = simulate(lambda s: (step(*s, 100.0), ()), (-20.0, 0.1), 10_000)[0]
    assert upward_crossings(V, 0.0) >= 5


def test_glif_rests_fires_and_adapts():
    step = step_of("glif")
    start = (-70.0, 0.0, 0.0, 0.0)
    _, z = simulate(lambda s: step(*s, 90.0), start, 5000)
    assert not jnp.any(z)  # the rheobase is G (th_inf - EL) = 100 pA
    (V, _, J2, theta), z = simulate(lambda s: step(*s, 300.0), start, 10_000)
    intervals = np.diff(np.flatnonzero(np.asarray(z)))
    assert len(intervals) > 5
    assert intervals[-1] > intervals[0]
    assert float(jnp.max(V)) <= -50.0 + float(jnp.max(theta)) + 1e-3
    assert float(J2[-1]) < 0.0


def test_glif_resets():
    step = step_of("glif")
    (V, J1, J2, theta), z = step(-40.0, 0.0, 0.0, 0.0, 150.0, f_v=0.0, delta_V=0.0)
    assert (V, J1, J2, theta, z) == pytest.approx((-70.0, -40.0, -8.0, 2.0, 1.0))
    (V, *_), _ = step(-40.0, 0.0, 0.0, 0.0, 150.0, f_v=1.0, delta_V=15.0)
    assert pytest.approx(-55.0) == V


def test_cuba_lif_starts_again_after_a_spike():
    module = load(ROOT / "models" / "cuba_lif_state.py")
    state = module.CubaLIFState(*map(jnp.float32, (1.2, 2.0, 0.0)))
    first, spike = module.cuba_lif_step(state, 0.0)
    assert spike == first.z == 1.0
    second, spike = module.cuba_lif_step(first, 0.0)
    assert second.v == pytest.approx(0.05 * float(second.i), rel=1e-5)
    assert spike == second.z == 0.0


# --- the graph of lif_2023 ---------------------------------------------------------------------

# the reference graph: six inputs 0 to 5, vertices 6 to 17 in topological order, outputs 15 to 17
REFERENCE_EDGES = [
    (0, 6), (3, 6), (3, 7), (1, 8), (4, 8), (4, 9), (1, 10), (7, 10), (2, 11), (9, 11),
    (6, 12), (10, 12), (8, 13), (11, 13), (5, 14), (12, 14), (14, 15), (12, 16), (14, 16), (13, 17),
]  # fmt: skip


def jaxpr_edges(f, arguments):
    """Edges of f's jaxpr, one vertex an equation, numbered inputs first; and the outputs."""
    closed = jax.make_jaxpr(f)(*[jnp.float32(0.5)] * arguments)
    number = {variable: k for k, variable in enumerate(closed.jaxpr.invars)}
    edges = []
    for equation in closed.jaxpr.eqns:
        (result,) = equation.outvars
        number[result] = len(number)
        for operand in equation.invars:
            if not isinstance(operand, jax_core.Literal):
                edges.append((number[operand], number[result]))
    return edges, [number[variable] for variable in closed.jaxpr.outvars]


def elimination_cost(edges, order):
    """Sum of in-degree times out-degree over the vertices, eliminated in this order."""
    edges, cost = set(edges), 0
    for vertex in order:
        before = [i for i, j in edges if j == vertex]
        after = [k for j, k in edges if j == vertex]
        cost += len(before) * len(after)
        edges = {edge for edge in edges if vertex not in edge}
        edges |= {(i, k) for i in before for k in after}
    return cost


def isomorphism(edges, other, size, inputs):
    """A renumbering that takes one graph to the other and inputs to inputs in order, or None."""

    def predecessors(all_edges):
        return {v: {i for i, j in all_edges if j == v} for v in range(size)}

    ours, theirs = predecessors(edges), predecessors(other)

    def extend(mapping):
        if len(mapping) == size:
            return mapping
        vertex = len(mapping)  # numbered topologically, so its predecessors are mapped already
        image = {mapping[i] for i in ours[vertex]}
        taken = set(mapping.values())
        for candidate in range(inputs, size):
            if candidate not in taken and theirs[candidate] == image:
                found = extend({**mapping, vertex: candidate})
                if found is not None:
                    return found
        return None

    return extend({k: k for k in range(inputs)})


def test_lif_2023_graph_is_the_reference_graph():
    edges, outputs = jaxpr_edges(step_of("lif_2023"), 6)
    assert len(edges) == len(set(edges)) == 20
    assert 1 + max(k for _, k in edges) == 18
    mapping = isomorphism(edges, REFERENCE_EDGES, size=18, inputs=6)
    assert mapping is not None
    assert {(mapping[i], mapping[j]) for i, j in edges} == set(REFERENCE_EDGES)
    assert [mapping[output] for output in outputs] == [15, 16, 17]


def test_lif_2023_costs_27_forward_and_25_reverse():
    edges, outputs = jaxpr_edges(step_of("lif_2023"), 6)
    intermediates = [v for v in range(6, 18) if v not in outputs]
    assert len(intermediates) == 9
    assert all(i < j for i, j in pairwise(intermediates))
    assert elimination_cost(edges, intermediates) == 27
    assert elimination_cost(edges, reversed(intermediates)) == 25


# --- the sources in other libraries' styles ------------------------------------------------------


def _style_cases():
    f = jnp.float32

    def jaxsnn_state():
        return load(STYLES / "jaxsnn_lif.py").LIFState(v=f(0.9), i=f(0.4))

    def cell():
        return load(STYLES / "research_refractory_where.py").Cell(f(0.7), jnp.int32(0))

    # file -> (function, positional arguments, does it take arrays of neurons without vmap?)
    return {
        "jaxsnn_li_method": (
            "step",
            lambda: ((f(0), f(0.5), f(0.3)), {"z_in": f(0.2), "bias": f(0.9)}),
            True,
        ),
        "jaxsnn_lif": (
            "lif_step",
            lambda: (jaxsnn_state(), {"current": f(0.3), "spikes": f(1)}),
            True,
        ),
        "research_activations": ("gated_unit", lambda: ((f(0.2), f(-0.4)), f(0.7)), True),
        "research_exprel": ("potassium", lambda: (f(-55), f(0.3), f(5)), True),
        "research_matrix": ("propagate", lambda: (f(0.4), f(0.2), f(1)), True),
        "research_matrix_vmapped": ("kick", lambda: (f(0.4), f(0.2), f(1)), False),
        "research_nested_lists": ("update", lambda: ([[f(0.9), f(0.1)], [f(0)]], f(3)), True),
        "research_refractory": ("refractory_step", lambda: (f(0.9), jnp.int32(0), f(2)), False),
        "research_refractory_where": ("step", lambda: (cell(), f(2)), True),
        "research_scan": ("split_step", lambda: ({"v": f(0.1), "trace": f(0)}, f(2)), True),
        "research_shared_gain": (
            "neuron",
            lambda: (
                (f(0.8), f(0.3)),
                {"v": f(0.2), "theta": f(0.4)},
                (f(1), f(0.5)),
            ),
            True,
        ),
        "research_sqrt_branch": ("rate_step", lambda: (f(0.6), f(0.3)), True),
        "research_substeps": ("fhn_substeps", lambda: (f(-1), f(-0.5), f(0.5)), True),
        "research_switch": ("piecewise", lambda: (f(0.1), f(0.5)), False),
        "research_ties": ("rectified", lambda: (f(0.4), f(0.5), f(0.3)), True),
        "research_tree_map": (
            "filtered",
            lambda: ({"soma": f(0.1), "dendrite": f(-0.2), "trace": f(0.4)}, f(0.9)),
            True,
        ),
        "research_while_newton": ("implicit_step", lambda: (f(0.2), f(0.6)), True),
        "snnax_adaptive_lif": (
            "adaptive_lif",
            lambda: ([f(0.9), f(0.5), f(-0.1), f(0)], f(1)),
            True,
        ),
        "snnax_clamp_literals": ("simple_lif", lambda: ([f(0.9)], f(3)), True),
        "snnax_lif": ("lif", lambda: ([f(0.9), f(0.5)], f(1)), True),
        "spyx_alif": ("alif", lambda: (f(0.5), (f(1.2), f(0.1))), True),
        "spyx_lif": ("lif", lambda: (f(0.5), f(1.2)), True),
    }


STYLE_CASES = _style_cases()


def test_every_style_is_listed():
    assert {path.stem for path in STYLES.glob("*.py")} == set(STYLE_CASES)


@pytest.mark.full  # verification runs them as well
@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("style", STYLE_CASES)
def test_style_runs_and_has_a_derivative(style, x64):
    name, example, takes_arrays = STYLE_CASES[style]
    if x64 and style == "snnax_clamp_literals":
        pytest.skip("JAX refuses its literals beside float32 when 64-bit types are on")
    step = getattr(load(STYLES / f"{style}.py"), name)
    with jax.enable_x64(x64):
        args = example()
        flat, tree = jax.tree.flatten(args)
        assert all_finite(step(*args))

        def of_floats(*floats):
            fresh = iter(floats)
            leaves = [next(fresh) if leaf.dtype == jnp.float32 else leaf for leaf in flat]
            outputs = jax.tree.leaves(step(*jax.tree.unflatten(tree, leaves)))
            return [out for out in outputs if jnp.issubdtype(out.dtype, jnp.floating)]

        floats = [leaf for leaf in flat if leaf.dtype == jnp.float32]
        jacobian = jax.jacfwd if style == "research_while_newton" else jax.jacrev
        entries = jacobian(of_floats, argnums=tuple(range(len(floats))))(*floats)
        assert all_finite(entries)
        assert any(bool(jnp.any(entry != 0)) for entry in jax.tree.leaves(entries))

        shapes = [(3,), (2, 3)]
        for shape in shapes if takes_arrays else []:
            wide = jax.tree.map(lambda leaf, shape=shape: jnp.broadcast_to(leaf, shape), args)
            mapped = step
            for _ in shape:
                mapped = jax.vmap(mapped)
            for one, other in zip(
                jax.tree.leaves(step(*wide)), jax.tree.leaves(mapped(*wide)), strict=True
            ):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
