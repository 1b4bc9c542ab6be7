"""Of programs that cost about the same, those that are finite at the most points are taken."""

import numpy as np
import pytest
from generating import ROOT, generate_text
from projects import judge_by

from gradgen.compile import choice, verdict
from gradgen.compile.front import of_neurons, open_front
from gradgen.compile.generation import generate
from gradgen.compile.graphs import graph_of
from gradgen.compile.ordering import orders_for
from gradgen.config import Settings
from gradgen.elimination.cost import cost_of
from gradgen.ir.program import count_operations
from gradgen.verify.finite import finite_results
from gradgen.verify.verdict import Failure, Points, Verdict

MODEL = ROOT / "models" / "fitzhugh_nagumo.py"


@pytest.mark.parametrize("exact", [True, False])
def test_of_programs_that_cost_the_same_the_one_that_is_finite_is_taken(exact, monkeypatch):
    """What has fewer numbers than JAX gives way to an equally cheap rival, if that is exact."""
    lost = Points("float32", tuple(np.ones(2, np.float32) for _ in range(7)))
    seen = []

    def judge(subject):
        seen.append(subject.module)
        failures = () if exact or len(seen) < 2 else (Failure("inexact", "vjp", "off"),)
        return Verdict(1, 0, 0, (), failures, (), (lost,))

    def finite(program, trace, points):
        assert points == (lost,)
        return 0 if any(p == program for m in seen for p in programs_of(m)) else 1

    def programs_of(module):
        return [d.chosen.program for d in (module.jacobian, module.vjp, module.jvp)]

    judge_by(monkeypatch, judge)
    monkeypatch.setattr(choice, "finite_results", finite)
    outcome = generate(Settings(str(MODEL), order="forward"), lambda _: None)
    first = seen[0]
    assert len(seen) == 2
    assert outcome.module is seen[1 if exact else 0]
    for program, other in zip(programs_of(first), programs_of(seen[1]), strict=True):
        least, count = (count_operations(p.instructions).total for p in (program, other))
        assert count <= 1.02 * least
    # what is recorded is taken as it is
    del seen[:]
    generate(Settings(str(MODEL), order="forward"), lambda _: None, first.recipe)
    assert [module.recipe for module in seen] == [first.recipe]


def test_finite_derivatives_are_counted(tmp_path):
    text = "import jax.numpy as jnp\ndef step(v, x):\n    return x / v, jnp.exp(x)\n"
    module = generate_text(tmp_path, text).module
    points = Points("float32", (np.float32([0.0, 1.0, 2.0]), np.float32([0.0, 1.0, 100.0])))
    # 1 / v, -x / v / v and exp(x); the last is infinite at 100
    assert finite_results(module.jacobian.chosen.program, module.trace, [points]) == 2 + 2 + 2
    assert finite_results(module.vjp.chosen.program, module.trace, [points]) == 2 + 1
    assert finite_results(module.jvp.chosen.program, module.trace, [points, points]) == 2 * (2 + 2)


DEAR = """import jax.numpy as jnp


def step(x, y, z, w):
    spike = jnp.exp(z) * w
    twice = spike + spike
    slow = jnp.sin(twice)
    return w - twice - (twice - spike), jnp.exp(slow) * w
"""
"""Of the orders of few multiplications some take more operations than reverse mode."""


def plain_total(module, mode):
    return getattr(module.jacobian, mode).operations.total


@pytest.fixture
def judged(monkeypatch):
    """The modules that were verified, of which those that are rejected are not finite."""
    seen = []

    def reject(rejected):
        def judge(subject):
            seen.append(subject.module)
            off = Failure("nonfinite", "vjp", "is not finite where JAX's is", "float32")
            failures = (off,) if rejected(subject.module) else ()
            return Verdict(1, 0, 0, (), failures, ())

        judge_by(monkeypatch, judge)
        return seen

    return reject


def model(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(DEAR)
    return Settings(str(path))


@pytest.mark.parametrize("rejected", [[], ["rewritten"], ["rewritten", "reverse"]])
def test_never_dearer_than_the_plain_modes_that_are_exact(rejected, judged, tmp_path):
    def is_rejected(module):
        chosen = module.jacobian.chosen
        plain = [
            m for m in ("forward", "reverse") if chosen.plan == getattr(module.jacobian, m).plan
        ]
        return ("rewritten" in rejected and module.rewritten) or not set(plain).isdisjoint(rejected)

    seen = judged(is_rejected)
    outcome = generate(model(tmp_path), lambda _: None)
    chosen = outcome.module.jacobian.chosen.operations.total
    exact = [m for m in ("forward", "reverse") if m not in rejected]
    assert chosen <= min(plain_total(outcome.module, mode) for mode in exact)
    assert ("rejected before it: " in outcome.sentence()) == (len(seen) > 1)
    if rejected:
        assert "since vjp (float32): is not finite where JAX's is" in outcome.sentence()


def test_all_texts_are_held_against_what_was_asked_once(monkeypatch, tmp_path):
    """JAX is asked before the search, and its threads end with it, whatever comes of it."""
    seen = []

    def judge(subject, asked):
        seen.append(asked)
        off = Failure("nonfinite", "vjp", "is not finite where JAX's is", "float32")
        return Verdict(1, 0, 0, (), (off,) if subject.module.rewritten else (), ())

    monkeypatch.setattr(verdict, "verify", judge)
    generate(model(tmp_path), lambda _: None)
    assert len(seen) > 1
    assert {id(asked) for asked in seen} == {id(seen[0])}
    assert all(future.done() or future.running() for future in seen[0].oracles.values())


def test_heuristics_that_cost_what_is_proved_least_say_so(tmp_path):
    """The search for `lif` proves two multiplications, which reverse mode takes as well."""
    settings = Settings(str(ROOT / "models" / "lif.py"))
    graph = graph_of(of_neurons(open_front(settings), "order"))
    orders = orders_for(settings, graph)
    least = cost_of(graph, orders[0], "muls")
    assert orders[0].proved_optimal
    assert [o.proved_optimal for o in orders] == [
        cost_of(graph, o, "muls") == least for o in orders
    ]
    assert any(order.found_by == "reverse" and order.proved_optimal for order in orders)
    dear = orders_for(model(tmp_path), graph_of(of_neurons(open_front(model(tmp_path)), "order")))
    assert {order.proved_optimal for order in dear} == {True, False}
