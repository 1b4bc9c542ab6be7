"""A small neuron for tests of reports, and its report without the time that verification takes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from generating import Generated, generate_text

from gradgen.report.collect import collect
from gradgen.report.model_report import ModelReport
from gradgen.verify.verdict import Tally, Verdict

SOURCE = '''"""A neuron for tests, with <b>markup</b> & "quotes" in its docstring.

Equations: dv/dt = (I - v) / tau | a table's bar.
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """One above 0."""
    return jnp.asarray(x > 0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def drive(v, x):
    return jnp.exp(-v) * x


def unused(x):
    return x


def step(state, x, tau=10.0):
    """Advance by a step."""
    v, w = state
    current = drive(v, x) * drive(v, x)
    v = v + 0.1 * (current - w) / tau
    z = spike(v - 1.0)
    w = 0.5 * w + jnp.clip(v, -1.0, 1.0) * v
    return (v * (1.0 - z), w), z
'''


def generated(order: str | None = None) -> Generated:
    """The neuron with its generated module."""
    return _generated(order)


@cache
def _generated(order: str | None) -> Generated:
    with TemporaryDirectory() as folder:
        return generate_text(Path(folder), SOURCE, function="step", order=order)


def verification() -> Verdict:
    """A report as verification could have made it."""
    tallies = (Tally("f", "float32", 1200, 0, 1.5), Tally("vjp", "float32", 600, 2, 0.25))
    return Verdict(1200, 12, 3, tallies, (), ("a warning <about> it",))


def report(order: str | None = None) -> ModelReport:
    """The report on the neuron."""
    return _report(order)


@cache
def _report(order: str | None) -> ModelReport:
    found = generated(order)
    return collect(found.module, found.text, verification())
