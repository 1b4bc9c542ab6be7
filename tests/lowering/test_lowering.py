"""Lowered programs: what they compute, in what order, and that the text computes the same."""

from __future__ import annotations

import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluating import evaluate
from generating import MODELS, STYLES, Generated, each, generate

from gradgen.compile.front import ranges_of
from gradgen.elimination.accumulate import accumulate
from gradgen.ir.code import Atom, is_float
from gradgen.ir.program import ACCUMULATION, PARTIALS, PRIMAL, Program
from gradgen.ir.results import Cotangent, Entry, OutputValue, Tangent
from gradgen.search.heuristics import forward, reverse

FILES = pytest.mark.parametrize("path", each(*MODELS, *STYLES))
POINTS = 4


def programs(generated: Generated) -> dict[str, Program]:
    module = generated.module
    return {
        "_primal": module.primal,
        "_value_and_entries": module.jacobian.chosen.program,
        "_vjp": module.vjp.chosen.program,
        "_jvp": module.jvp.chosen.program,
    }


def draw(generated: Generated, seed: int) -> dict[str, list]:
    """Values for the inputs from the stated ranges; for the vectors of products from -2 to 2."""
    chance = random.Random(seed)
    ranges = ranges_of(generated.front)
    values: dict[str, list] = {}
    for i in generated.front.trace.inputs:
        low, high = ranges.get(i.path, (0.05, 1.5))
        some = [chance.uniform(low, high) for _ in range(POINTS)]
        if i.dtype == "bool":
            values[i.variable] = [v > 0.7 for v in some]
        else:
            values[i.variable] = some if is_float(i.dtype) else [round(v) for v in some]
    more = {v for p in programs(generated).values() for v in p.inputs} - set(values)
    for variable in sorted(more):
        values[variable] = [chance.uniform(-2, 2) for _ in range(POINTS)]
    return values


def close(got, wanted) -> bool:
    got, wanted = float(got), float(wanted)
    if not (math.isfinite(got) and math.isfinite(wanted)):
        return math.isfinite(got) == math.isfinite(wanted)
    return math.isclose(got, wanted, rel_tol=1e-10, abs_tol=1e-12)


@FILES
def test_text_computes_what_the_program_does(path):
    generated = generate(path)
    values = draw(generated, seed=1)
    with jax.enable_x64(True):
        arrays = {
            v: jnp.asarray(some, None if isinstance(some[0], float | bool) else "int32")
            for v, some in values.items()
        }
        for name, program in programs(generated).items():
            run = getattr(generated.running, name)
            found = jax.tree.leaves(run(*(arrays[v] for v in program.inputs)))
            columns = [np.broadcast_to(column, (POINTS,)) for column in found]
            assert len(columns) == len(program.results)
            for k in range(POINTS):
                point = {v: values[v][k] for v in program.inputs}
                wanted = evaluate(program, point)
                for (key, _), column in zip(program.results, columns, strict=True):
                    assert close(column[k], wanted[key]), (name, key, column[k], wanted[key])


@FILES
def test_programs_are_well_formed(path):
    for name, program in programs(generate(path)).items():
        program.check()
        titles = [section.title for section in program.sections]
        assert titles == [t for t in (PRIMAL, PARTIALS, ACCUMULATION) if t in titles], name
        assert all(section.instructions for section in program.sections)
        assert program.pretty().count("\n") >= len(program.instructions)


@FILES
def test_dead_code_is_absent(path):
    for name, program in programs(generate(path)).items():
        read: set[Atom] = {atom for _, atom in program.results}
        read.update(atom for i in program.instructions for atom in i.operands)
        unread = [i.pretty() for i in program.instructions if i.target not in read]
        assert not unread, name


@FILES
def test_primal_is_the_source_operation_by_operation(path):
    generated = generate(path)
    place = {i.target: k for k, i in enumerate(generated.front.trace.primal)}
    for program in programs(generated).values():
        section = [s for s in program.sections if s.title == PRIMAL]
        code = section[0].instructions if section else ()
        order = [place[i.target] for i in code]
        assert order == sorted(order)
        for i in code:
            original = generated.front.trace.primal[place[i.target]]
            assert (i.op, i.attributes, i.dtype) == (
                original.op,
                original.attributes,
                original.dtype,
            )
            assert len(i.operands) == len(original.operands)


