"""Reports on functions on arrays: their numbers against counts by hand, their pages, commands."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pages import Outline, needs_browser, widths
from projects import gradgen

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.elimination.array_graphs import END
from gradgen.ir.array_module import ArrayModule
from gradgen.report.array_collect import collect_arrays
from gradgen.report.array_costs import array_line_costs, array_vertex_costs, compared
from gradgen.report.array_view import differentiations, view_arrays
from gradgen.report.document import write_document
from gradgen.report.model_report import ModelReport
from gradgen.search.arrays.portfolio import eliminations_of
from gradgen.targets.jax.arrays import counted
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.verdict import Tally, Verdict

LAYER = '''"""A layer, with <b>markup</b> & a table's | bar."""
# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n)
# gradgen: size batch=3 n=5 m=7
# gradgen: wrt v, w
import jax.numpy as jnp


def layer(v, x, w):
    i = x @ w
    u = v * i
    return jnp.tanh(u)
'''
LOSS = '''"""A loss over time."""
# gradgen: shape w=(m, n) r=(n, n) xs=(time, batch, m)
# gradgen: size time=11 batch=3 n=5 m=7
# gradgen: wrt w, r
import jax
import jax.numpy as jnp


def loss(w, r, xs):
    def step(v, x):
        v = jnp.tanh(0.9 * v + x @ w + v @ r)
        return v, jnp.sum(v)

    v = jnp.zeros((xs.shape[1], w.shape[1]), xs.dtype)
    v, sums = jax.lax.scan(step, v, xs)
    return jnp.sum(sums)
