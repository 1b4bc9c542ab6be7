"""Reports on sources of every kind on arrays: their numbers add up, and nothing in them fails."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest
from array_sources import SOURCES
from loop_sources import LOOPS, loop_source
from test_arrays import pair

from gradgen.compile.array_programs import array_module
from gradgen.compile.stages import show
from gradgen.config import Settings
from gradgen.report.array_collect import collect_arrays
from gradgen.report.array_costs import array_line_costs
from gradgen.report.document import write_document
from gradgen.report.explain import print_explanation
from gradgen.targets.jax.arrays import counted
from gradgen.verify.verdict import Tally, Verdict

REPRESENTATIVES = {"a leaky layer and its last potential", "custom_vjp and a matrix times a vector"}
"""What the normal run takes."""
VERDICT = Verdict(1, 0, 0, (Tally("f", "float32", 1, 0, 1.0),), (), ())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(n, t, id=n, marks=() if n in REPRESENTATIVES else pytest.mark.full)
        for n, t in (SOURCES | {n: loop_source(n) for n in LOOPS}).items()
    ],
)
def test_a_report_on_anything(name, text, tmp_path):
    made = pair(tmp_path, text)
    module = array_module(made.front)
    report = collect_arrays(module, made.text, VERDICT)
    total = counted(module, module.vjp).total
    assert sum(cost.total for cost in array_line_costs(module)) == total
    assert sum(value.bytes for value in report.kept) == module.passes.bytes
    steps = report.replay.steps
    assert (steps[-1].total if steps else 0) == module.pulled.plan.muls
    if report.parts:
        assert sum(part.total for part in report.parts) == total
    for form in ("html", "md", "json"):
        assert write_document([report], form)
    with redirect_stdout(io.StringIO()) as printed:
        print_explanation(module)
    assert f"{total:,} operation" in " ".join(printed.getvalue().split())
    for stage in ("trace", "order", "plan", "program", "text"):
        assert show(Settings(str(tmp_path / "model.py")), stage)
    assert show(Settings(str(tmp_path / "model.py")), "graph", "dot").startswith("digraph")
