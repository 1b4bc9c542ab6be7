"""Five neurons' step functions on plain scalars, for whatever differentiates them.

Each is written once and takes the namespace of elementary functions that a tool provides, so that
every tool gets the same expressions with the same literals. They are the steps of `models/`; there
a spike's slope is a derivative rule, here the step returns the distance to the threshold and the
tool multiplies that row of the Jacobian by the slope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Step = Callable[..., tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """A step function and what it is differentiated with respect to."""

    name: str
    model: str
    """The file in `models/`."""
    step: Step
    arguments: tuple[str, ...]
    wrt: tuple[str, ...]
    spikes: tuple[int, ...] = ()
    """Outputs that are distances to the threshold of a spike with a surrogate slope."""


def sigmoid(m: Any, x: Any) -> Any:
    """The logistic function: the tool's own where it has one, else by its formula."""
    return m.sigmoid(x) if hasattr(m, "sigmoid") else 1.0 / (1.0 + m.exp(-x))


def slope(m: Any, x: Any) -> Any:
    """The surrogate derivative of the spike."""
    return 1.0 / (10.0 * m.abs(x) + 1.0)


def lif(m: Any, U: Any, I: Any, S: Any, a: Any, b: Any, th: Any) -> tuple[Any, ...]:  # noqa: E741
    """Leaky integrate-and-fire; the third output is the distance to the threshold."""
    U_next = a * U + (1.0 - a) * I
    return U_next, b * I + (1.0 - b) * S, U_next - th


def alif(m: Any, U: Any, A: Any, S: Any, alpha: Any, th: Any, beta: Any, rho: Any) -> Any:
    """Adaptive leaky integrate-and-fire."""
    U_next = alpha * U + S
    s = sigmoid(m, U_next - (th + beta * A))
    return U_next, rho * A - s, s


def izh(m: Any, v: Any, u: Any, I: Any, a: Any, b: Any, c: Any, d: Any) -> Any:  # noqa: E741
    """Izhikevich with a smooth reset."""
    v1 = v + 0.5 * (0.04 * v**2 + 5.0 * v + 140.0 - u + I)
    u1 = u + 0.5 * a * (b * v - u)
    s = sigmoid(m, v1 - 30.0)
    return v1 + s * (c - v1), u1 + s * d, s


def adex(m: Any, *arguments: Any) -> Any:
    """Adaptive exponential integrate-and-fire with a smooth reset."""
    v, w, I, C, gL, EL, D, VT, tw, a, Vr, b = arguments  # noqa: E741
    from_rest = v - EL
    upswing = gL * D * m.exp((v - VT) / D)
    v1 = v + 0.5 / C * (-gL * from_rest + upswing - w + I)
    w1 = w + 0.5 / tw * (a * from_rest - w)
    s = sigmoid(m, v1)
    return v1 + s * (Vr - v1), w1 + s * b, s


def hh(m: Any, v: Any, M: Any, h: Any, n: Any, I: Any, gNa: Any, gK: Any, gL: Any) -> Any:  # noqa: E741
    """Hodgkin and Huxley; M is the activation of the sodium channels."""
    am = 0.1 * (v + 40.0) / (1.0 - m.exp(-(v + 40.0) / 10.0))
    bm = 4.0 * m.exp(-(v + 65.0) / 18.0)
    ah = 0.07 * m.exp(-(v + 65.0) / 20.0)
    bh = 1.0 / (1.0 + m.exp(-(v + 35.0) / 10.0))
    an = 0.01 * (v + 55.0) / (1.0 - m.exp(-(v + 55.0) / 10.0))
    bn = 0.125 * m.exp(-(v + 65.0) / 80.0)
    I_Na = gNa * M**3 * h * (v - 50.0)
    I_K = gK * n**4 * (v + 77.0)
    I_L = gL * (v + 54.4)
    return (
        v + 0.01 * (I - I_Na - I_K - I_L),
        M + 0.01 * (am * (1.0 - M) - bm * M),
        h + 0.01 * (ah * (1.0 - h) - bh * h),
        n + 0.01 * (an * (1.0 - n) - bn * n),
    )


def _cases() -> tuple[Case, ...]:
    table: tuple[tuple[str, str, Step, str, str, tuple[int, ...]], ...] = (
        ("lif", "lif", lif, "U I S", "a b th", (2,)),
        ("alif", "alif", alif, "U A S", "alpha th beta rho", ()),
        ("izh", "izhikevich", izh, "v u I", "a b c d", ()),
        ("adex", "adex", adex, "v w I", "C gL EL D VT tw a Vr b", ()),
        ("hh", "hodgkin_huxley", hh, "v m h n I", "gNa gK gL", ()),
    )
    cases = []
    for name, model, step, states, parameters, spikes in table:
        first, rest = tuple(states.split()), tuple(parameters.split())
        cases.append(Case(f"{name} i", model, step, first + rest, first, spikes))
        cases.append(Case(f"{name} ii", model, step, first + rest, first + rest, spikes))
    return tuple(cases)


CASES = _cases()
"""Each model twice: with respect to states and input, and to the parameters as well."""
