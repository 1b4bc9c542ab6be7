"""What says the same is said once, and by name."""

from __future__ import annotations

import ast

import pytest
from generating import ROOT

from gradgen.ir.code import Const, Instruction
from gradgen.ir.program import PARTIALS, Program, Section
from gradgen.targets.jax.names import name_variables
from gradgen.targets.jax.printer import Printer
from gradgen.targets.jax.twins import without_twin

GENERATED = ROOT / "generated"


def rule(comparison: str = "gt", half: float = 0.5) -> list[Instruction]:
    return [
        Instruction("wins", comparison, ("x", "y"), (), "bool"),
        Instruction("ties", "eq", ("y", "x"), (), "bool"),
        Instruction("on_tie", "select", ("ties", Const(half), Const(0.0))),
        Instruction("p", "select", ("wins", Const(1.0), "on_tie")),
    ]


def lines(code: list[Instruction], *results: str) -> list[str]:
    program = Program(("x", "y"), (Section(PARTIALS, tuple(code)),), tuple(enumerate(results)))
    names = name_variables(program, {"x": "x", "y": "y"})
    ((_, found),) = Printer(program, names, ["x", "y"]).sections()
    return found


@pytest.mark.parametrize(
    ("comparison", "text"), [("gt", "p3 = _larger(x, y)"), ("lt", "p3 = _larger(y, x)")]
)
def test_the_rule_of_ties_has_a_name(comparison: str, text: str) -> None:
    assert lines(rule(comparison), "p") == [text]


def test_what_is_no_rule_of_ties_or_is_read_elsewhere_is_written_out() -> None:
    assert len(lines(rule(), "p", "wins")) == 2
    assert len(lines(rule(), "p", "on_tie")) == 2
    assert "_larger" not in "".join(lines(rule(half=0.25), "p") + lines(rule("ge"), "p"))


def test_a_helper_says_the_rule_once() -> None:
    text = (GENERATED / "stdp_grad.py").read_text()
    assert text.count("0.5, 0.0)") == 1
    assert text.count("_larger(") == 9


def test_of_two_programs_that_are_the_same_one_is_written() -> None:
    body = {"parameters": ["x"], "sections": [], "returned": "x"}
    pair = [{"function": function, **body} for function in ("_cotangents", "_vjp")]
    assert without_twin(pair) == (pair[1:], "_vjp")
    other = [pair[0], pair[1] | {"parameters": ["x", "y"]}]
    assert without_twin(other) == (other, "_cotangents")
    assert without_twin(pair[:1]) == (pair[:1], "_cotangents")


@pytest.mark.parametrize("name", ["lif_2023", "layers/hh_gap_junctions"])
def test_the_backward_pass_is_the_product_where_nothing_else_is_kept(name: str) -> None:
    tree = ast.parse((GENERATED / f"{name}_grad.py").read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "_vjp" in defined
    assert "_cotangents" not in defined
