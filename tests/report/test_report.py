"""What reports say, against JAX, the generated text and the engine."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from eliminating import order_of, shuffled_intermediates
from generating import ROOT, generate
from graphs import random_graph
from pygraphviz import AGraph
from reporting import SOURCE, generated, report, verification

from gradgen.cli.main import main
from gradgen.elimination.accumulate import Accumulation, accumulate, as_edge_order
from gradgen.ir.graph_file import write_graph
from gradgen.ir.module import Accumulated
from gradgen.ir.program import Program
from gradgen.report.collect import collect
from gradgen.report.costs import line_costs, vertex_costs
from gradgen.report.document import write_document
from gradgen.report.dot import write_dot, write_mermaid
from gradgen.report.explain import print_explanation
from gradgen.report.formats import document_format
from gradgen.report.layout import Layout, lay_out
from gradgen.report.replayed import replayed
from gradgen.report.view import GraphView, source_lines, view_graph
from gradgen.verify.recount import recount

POINTS = [
    (0.3, 0.7, 1.1),
    (1.4, -0.2, 0.9),
    (-0.8, 0.4, 2.0),
    (0.95, 1.3, -0.6),
    (2.5, 0.1, 0.3),
]
"""v, w and x of the test neuron."""


def jacobian(point: tuple[float, float, float]) -> np.ndarray:
    """By forward mode: the outputs v, w and z by the inputs v, w and x."""

    def flat(values: jax.Array) -> jax.Array:
        v, w, x = values
        return jnp.stack(jax.tree.leaves(generated().source((v, w), x)))

    return np.asarray(jax.jacfwd(flat)(jnp.asarray(point)))


class TestWords:
    """The expressions that a report shows mean what it says they mean."""

    @pytest.mark.parametrize("point", POINTS)
    def test_equations_and_partials_give_the_jacobian(self, point: Any) -> None:
        view = report().graph
        names: dict[str, Any] = {"jnp": jnp, "jax": jax, "tau": jnp.asarray(10.0)}
        names["_larger"] = lambda one, other: (one > other) + 0.5 * (one == other)
        inputs = [v for v in view.vertices if v.role == "input"]
        assert [v.name for v in inputs] == ["v", "w", "x"]
        names |= {v.name: jnp.asarray(value) for v, value in zip(inputs, point, strict=True)}
        for equation in report().equations:
            exec(equation.text, names)
        edges = {(e.source, e.target): float(evaluate(e.partial, names)) for e in view.edges}
        rows = [k for k, v in enumerate(view.vertices) if v.role == "output"]
        columns = [k for k, v in enumerate(view.vertices) if v.role == "input"]
        found = [[over_paths(edges, column, row) for column in columns] for row in rows]
        assert found == pytest.approx(jacobian(point), rel=2e-5, abs=1e-6)

    def test_names_tell_vertices_apart(self) -> None:
        names = [vertex.name for vertex in report().graph.vertices]
        assert len(set(names)) == len(names)
        assert "out z" in names

    def test_kinds_of_constant_partials(self) -> None:
        for edge in report().graph.edges:
            if edge.kind == "unit":
                assert abs(float(edge.partial)) == 1.0
            elif edge.kind == "constant":
                float(edge.partial)

    def test_lines_hold_what_they_are_said_to_compute(self) -> None:
        source = SOURCE.splitlines()
        named = 0
        for shown, vertex in zip(report().graph.vertices, generated().graph.vertices, strict=True):
            if vertex.alias.isidentifier() and shown.line is not None:
                assert source[shown.line - 1].strip().startswith(f"{vertex.alias} = ")
                named += 1
        assert named == 5
        for line in report().source:
            assert line.text == source[line.number - 1]
        shown = {line.number for line in report().source}
        assert source.index("def unused(x):") + 1 not in shown
        assert source.index("def drive(v, x):") + 1 in shown

    def test_lines_are_counted_as_python_counts_them(self) -> None:
        assert source_lines("a\r\nb\x0c\u2028c\nd") == ["a", "b\x0c\u2028c", "d"]

    def test_every_operation_of_the_source_leads_to_an_equation(self) -> None:
        working = [line for line in report().source if re.search(r"[-+*/] |jnp\.\w+\(", line.text)]
        inner = ("dx /", "The ", "asarray")
        for line in working:
            if not any(word in line.text for word in inner) and '"""' not in line.text:
                assert line.equations, line.text

    def test_generated_lines_assign_what_equations_compute(self) -> None:
        lines = generated().text.splitlines()
        begin = next(k for k, text in enumerate(lines) if "def _value_and_entries" in text)
        end = next(k for k, text in enumerate(lines) if k > begin and text.startswith("def "))
        program = {
            text.strip().partition(" = ")[0]: k
            for k, text in enumerate(lines, start=1)
            if begin < k <= end and " = " in text
        }
        for equation in report().equations:
            assert equation.generated in program.values()
            name = equation.text.partition(" = ")[0]
            # what is written in place stands in a statement of the same line of the source
            assert program.get(name, equation.generated) == equation.generated
            if name not in program:
                others = [e for e in report().equations if e.generated == equation.generated]
                assert {e.line for e in others} == {equation.line}


