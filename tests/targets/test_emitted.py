"""One record a public function: nothing that goes with it is missing, nor left over."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from generating import ROOT, generate, generate_text

import gradgen
from gradgen.cli.main import main
from gradgen.ir.emitted import EMITTED, FUNCTIONS, HVP, PROGRAMS, STEP, public_name
from gradgen.targets.jax.linking import called_helpers, own_imports
from gradgen.targets.jax.render import template_folder

MODEL = ROOT / "models" / "lif.py"
NUMBER = "def step(v, x, tau=0.9):\n    v_new = tau * v + x * x\n    return v_new\n"
"""A step with a state, whose result is one scalar: it has every function."""


def test_every_function_has_a_template():
    templates = (template_folder() / "functions").iterdir()
    assert {path.name for path in templates} == {f"{name}.py.jinja" for name in EMITTED}
    assert set(EMITTED) == set(FUNCTIONS)


def test_every_function_is_documented():
    text = (ROOT / "docs" / "generated_module.md").read_text(encoding="utf-8")
    for function in EMITTED.values():
        for member, about in function.public.items():
            assert f"`{public_name(STEP, member)}`" in text
            assert getattr(gradgen.Differentiated, member).__doc__ == about


@pytest.mark.parametrize("emit", [*((name,) for name in FUNCTIONS), FUNCTIONS])
def test_the_text_holds_the_programs_that_functions_stand_on(emit: tuple[str, ...], tmp_path: Path):
    if HVP in emit:
        generated = generate_text(tmp_path, NUMBER, order="reverse", emit=emit)
    else:
        generated = generate(MODEL, emit=emit)
    needed = {name for function in generated.module.functions for name in function.programs}
    assert needed <= set(generated.module.programs)
    found = {p.name for p in PROGRAMS.values() if hasattr(generated.running, p.function)}
    assert found == needed


def test_helpers_are_there_if_something_calls_them():
    helpers = ["def _a():\n    return _B", "def _c():\n    return 1", "_B = 1", "def _d(): ..."]
    assert called_helpers(['def f():\n    """Like `_d`."""\n    return _a()'], helpers) == [
        helpers[0],
        helpers[2],
    ]
    assert called_helpers(["x._cc(a_c)", "def f_d(): ..."], helpers) == []


def test_imports_are_those_that_code_uses():
    always = {"import jax", "import jax.numpy as jnp"}
    assert own_imports(['x = jax.lax(x, "a, lax.y")']) == always
    assert own_imports(["@partial(f)", "y = lax.exp(x)"]) == {
        *always,
        "from functools import partial",
        "from jax import lax",
    }
    assert own_imports(["y = np.asarray(x)"]) == {*always, "import numpy as np"}


@pytest.mark.parametrize("shapes", ["", "# gradgen: shape v=(n,) x=(n,)\n"])
def test_what_there_is_not_is_refused(shapes: str, tmp_path: Path, trusted: None):
    source, output = tmp_path / "step.py", tmp_path / "step_grad.py"
    source.write_text(f"{shapes}def step(v, x):\n    return 0.9 * v + x, v * x\n")
    run = CliRunner().invoke
    given = [str(source), "-o", str(output)]
    for asked, hint in [("value_and_grad", "f,vjp"), ("f,vjp,value_and_grad", "f,vjp")]:
        refused = run(main, [*given, "--emit", asked])
        assert (refused.exit_code, output.exists()) == (2, False)
        line = shapes.count("\n") + 1
        assert f"step.py:{line}:1: error: 'step' has no value_and_grad" in refused.output
        assert f"ask for --emit {hint}, or" in refused.output
    assert run(main, [*given, "--emit", "f,vjp"]).exit_code == 0
    assert "def step_vjp(" in output.read_text()