@FILES
def test_results_are_complete(path):
    generated = generate(path)
    trace, graph = generated.front.trace, generated.graph
    found = {n: [key for key, _ in p.results] for n, p in programs(generated).items()}
    outputs = [OutputValue(o.path) for o in trace.outputs]
    assert found["_primal"] == outputs
    assert found["_vjp"] == [Cotangent(i.path) for i in trace.inputs if i.wrt]
    assert found["_jvp"] == [*outputs, *(Tangent(o.path) for o in trace.float_outputs)]
    reaches = {v: {v} for v in graph.independents}
    for e in sorted(graph.edges, key=lambda e: e.target):
        reaches[e.target] = reaches.get(e.target, set()) | reaches[e.source]
    structure = {
        Entry(graph.vertices[k].name.removeprefix("out:"), graph.vertices[j].name)
        for k in graph.dependents
        for j in reaches[k]
    }
    entries = found["_value_and_entries"]
    assert entries[: len(outputs)] == outputs
    assert len(entries) == len(outputs) + len(structure)
    assert set(entries[len(outputs) :]) == structure


@FILES
def test_nothing_costs_more_than_a_sweep(path):
    module = generate(path).module
    for derivative, sweep in (
        (module.vjp, module.vjp.reverse),
        (module.jvp, module.jvp.forward),
    ):
        assert derivative.chosen.plan.muls <= sweep.plan.muls
        assert derivative.chosen.operations.total <= sweep.operations.total
    chosen = module.jacobian.chosen
    assert chosen.plan.muls <= min(
        module.jacobian.forward.plan.muls, module.jacobian.reverse.plan.muls
    )
    for derivative in (module.jacobian, module.vjp, module.jvp):
        graph = derivative.chosen.plan.graph
        assert derivative.forward.plan == accumulate(graph, forward(graph))
        assert derivative.reverse.plan == accumulate(graph, reverse(graph))


# below its threshold any reverse mode multiplies zero by the root of a negative number
FINITE = [p for p in (*MODELS, *STYLES) if p.stem != "research_sqrt_branch"]


@pytest.mark.parametrize("path", each(*FINITE))
def test_vector_products_are_the_jacobian_times_the_vector(path):
    generated = generate(path)
    module, found = generated.module, programs(generated)
    drawn = draw(generated, seed=2)
    cotangents, tangents = dict(module.cotangents), dict(module.tangents)
    for k in range(POINTS):
        values = {v: some[k] for v, some in drawn.items()}
        jacobian, pulled, pushed = (
            evaluate(found[name], values) for name in ("_value_and_entries", "_vjp", "_jvp")
        )
        if not all(math.isfinite(value) for value in jacobian.values()):
            continue
        for name in tangents:
            rows = [
                (values[ct], jacobian.get(Entry(out, name), 0)) for out, ct in cotangents.items()
            ]
            assert close(pulled[Cotangent(name)], sum(a * b for a, b in rows))
        for out in cotangents:
            rows = [(values[t], jacobian.get(Entry(out, name), 0)) for name, t in tangents.items()]
            assert close(pushed[Tangent(out)], sum(a * b for a, b in rows))


@pytest.mark.parametrize("path", each(*MODELS))
def test_every_order_lowers_to_the_same_values(path):
    generated = generate(path)
    values = draw(generated, seed=3)
    jacobian = generated.module.jacobian
    inputs = generated.module.primal.inputs
    for k in range(POINTS):
        point = {v: values[v][k] for v in inputs}
        one, two, three = (
            evaluate(a.program, point)
            for a in (jacobian.chosen, jacobian.forward, jacobian.reverse)
        )
        assert one.keys() == two.keys() == three.keys()
        for key, value in one.items():
            assert close(value, two[key]), key
            assert close(value, three[key]), key