def evaluate(text: str, names: dict[str, Any]) -> Any:
    """A partial as reports show it, which may name values that it needs twice."""
    value, _, where = text.partition(" where ")
    inner = dict(names)
    for definition in re.split(r", (?=p\w* = )", where) if where else ():
        exec(definition, inner)
    return eval(value, inner)


def over_paths(edges: dict[tuple[int, int], float], start: int, end: int) -> float:
    """The chain rule: the sum over all paths of the products along them."""
    if start == end:
        return 1.0
    following = [(target, value) for (source, target), value in edges.items() if source == start]
    return sum(value * over_paths(edges, target, end) for target, value in following)


class TestCounts:
    def test_operations_are_those_of_the_text(self) -> None:
        counted = recount(generated().text)
        functions = ("_primal", "_value_and_entries", "_vjp", "_jvp")
        for function, operations in zip(functions, report().operations, strict=True):
            assert counted[function].total == operations.total
            stated = {**dict(operations.counts), "total": operations.total}
            assert counted[function].differs_from(stated) is None

    def test_comparisons_are_those_that_the_file_states(self) -> None:
        stated = generated().running.GRADGEN["counts"]["value_and_jacobian"]
        for count, key in (("muls", "muls"), ("edges", "edges"), ("ops", "total")):
            comparison = report().comparison(count)
            best = stated if key == "total" else stated["accumulation"]
            assert comparison.best == best[key]
            assert comparison.forward == stated["forward"][key]
            assert comparison.reverse == stated["reverse"][key]

    @pytest.mark.parametrize("order", ["forward", "reverse", "markowitz"])
    def test_lines_add_up(self, order: str) -> None:
        module = generated(order).module
        stated = generated(order).running.GRADGEN["counts"]
        costs = line_costs(module)
        assert sum(c.step for c in costs) == recount(generated(order).text)["_primal"].total
        accumulation = stated["value_and_jacobian"]["accumulation"]
        assert sum(c.muls for c in costs) == accumulation["muls"]
        assert sum(c.adds for c in costs) == accumulation["adds"]
        assert all(c.line is not None for c in costs)

    def test_a_line_without_a_variable_partial_costs_no_partials(self) -> None:
        costs = {c.line: c for c in line_costs(generated().module)}
        numbered = {text.strip(): k for k, text in enumerate(SOURCE.splitlines(), start=1)}
        assert costs[numbered["v = v + 0.1 * (current - w) / tau"]].partials == 0
        # slope of the surrogate: abs is free; *, +, square and /
        assert costs[numbered["z = spike(v - 1.0)"]].partials == 4
        # -, *, + and / of the line itself; a multiplication by 0.1 is one
        assert costs[numbered["v = v + 0.1 * (current - w) / tau"]].step == 4

    def test_what_eliminations_save_adds_up(self) -> None:
        jacobian = generated().module.jacobian
        costs = vertex_costs(jacobian.chosen.plan, jacobian.reverse.plan)
        assert sum(c.muls for c in costs) == jacobian.chosen.plan.muls
        saved = jacobian.reverse.plan.muls - jacobian.chosen.plan.muls
        assert sum(c.saved for c in costs) == saved
        same = vertex_costs(jacobian.reverse.plan, jacobian.reverse.plan)
        assert all(c.saved == 0 for c in same)

    def test_the_table_in_the_documentation_is_current(self) -> None:
        module = generate(ROOT / "models" / "lif_2023.py").module
        text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
        shown = re.findall(r"^ +(\d+)   \S.*?((?: +\d+)+)$", text, re.M)
        found = [
            (str(c.line), [n for n in (c.step, c.partials, c.muls, c.adds, c.total) if n])
            for c in line_costs(module)
        ]
        assert [(line, [int(n) for n in counts.split()]) for line, counts in shown] == found

    def test_explain_shows_the_sums(self, capsys: pytest.CaptureFixture[str]) -> None:
        module = generated().module
        print_explanation(module)
        text = capsys.readouterr().out
        plan = module.jacobian.chosen.plan
        assert f"where the {plan.muls} multiplications are" in text
        assert f"make {module.jacobian.chosen.operations.total} operations" in text
        for line in ("z = spike(v - 1.0)", "return jnp.exp(-v) * x"):
            assert line in text

    def test_explain_in_a_narrow_window_leaves_nothing_out(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "60")
        print_explanation(generated().module)
        lines = capsys.readouterr().out.splitlines()
        header = next(line for line in lines if line.startswith("┃"))
        assert header.split()[1::2] == ["line", "source", "step", "partials", "muls", "adds", "all"]
        rows = [line.split("│") for line in lines[: lines.index("")] if line.startswith("│")]
        text = "".join(row[2] for row in rows).replace(" ", "")
        for cost in line_costs(generated().module):
            assert cost.line is not None
            assert SOURCE.splitlines()[cost.line - 1].replace(" ", "") in text


