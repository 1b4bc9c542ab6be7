"""The Jacobians of the five neurons of `benchmarks.rival_models`, derived and simplified by hand.

Each function takes the step's arguments and returns the outputs and, by the output's number and
the argument's name, the entries of the Jacobian that are not zero. `benchmarks.speed` compares
them with `jax.jacfwd` before it times them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.rival_models import slope

Entries = Mapping[tuple[int, str], Any]
ByHand = Callable[..., tuple[tuple[Any, ...], Entries]]


def lif(U: Any, I: Any, S: Any, a: Any, b: Any, th: Any) -> tuple[tuple[Any, ...], Entries]:  # noqa: E741
    """A chain rule of two terms: the spike's row is that of the potential times its slope."""
    U_next = a * U + (1.0 - a) * I
    I_next = b * I + (1.0 - b) * S
    p = slope(jnp, U_next - th)
    charging = {"U": a, "I": 1.0 - a, "a": U - I}
    return (U_next, I_next, (U_next > th).astype(U_next.dtype)), {
        **{(0, x): entry for x, entry in charging.items()},
        (1, "I"): b,
        (1, "S"): 1.0 - b,
        (1, "b"): I - S,
        **{(2, x): p * entry for x, entry in charging.items()},
        (2, "th"): -p,
    }


def alif(U: Any, A: Any, S: Any, alpha: Any, th: Any, beta: Any, rho: Any) -> Any:
    """The adaptation's row is that of the spike, negated, and its decay."""
    U_next = alpha * U + S
    s = jax.nn.sigmoid(U_next - (th + beta * A))
    p = s * (1.0 - s)
    spike = {"U": p * alpha, "A": -p * beta, "S": p, "alpha": p * U, "th": -p, "beta": -p * A}
    return (U_next, rho * A - s, s), {
        (0, "U"): alpha,
        (0, "S"): 1.0,
        (0, "alpha"): U,
        **{(1, x): -entry for x, entry in spike.items()},
        (1, "A"): rho - spike["A"],
        (1, "rho"): A,
        **{(2, x): entry for x, entry in spike.items()},
    }


def izh(v: Any, u: Any, I: Any, a: Any, b: Any, c: Any, d: Any) -> Any:  # noqa: E741
    """The reset acts through the potential before it, whose row is short."""
    v1 = v + 0.5 * (0.04 * v**2 + 5.0 * v + 140.0 - u + I)
    short = b * v - u
    u1 = u + 0.5 * a * short
    s = jax.nn.sigmoid(v1 - 30.0)
    p = s * (1.0 - s)
    reset, jump = 1.0 - s + p * (c - v1), p * d
    before = {"v": 3.5 + 0.04 * v, "u": -0.5, "I": 0.5}
    recovery = {"v": 0.5 * a * b, "u": 1.0 - 0.5 * a, "a": 0.5 * short, "b": 0.5 * a * v}
    return (v1 + s * (c - v1), u1 + s * d, s), _through(
        before, recovery, reset, jump, p, s, "c", "d"
    )


def adex(*arguments: Any) -> Any:
    """As for Izhikevich's, with more parameters in front."""
    v, w, I, C, gL, EL, D, VT, tw, a, Vr, b = arguments  # noqa: E741
    k, q, away = 0.5 / C, 0.5 / tw, v - EL
    x = (v - VT) / D
    e = jnp.exp(x)
    change = k * (-gL * away + gL * D * e - w + I)
    v1 = v + change
    drift = q * (a * away - w)
    w1 = w + drift
    s = jax.nn.sigmoid(v1)
    p = s * (1.0 - s)
    reset, jump = 1.0 - s + p * (Vr - v1), p * b
    leak = k * gL
    steep = leak * e
    before = {
        "v": 1.0 + steep - leak,
        "w": -k,
        "I": k,
        "C": -change / C,
        "gL": k * (D * e - away),
        "EL": leak,
        "D": steep * (1.0 - x),
        "VT": -steep,
    }
    adaptation = {"v": q * a, "w": 1.0 - q, "tw": -drift / tw, "a": q * away, "EL": -q * a}
    outputs = (v1 + s * (Vr - v1), w1 + s * b, s)
    return outputs, _through(before, adaptation, reset, jump, p, s, "Vr", "b")


def _through(
    before: Mapping[str, Any],
    second: Mapping[str, Any],
    reset: Any,
    jump: Any,
    p: Any,
    s: Any,
    level: str,
    added: str,
) -> Entries:
    """The rows of a neuron with a smooth reset to `level`, by which `added` is added."""
    entries = {(0, x): reset * entry for x, entry in before.items()} | {(0, level): s}
    entries |= {(1, x): jump * before[x] if x in before else 0.0 for x in (*before, *second)}
    for x, entry in second.items():
        entries[1, x] = entries[1, x] + entry
    return {**entries, (1, added): s, **{(2, x): p * entry for x, entry in before.items()}}


def hh(v: Any, M: Any, h: Any, n: Any, I: Any, gNa: Any, gK: Any, gL: Any) -> Any:  # noqa: E741
    """The rates' derivatives in terms of the rates."""
    e_m, e_n = jnp.exp(-(v + 40.0) / 10.0), jnp.exp(-(v + 55.0) / 10.0)
    r_m, r_n = 1.0 / (1.0 - e_m), 1.0 / (1.0 - e_n)
    am, an = 0.1 * (v + 40.0) * r_m, 0.01 * (v + 55.0) * r_n
    bm, ah = 4.0 * jnp.exp(-(v + 65.0) / 18.0), 0.07 * jnp.exp(-(v + 65.0) / 20.0)
    bh, bn = jax.nn.sigmoid((v + 35.0) / 10.0), 0.125 * jnp.exp(-(v + 65.0) / 80.0)
    to_Na, to_K, to_L = 0.01 * (v - 50.0), 0.01 * (v + 77.0), 0.01 * (v + 54.4)
    m2, n3 = M * M, n * n * n
    m2h, n4 = m2 * h, n3 * n
    m3h = m2h * M
    outputs = (
        v + 0.01 * I - gNa * m3h * to_Na - gK * n4 * to_K - gL * to_L,
        M + 0.01 * (am * (1.0 - M) - bm * M),
        h + 0.01 * (ah * (1.0 - h) - bh * h),
        n + 0.01 * (an * (1.0 - n) - bn * n),
    )
    driven = gNa * to_Na
    return outputs, {
        (0, "v"): 1.0 - 0.01 * (gNa * m3h + gK * n4 + gL),
        (0, "m"): -3.0 * m2h * driven,
        (0, "h"): -m2 * M * driven,
        (0, "n"): -4.0 * gK * n3 * to_K,
        (0, "I"): 0.01,
        (0, "gNa"): -m3h * to_Na,
        (0, "gK"): -n4 * to_K,
        (0, "gL"): -to_L,
        (1, "v"): 0.01 * ((0.1 - 0.1 * am * e_m) * r_m * (1.0 - M) + bm / 18.0 * M),
        (1, "m"): 1.0 - 0.01 * (am + bm),
        (2, "v"): -0.01 * (ah / 20.0 * (1.0 - h) + 0.1 * bh * (1.0 - bh) * h),
        (2, "h"): 1.0 - 0.01 * (ah + bh),
        (3, "v"): 0.01 * ((0.01 - 0.1 * an * e_n) * r_n * (1.0 - n) + bn / 80.0 * n),
        (3, "n"): 1.0 - 0.01 * (an + bn),
    }


BY_HAND: Mapping[str, ByHand] = {"lif": lif, "alif": alif, "izh": izh, "adex": adex, "hh": hh}
"""By the name that a case begins with."""
