"""Numbers of many digits are written as what the source computes them from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from generating import generate_text

from gradgen.ir.code import Const
from gradgen.targets.jax.numbers import forms_in, print_number
from gradgen.verify.recount import recount

SOURCE = """\
def step(v, m):
    slope = 1 / 0.035
    rate = 4.0 * jnp.exp(-(v + 60.0) / 18.0) + 0.07 * jnp.exp((v + 90.0) / 20.0)
    return v + 0.01 * (slope * rate + m * (1.0 - 0.95)) + 2.0 * jnp.pi * m
"""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 0.035, "1.0 / 0.035"),
        (4 / 18, "4.0 / 18.0"),
        (-0.01 / 18, "-0.01 / 18.0"),
        (0.07 / 20, "0.07 / 20.0"),
        (1.0 - 0.95, "1.0 - 0.95"),
        (0.95 - 1.0, "-(1.0 - 0.95)"),
        (math.pi, "jnp.pi"),
        (2 * math.pi, "2.0 * jnp.pi"),
        (0.05, "0.05"),  # short as it is
        (60 / 90, "0.6666666666666666"),  # neither is a factor
        (0.123456789012345, "0.123456789012345"),
        (0.0, "0.0"),
        (math.inf, "jnp.inf"),
        (math.nan, "jnp.nan"),
    ],
)
def test_numbers_are_written_as_in_the_source(value: float, text: str) -> None:
    found = print_number(Const(value), forms_in(SOURCE), single=False)
    assert found.text == text


def test_what_is_written_gives_the_number_to_the_bit() -> None:
    found = forms_in(SOURCE)
    assert len(found) > 10
    for value, form in found.items():
        assert eval(form.text, {"jnp": math}).hex() == value.hex()


def test_in_one_precision_numbers_are_literals() -> None:
    found = print_number(Const(4 / 18), forms_in(SOURCE), single=True)
    assert found.text == "0.22222222"


def test_what_python_computes_is_no_operation() -> None:
    text = "def f(x):\n    return -(1.0 - 0.95) * x + -1.0 / jnp.pi * (x / 18.0)\n"
    counts = recount(text)["f"].counts
    assert dict(counts) == {"mul": 2, "add": 1, "div": 1}


@pytest.mark.usefixtures("trusted")
def test_a_factor_of_the_source_is_the_same_in_its_derivative(tmp_path: Path) -> None:
    """Algebra takes 200 / 7 for it, which is another float."""
    lines = ["def step(v, x):", "    return 1.0 / 0.035 * (v * x + 0.1) * x"]
    text = generate_text(tmp_path, lines).text
    assert "1.0 / 0.035" in text.partition("def _vjp")[2]
    assert "28.57" not in text