class TestSparsity:
    def test_it_is_that_of_the_jacobian(self) -> None:
        nonzero = np.any([jacobian(point) != 0 for point in POINTS], axis=0)
        found = [[kind is not None for kind in row] for row in report().jacobian.kinds]
        assert found == nonzero.tolist()
        assert report().jacobian.inputs == ("v", "w", "x")
        assert report().jacobian.outputs == ("out 0.0", "w", "z")


class TestReplay:
    @pytest.mark.parametrize("order", [None, "forward", "reverse"])
    def test_each_frame_has_the_edges_of_the_engine(self, order: str | None) -> None:
        found, module = report(order).replay, generated(order).module
        graph = module.graph
        number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
        engine = Accumulation(graph)
        steps = module.jacobian.chosen.order.steps
        for frame in range(len(steps) + 1):
            if frame:
                before = engine.plan().muls
                vertex = number[steps[frame - 1]]
                engine.eliminate(vertex)
                step = found.steps[frame - 1]
                assert step.gone == (vertex,)
                assert step.total == engine.plan().muls
                assert step.muls == step.total - before
            shown = [s for s in found.spans if s.first <= frame <= s.last]
            ends = {(s.source, s.target): s.kind for s in shown}
            assert ends == engine.edge_kinds()
            assert len(ends) == len(shown)
        assert found.steps[-1].total == report(order).comparison("muls").best

    @pytest.mark.parametrize("seed", range(6))
    def test_edges(self, seed: int) -> None:
        graph = random_graph(random.Random(seed), 2, 6, 2)
        order = order_of(graph, shuffled_intermediates(graph, seed))
        converted = as_edge_order(graph, order)
        plan = accumulate(graph, converted)
        program = Program((), (), ())
        found = replayed(graph, view_graph(graph), Accumulated(converted, plan, program))
        assert len(found.steps) == len(converted.steps)
        assert found.steps[-1].total == plan.muls
        assert sum(len(step.products) for step in found.steps) == plan.edges
        last = {(s.source, s.target) for s in found.spans if s.last == len(found.steps)}
        assert last == {(source, target) for target, source, _ in plan.entries}
        gone = [v for step in found.steps for v in step.gone]
        assert sorted(gone) == list(graph.intermediates)


def check_layout(view: GraphView, layout: Layout) -> None:
    for box in layout.boxes:
        assert box.width / 2 <= box.x <= layout.width - box.width / 2
        assert box.height / 2 <= box.y <= layout.height - box.height / 2
    for k, a in enumerate(layout.boxes):
        for b in layout.boxes[:k]:
            apart = abs(a.x - b.x) >= (a.width + b.width) / 2 - 0.2
            assert apart or abs(a.y - b.y) >= (a.height + b.height) / 2 - 0.2
    for edge, points in zip(view.edges, layout.curves, strict=True):
        source, target = layout.boxes[edge.source], layout.boxes[edge.target]
        assert source.y < target.y
        for box, (x, y) in ((source, points[0]), (target, points[-1])):
            assert abs(x - box.x) <= box.width / 2 + 2
            assert abs(y - box.y) <= box.height / 2 + 2
        assert len(points) % 3 == 1
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in points)
    rows = {role: {b.y for v, b in zip(view.vertices, layout.boxes, strict=True) if v.role == role}
            for role in ("input", "output")}  # fmt: skip
    assert all(len(row) == 1 for row in rows.values())


class TestLayout:
    def test_of_a_model(self) -> None:
        check_layout(report().graph, lay_out(report().graph))

    @pytest.mark.parametrize("seed", range(8))
    def test_of_random_graphs(self, seed: int) -> None:
        view = view_graph(random_graph(random.Random(seed), 3, 12, 3))
        check_layout(view, lay_out(view))


