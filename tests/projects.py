"""Small projects for tests: a pyproject.toml, sources, and the command run in their folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradgen.cli.main import main
from gradgen.compile import array_generation, verdict
from gradgen.verify.subject import Subject
from gradgen.verify.verdict import Verdict

SURROGATE = """\
import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return jnp.where(x > 0, 1.0, 0.0)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2
"""
NEURON = """\
from surrogate import spike


def step(v, i, x, alpha=0.9, beta=0.8):
    \"\"\"One step of a leaky integrate-and-fire neuron.\"\"\"
    v_next = alpha * v + (1.0 - alpha) * i
    i_next = beta * i + x
    return v_next, i_next, spike(v_next - 1.0)
"""
CONFIGURATION = """\
[project]
name = "brain"  # stays as it is

[tool.gradgen.targets.neuron]
source = "models/neuron.py"
output = "generated/neuron_grad.py"
max-muls = 10
max-ops = 40
"""


def write_project(folder: Path) -> None:
    """One target, whose source imports a module beside it."""
    (folder / "models").mkdir()
    (folder / "generated").mkdir()
    (folder / "pyproject.toml").write_text(CONFIGURATION)
    (folder / "models" / "surrogate.py").write_text(SURROGATE)
    (folder / "models" / "neuron.py").write_text(NEURON)


def trust(patch: pytest.MonkeyPatch) -> None:
    """Have this process take what it generates to be exact."""
    exact = Verdict(0, 0, 0, (), (), ())
    judge_by(patch, lambda _: exact)
    patch.setattr(array_generation, "verify_arrays", lambda *_, **__: exact)


def judge_by(patch: pytest.MonkeyPatch, judge: Callable[[Subject], Verdict]) -> None:
    """Have this process judge texts on neurons by something else than JAX."""
    patch.setattr(verdict, "asking", lambda *sources, **_: nullcontext(sources))
    patch.setattr(verdict, "verify", lambda subject, _: judge(subject))


def gradgen(*arguments: object) -> Result:
    """The command in this process and in its working folder."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def command(*arguments: object) -> list[str]:
    """The command line that starts a process of its own."""
    return [sys.executable, "-m", "gradgen", *map(str, arguments)]


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """The command in a process and a process group of its own."""
    root = str(Path(__file__).resolve().parent.parent)
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that has to be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