'''
SOURCES = {"layer": LAYER, "loss": LOSS}
B, M, N, T = 3, 7, 5, 11


def line_of(name: str, code: str) -> int:
    return next(k for k, line in enumerate(SOURCES[name].split("\n"), 1) if code in line)


@cache
def module(name: str) -> ArrayModule:
    with TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.py")
        path.write_text(SOURCES[name])
        front = open_front(Settings(str(path)))
        assert isinstance(front, ArrayFront)
        return array_module(front)


@cache
def report(name: str) -> ModelReport:
    verdict = Verdict(24, 0, 0, (Tally("f", "float32", 12, 0, 1.5),), (), ())
    return collect_arrays(module(name), render_arrays(module(name)), verdict)


each = pytest.mark.parametrize("name", SOURCES)


def test_lines_cost_what_is_counted_by_hand() -> None:
    found = {cost.line: cost for cost in array_line_costs(module("layer"))}
    assert set(found) == {line_of("layer", code) for code in ("x @ w", "v * i", "jnp.tanh")}
    product = found[line_of("layer", "x @ w")]
    # x @ w, and x.T @ d_i
    assert (product.step, product.muls + product.adds) == (
        B * N * (2 * M - 1),
        M * N * (2 * B - 1),
    )
    assert product.formula == "4*batch*m*n - batch*n - m*n"
    pointwise = found[line_of("layer", "v * i")]
    # v * i, then d_u * i and d_u * v
    assert (pointwise.step, pointwise.muls, pointwise.adds) == (B * N, 2 * B * N, 0)
    # tanh, (1 + y)(1 - y), and a product with that
    assert found[line_of("layer", "jnp.tanh")].formula == "5*batch*n"


@each
def test_lines_and_parts_make_up_the_program(name: str) -> None:
    total = counted(module(name), module(name).vjp).total
    costs = array_line_costs(module(name))
    assert sum(cost.total for cost in costs) == total
    sizes = {"batch": B, "n": N, "m": M, "time": T}
    for cost in costs:
        assert eval(cost.formula, {}, dict(sizes)) == cost.total
    if name == "loss":
        assert sum(part.total for part in report(name).parts) == total
        for part in report(name).parts:
            assert eval(part.formula, {}, dict(sizes)) == part.total


def test_parts_of_a_loss_are_those_counted_by_hand() -> None:
    before, forth, *_, back, after = report("loss").parts
    # the input product of all steps at once; the gradients of both matrices at once
    assert before.total == T * B * N * (2 * M - 1)
    assert after.total == N * (M + N) * (2 * T * B - 1)
    # 0.9 * v, two sums, v @ r, tanh; and what it puts out is summed after
    assert forth.total >= T * B * N * (1 + 2 + (2 * N - 1) + 1)
    assert back.total >= T * B * N * (2 * N - 1)
    assert (before.title, after.title) == ("once, before the loop", "once, after the loop")
    lines = report("loss").text.split("\n")
    assert any("xs @ w" in line for line in lines[before.generated - 1 : forth.generated - 1])
    assert lines[forth.generated - 1].strip().startswith("def step(")
    assert lines[back.generated - 1].strip().startswith("def step_back(")


@each
def test_eliminations_take_what_brute_force_says(name: str) -> None:
    for found in differentiations(module(name)):
        graph, steps = found.graph, found.graph.steps(found.plan.order)
        total = [frame.muls for frame in found.frames]
        assert total[-1] == found.plan.muls
        ends = {graph.vertices.index(v) for pair in graph.ends for v in pair}
        assert {v for s, t, _ in found.frames[-1].edges for v in (s, t)} <= ends
        assert sum(cost.muls for cost in array_vertex_costs(found)) == found.plan.muls
        if graph.loops:
            continue
        eliminations = eliminations_of(graph, found.sizes)
        edges = eliminations.start
        for number, vertex in enumerate(steps):
            place = graph.vertices.index(vertex)
            assert eliminations.cost(edges, place) == (total[number + 1] - total[number],)
            edges = eliminations.without(edges, place)
            left = {(s, t) for s, out in edges.out.items() for t in out}
            assert {(s, t) for s, t, _ in found.frames[number + 1].edges} == left


@each
def test_orders_are_compared_in_operations(name: str) -> None:
    whole = differentiations(module(name))[0]
    muls, ops = compared(module(name), whole)
    assert (muls.best, ops.best) == (
        module(name).pulled.plan.muls,
        counted(module(name), module(name).vjp).total,
    )
    assert muls.reverse == module(name).pulled.sweep.muls
    assert muls.best <= min(n for n in (muls.forward, muls.markowitz, muls.reverse) if n)
    if name == "layer":
        # forward mode forms the Jacobian of i by w, an entry for each pair
        assert muls.forward is not None
        assert muls.forward > muls.reverse
    else:
        assert (muls.forward, muls.markowitz) == (None, None)


@each
def test_edges_say_their_axes_and_vertices_their_lines(name: str) -> None:
    whole, *steps = differentiations(module(name))
    view = view_arrays(whole, SOURCES[name])
    assert all(edge.axes for edge in view.edges)
    assert view.vertices[whole.graph.vertices.index(END)].role == "output"
    for vertex in view.vertices:
        if vertex.role == "intermediate":
            assert vertex.source == SOURCES[name].split("\n")[vertex.line - 1].strip()
    assert len(steps) == (name == "loss")
    if name == "layer":
        axes = {view.derivative(e.source, e.target): e.axes for e in view.edges}
        assert axes["∂i/∂w"] == "bn <- mn"
        assert axes["∂u/∂v"] == "bn <- bn"
        (partial,) = (e.partial for e in view.edges if e.axes == "bn <- mn")
        assert partial == "x"


def test_a_loop_has_its_recurrence_and_its_steps() -> None:
    (loop,) = report("loss").loops
    assert (loop.length, loop.steps) == ("time", T)
    assert loop.line == line_of("loss", "lax.scan")
    assert ("v_new", "v") in loop.recurrence
    (muls,) = loop.comparisons
    assert muls.best == loop.replay.steps[-1].total
    labels = {vertex.label for vertex in loop.graph.vertices}
    assert {"r", "v", "cotangents", "@"} <= labels


@each
def test_what_is_kept_adds_up(name: str) -> None:
    kept = report(name).kept
    assert sum(value.bytes for value in kept) == module(name).passes.bytes
    sizes = {"batch": B, "n": N, "m": M, "time": T}
    for value in kept:
        elements = 1
        for dim in eval(value.shape, {}, dict(sizes)):
            elements *= dim
        assert value.bytes in (0, 4 * elements)
    if name == "loss":
        # the potential after each step, nothing else
        assert [v.shape for v in kept if v.bytes] == ["(time, batch, n)"]
    # in a step of the loop, where there is one
    computed = {"loss": "v = jnp.tanh(0.9 * v + x @ w + v @ r)"}.get(name)
    source = {line.number: line.text.strip() for line in report(name).source}
    assert all(value.line in source for value in kept if value.bytes)
    assert computed in (None, *(source[v.line] for v in kept if v.bytes))


@each
def test_statements_are_those_of_the_text(name: str) -> None:
    text = report(name).text.split("\n")
    source = {line.number: line.text for line in report(name).source}
    told = [e for e in report(name).equations if e.generated is not None]
    assert len(told) == len(report(name).equations)
    for equation in told:
        left = equation.text.partition(" = ")[0].strip()
        assert text[equation.generated - 1].strip().startswith(f"{left} = ")
        assert set(equation.lines) <= set(source)
    weight = next(e for e in told if e.text.strip().startswith("d_w = "))
    assert "x @ w" in source[weight.line]


@each
def test_documents_parse(name: str) -> None:
    page = write_document([report(name)], "html")
    outline = Outline(page)
    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    links = outline.values("href")
    assert {link.partition("#")[0] for link in links} == {""}
    assert {link[1:] for link in links} <= set(ids)
    assert "What training keeps" in outline.text
    assert "The Jacobian" not in outline.text
    assert ("A step of loop 1" in outline.text) == (name == "loss")
    content = json.loads(write_document([report(name)], "json"))
    (model,) = content["models"]
    assert model["comparisons"][1]["best"] == counted(module(name), module(name).vjp).total
    markdown = write_document([report(name)], "md")
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.M)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table
    assert len(markdown.split("```mermaid")) == 2 + (name == "loss")
    assert f"{model['comparisons'][1]['best']:,} operations" in markdown


@needs_browser
def test_a_page_fits_a_phone(tmp_path: Path) -> None:
    wide, window = widths(tmp_path, write_document([report("loss")], "html"), 380)
    assert wide <= window


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@each
def test_commands_show_what_there_is(name: str, written: Path) -> None:
    def shown(*arguments: str) -> str:
        done = gradgen(*arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    source = f"{name}.py"
    trace = shown("show", source, "--stage", "trace")
    assert f"# i, line {line_of(name, 'x @ w')}" in trace or name == "loss"
    assert ("over time steps of" in trace) == (name == "loss")
    graph = shown("show", source)
    assert module(name).pulled.plan.order.fingerprint in graph
    order = json.loads(shown("show", source, "--stage", "order"))
    assert tuple(order["steps"]) == module(name).pulled.plan.order.steps
    assert (list(order.get("loops", ()))) == (["loop 1"] if name == "loss" else [])
    assert f"muls {module(name).pulled.plan.muls:,}" in shown("show", source, "--stage", "plan")
    assert "# accumulation" in shown("show", source, "--stage", "program")
    text = shown("show", source, "--stage", "text")
    vjp = next(n for n in ast.parse(text).body if getattr(n, "name", "") == "_vjp")
    due = next(n for n in ast.parse(report(name).text).body if getattr(n, "name", "") == "_vjp")
    assert ast.dump(vjp) == ast.dump(due)
    for form in ("dot", "mermaid", "svg"):
        assert shown("show", source, "--format", form)
    refused = gradgen("show", source, "--json")
    assert refused.exit_code == 2
    assert "a graph of arrays is no file" in refused.stderr
    total = counted(module(name), module(name).vjp).total
    explained = shown("explain", source)
    assert f"product take {total:,} operations" in " ".join(explained.split())
    found = json.loads(shown("search", source, "--json"))
    assert found["best"] == module(name).pulled.plan.muls
    assert tuple(found["order"]["steps"]) == module(name).pulled.plan.order.steps
    (written / "order.json").write_text(json.dumps(found["order"]))
    again = json.loads(shown("show", source, "--stage", "order", "--order", "order.json"))
    assert again["steps"] == found["order"]["steps"]
    named = gradgen("show", source, "--stage", "order", "--order", "forward")
    assert named.exit_code == 2
    assert "is no order of all" in named.stderr
    other = "loss" if name == "layer" else "layer"
    wrong = gradgen("show", f"{other}.py", "--stage", "order", "--order", "order.json")
    assert wrong.exit_code == 2
    assert "this order is for another graph" in wrong.stderr


def test_the_command_writes_a_report(written: Path) -> None:
    made = gradgen("report", "layer.py", "-o", "layer.md")
    assert made.exit_code == 0, made.stderr
    assert "differentiated with respect to v, w" in (written / "layer.md").read_text()
