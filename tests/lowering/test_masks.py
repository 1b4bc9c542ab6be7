"""Derivatives are finite where a branch that is not taken is not, in every program."""

from __future__ import annotations

import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluating import evaluate
from generating import MODELS, generate_text

from gradgen.compile.front import open_front
from gradgen.compile.graphs import graph_of
from gradgen.config import Settings
from gradgen.elimination.accumulate import accumulate
from gradgen.ir.program import count_operations
from gradgen.ir.results import Cotangent, Entry, Tangent
from gradgen.lowering import conditions
from gradgen.lowering.conditions import ALWAYS, NEVER, both, either, implies, when
from gradgen.lowering.lower import Lowering
from gradgen.lowering.masks import select_last
from gradgen.search.heuristics import propose
from gradgen.verify.evaluate import Evaluator

HOSTILE = (0.0, 1.0, -1.0, 0.5, 1e-3, -1e-3, 1e-30, -1e-30, 1e4, -1e4, 7.0, -40.0, 1e20, -1e20)

SOURCES = {
    "exponential": ["return jnp.where(t > 0, -a * jnp.exp(-t / 1000.0), 0.0)"],
    "alpha synapse": ["return jnp.where(t > 0, a * (t / b) * jnp.exp(1.0 - t / b), 0.0)"],
    "spike timing": ["return jnp.where(t > 0, a * jnp.exp(-t / 0.1), -b * jnp.exp(t / 0.1))"],
    "nested": ["u = jnp.exp(t * a)", "return jnp.where(t < 0, u, jnp.where(a < 0, u * b, 0.0))"],
    "one value, two masks": [
        "u = jnp.exp(-t / 0.1) * a",
        "return jnp.where(t > 0, u, 0.0) + jnp.where(b > 1, u * b, 0.0)",
    ],
    "one value, two outputs": [
        "u = jnp.exp(-t / 0.1) * a",
        "return jnp.where(t > 0, u, 0.0), jnp.where((t > 0) & ~(b > 1), u * b, t)",
    ],
    "logarithm": ["return jnp.where(t > 0, a * jnp.log(t / b), t * a)"],
    "root": ["return jnp.where(t > 0, b * jnp.sqrt(t), 0.0) * a"],
    "quotient": ["return jnp.where(a != 0, b * (t / a), a)"],
    "power": ["return jnp.where(t > 0, b * t ** 0.3, t ** 3)"],
    "two wheres": ["s = jnp.where(t > 0, t, 1.0)", "return jnp.where(t > 0, a * jnp.log(s), b)"],
    "removable singularity": [
        "x = (t - a) / 0.1",
        "return b * jnp.where(jnp.abs(x) < 1e-5, 1.0 + x / 2.0, (jnp.exp(x) - 1.0) / x)",
    ],
    "branches": ["return lax.cond(t > 0, lambda x: a * jnp.exp(-x / 0.1), lambda x: b * x, t)"],
    "clamp": ["return b * lax.clamp(a, jnp.exp(t / 0.1), a + 1.0)"],
    "surrogate": ["e = a * jnp.exp(t / 0.1)", "return jnp.where(e > 1.0, 0.0, b), spike(e - 1.0)"],
}
RULE = """
@jax.custom_jvp
def spike(x):
    return jnp.where(x > 0, 1.0, 0.0)


@spike.defjvp
def _rule(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), jnp.where(jnp.abs(x) < 1.0, dx * (1.0 - jnp.abs(x)), 0.0)
"""
ALL = pytest.mark.parametrize("body", SOURCES.values(), ids=SOURCES)


def generated(folder, body):
    rule = RULE if "spike" in str(body) else ""
    head = f"import jax\nimport jax.numpy as jnp\nfrom jax import lax\n{rule}"
    lines = "\n    ".join(body)
    return generate_text(folder, f"{head}\n\ndef step(t, a, b):\n    {lines}\n")


def points(dtype):
    chance = np.random.default_rng(0)
    some = np.concatenate(
        [chance.choice(HOSTILE, (3, 300)), chance.normal(0.0, 2.0, (3, 100))], axis=1
    )
    return list(some.astype(dtype))


def jacobians(module, leaves, dtype):
    """By each of the programs: (outputs, inputs, points)."""
    inputs = dict(zip((i.variable for i in module.trace.inputs), leaves, strict=True))
    evaluator = Evaluator(dtype, exact=False)
    outputs = [o.path for o in module.trace.outputs]
    paths = [i.path for i in module.trace.inputs]

    def results(program, given):
        values = evaluator.run(program.instructions, given)
        shape = leaves[0].shape
        return {
            key: np.broadcast_to(evaluator.atom(atom, values), shape)
            for key, atom in program.results
        }

    def unit(chosen, variables):
        return {v: np.full_like(leaves[0], path == chosen) for path, v in variables}

    found = results(module.jacobian.chosen.program, inputs)
    zero = np.zeros_like(leaves[0])
    yield "jacobian", [[found.get(Entry(o, i), zero) for i in paths] for o in outputs]
    pulled = [
        results(module.vjp.chosen.program, inputs | unit(o, module.cotangents)) for o in outputs
    ]
    yield "vjp", [[row[Cotangent(i)] for i in paths] for row in pulled]
    kept = results(module.passes.forward, inputs)
    kept = {key.variable: value for key, value in kept.items()}
    pulled = [results(module.passes.backward, kept | unit(o, module.cotangents)) for o in outputs]
    yield "f", [[row[Cotangent(i)] for i in paths] for row in pulled]
    pushed = [results(module.jvp.chosen.program, inputs | unit(i, module.tangents)) for i in paths]
    yield "jvp", [[column[Tangent(o)] for column in pushed] for o in outputs]