class TestDocuments:
    def test_json(self) -> None:
        (model,) = json.loads(write_document([report()], "json"))["models"]
        assert model["function"] == "step"
        assert model["text"] == generated().text
        assert model["comparisons"][0]["best"] == report().comparison("muls").best
        assert len(model["graph"]["vertices"]) == len(generated().graph.vertices)

    def test_markdown(self) -> None:
        text = write_document([report()], "md")
        assert text.startswith("<!-- gradgen reports -->\n\n# `step`")
        assert "```mermaid\nflowchart TD" in text
        tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
        assert len(tables) == 6
        for table in tables:
            widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
            assert len(widths) == 1, table
        assert f"\n{generated().text.rstrip()}\n```" in text

    def test_a_fence_that_the_text_does_not_end(self) -> None:
        odd = replace(report(), about="a ``` fence")
        assert "````text\na ``` fence\n````" in write_document([odd], "md")

    def test_the_same_bytes_in_every_folder(self, tmp_path: Path) -> None:
        texts = []
        for folder in ("one", "two"):
            source = tmp_path / folder / "neuron.py"
            source.parent.mkdir()
            source.write_text(SOURCE)
            made = generate(source, function="step")
            found = collect(made.module, made.text, verification())
            texts.append([write_document([found], form) for form in ("html", "md", "json")])
        assert texts[0] == texts[1]
        assert not any(str(tmp_path) in text for text in texts[0])

    def test_the_format_is_told_by_the_name(self) -> None:
        assert document_format("a/report.md") == "md"
        assert document_format("report.json") == "json"
        assert document_format("report.htm") == "html"
        assert document_format(None) == "html"


class TestPictures:
    def test_dot(self) -> None:
        view = report().graph
        parsed = AGraph(string=write_dot(view))
        assert len(parsed.nodes()) == len(view.vertices)
        assert len(parsed.edges()) == len(view.edges)
        labels = [parsed.get_node(f"v{v}").attr["label"] for v in range(len(view.vertices))]
        assert labels == [vertex.label for vertex in view.vertices]

    def test_mermaid(self) -> None:
        view = report().graph
        text = write_mermaid(view)
        assert len(re.findall(r"-->", text)) == len(view.edges)
        styled = [int(k) for ks in re.findall(r"linkStyle ([\d,]+)", text) for k in ks.split(",")]
        assert sorted(styled) == list(range(len(view.edges)))


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


class TestCommands:
    @pytest.mark.parametrize("form", ["text", "json", "dot", "mermaid", "svg"])
    def test_show(self, tmp_path: Any, form: str) -> None:
        path = tmp_path / "graph.json"
        path.write_text(write_graph(generated().graph))
        result = run("show", path, "--format", form)
        assert result.exit_code == 0, result.stderr
        begin = {"json": "{", "dot": "digraph", "mermaid": "flowchart", "svg": "<svg"}
        assert result.stdout.startswith(begin.get(form, "3 independents"))
        if form == "json":
            assert run("show", path, "--json").stdout == result.stdout

    def test_show_of_a_source_tells_lines(self, tmp_path: Any) -> None:
        path = tmp_path / "neuron.py"
        path.write_text(SOURCE)
        result = run("show", f"{path}:step", "--format", "dot")
        assert result.exit_code == 0, result.stderr
        line = SOURCE.splitlines().index("    z = spike(v - 1.0)") + 1
        assert f"line {line}: z = spike(v - 1.0)" in result.stdout

    def test_only_graphs_are_pictures(self, tmp_path: Any) -> None:
        path = tmp_path / "neuron.py"
        path.write_text(SOURCE)
        result = run("show", path, "--stage", "plan", "--format", "svg")
        assert result.exit_code == 2
        assert "only a graph" in result.stderr

    def test_report_and_explain(self, tmp_path: Any) -> None:
        first, second = tmp_path / "first.py", tmp_path / "second.py"
        first.write_text('"""Decay."""\n\n\ndef decay(v, x):\n    return 0.9 * v + x * v\n')
        second.write_text("def square(v):\n    return v * v\n")
        out = tmp_path / "report.json"
        result = run("report", first, second, "-o", out)
        assert result.exit_code == 0, result.stderr
        assert result.stderr == f"{out}: written\n"
        models = json.loads(out.read_text())["models"]
        assert [model["function"] for model in models] == ["decay", "square"]
        assert models[0]["about"] == "Decay."
        assert models[0]["verification"]["points"] > 0
        assert run("explain", first).exit_code == 0

    def test_one_bad_source_and_nothing_is_written(self, tmp_path: Any) -> None:
        good = tmp_path / "good.py"
        good.write_text("def square(v):\n    return v * v\n")
        out = tmp_path / "report.html"
        result = run("report", good, tmp_path / "missing.py", "-o", out)
        assert result.exit_code == 2
        assert "missing.py" in result.stderr
        assert not out.exists()