@ALL
def test_no_program_is_infinite_where_forward_mode_is_not(tmp_path, body, pytestconfig):
    found = generated(tmp_path, body)
    for dtype in ("float32", "float64") if pytestconfig.getoption("--full") else ("float32",):
        with jax.enable_x64(dtype == "float64"):
            compare(found, points(dtype), dtype)


def compare(found, leaves, dtype):
    rows = jax.jit(jax.vmap(jax.jacfwd(found.source, argnums=(0, 1, 2))))(*leaves)
    rows = rows if isinstance(rows[0], tuple) else (rows,)
    due = np.array([[np.asarray(entry, np.float64) for entry in row] for row in rows])
    single = len(rows) == 1
    for name, entries in jacobians(found.module, leaves, dtype):
        if name in ("vjp", "f") and not single:
            # a cotangent that is zero meets an infinity of the other output
            continue
        ours = np.array(entries, np.float64)
        # an overflow of a product whose factors come in another order is no matter of masks
        tame = np.abs(leaves).max(0) < 1e15
        lost = np.isfinite(due) & ~np.isfinite(ours) & tame
        assert not lost.any(), (name, [leaf[lost.any((0, 1))][0] for leaf in leaves])


def test_the_text_is_finite_as_well(tmp_path):
    found = generated(tmp_path, SOURCES["exponential"])
    t, a, b = (jnp.asarray(x) for x in (-1e6, 2.0, 1.0))
    assert all(x == 0.0 for x in jax.grad(found.function(), (0, 1))(t, a, b))
    assert all(x == 0.0 for x in found.function("jacobian_entries")(t, a, b).values())


@pytest.mark.parametrize(
    "body",
    [
        "return jnp.where(t > 0, a * t, b)",
        "return jnp.where(t > 0, a * jnp.tanh(t + b), b) * 0.9",
        "return jnp.exp(t * a) * b",
        "return jnp.maximum(t * a, 0.0) * b",
    ],
)
def test_where_nothing_is_infinite_nothing_changes(tmp_path, body):
    found = generated(tmp_path, [body])
    lowering = Lowering(found.front.trace)
    for order in propose(found.graph):
        program = lowering.jacobian(accumulate(found.graph, order))
        assert select_last(program) is program


@pytest.mark.parametrize("path", [p for p in MODELS if p.stem in ("coba_lif", "glif", "adex")])
def test_models_take_no_more_operations_and_have_the_same_derivatives(path):
    front = open_front(Settings(str(path)))
    graph, lowering = graph_of(front), Lowering(front.trace)
    chance = random.Random(3)
    values = {i.variable: chance.uniform(0.1, 0.9) for i in front.trace.inputs}
    for order in propose(graph):
        program = lowering.jacobian(accumulate(graph, order))
        masked = select_last(program)
        before, after = (count_operations(p.instructions).total for p in (program, masked))
        assert after <= before
        due = evaluate(program, values)
        for key, value in evaluate(masked, values).items():
            assert value == pytest.approx(due[key], rel=1e-12)


def _holds(condition, truth):
    return any(all(truth[v] == x for v, x in case) for case in condition)


def test_conditions_hold_where_they_should(monkeypatch):
    """A condition may be given up for a weaker one, but never for a stronger one."""
    chance = random.Random(0)
    truths = [dict(zip("pqrs", row, strict=True)) for row in itertools.product((0, 1), repeat=4)]
    for cases in (2, 16):
        monkeypatch.setattr(conditions, "_CASES", cases)
        known = [ALWAYS, NEVER, *(when(v, x) for v in "pqrs" for x in (False, True))]
        for _ in range(300):
            a, b = chance.choice(known), chance.choice(known)
            for found, combined in ((both(a, b), all), (either(a, b), any)):
                due = [combined((_holds(a, t), _holds(b, t))) for t in truths]
                assert all(_holds(found, t) for t, x in zip(truths, due, strict=True) if x)
                known.append(found)
            if implies(a, b):
                assert all(_holds(b, t) for t in truths if _holds(a, t))


def test_conditions_are_kept_short():
    p, q = when("p", True), when("q", True)
    assert either(p, when("p", False)) == ALWAYS
    assert either(p, both(when("p", False), q)) == either(p, q)
    assert either(p, both(p, q)) == p
    assert both(p, when("p", False)) == NEVER
    assert implies(both(p, q), p)
    assert not implies(p, q)
