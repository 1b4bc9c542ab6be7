"""What each model of the gallery is driven with, and what its picture shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Step = Callable[..., Any]
Traces = Mapping[str, Any]


def flat(step: Step, state: Any, inputs: Any) -> tuple[Any, Any]:
    """A step on scalars: (*state, *inputs) -> (*state, *outputs)."""
    results = step(*state, *inputs)
    return tuple(results[: len(state)]), tuple(results[len(state) :])


def packed(step: Step, state: Any, inputs: Any) -> tuple[Any, Any]:
    """A step on a container: (state, *inputs) -> (state, *outputs)."""
    new, *outputs = step(state, *inputs)
    return new, tuple(outputs)


@dataclass(frozen=True)
class Drive:
    """A simulation of one model and the panels of its picture."""

    caption: str
    """What there is to see."""
    dt: float
    duration: float
    start: Any
    """The first state; a dict is the fields of a NamedTuple of the model's file."""
    inputs: Callable[[np.ndarray], Traces]
    """From the times of the steps to the inputs in the order of the step's arguments, by label."""
    panels: Callable[[Any, Any], Traces]
    """From states and outputs over time to what is drawn, by label."""
    spikes: Callable[[Any, Any], Any] | None = None
    """From states and outputs over time to the spikes: above 0.5 where there is one."""
    call: Callable[[Step, Any, Any], tuple[Any, Any]] = flat
    state_class: str | None = None
    unit: str = "ms"


def pulse(t: np.ndarray, first: float, last: float, height: float) -> np.ndarray:
    """A step of current that ends again."""
    return np.where((t >= first) & (t < last), height, 0.0)


def events(t: np.ndarray, times: Any) -> np.ndarray:
    """1 in the steps that hold one of these times, else 0."""
    dt = t[1] - t[0]
    train = np.zeros_like(t)
    train[np.rint(np.asarray(times) / dt).astype(int)] = 1.0
    return train


def poisson(t: np.ndarray, mean: float, seed: int) -> np.ndarray:
    """A random number of spikes in each step."""
    return np.random.default_rng(seed).poisson(mean, t.shape).astype(float)


def _first_output(states: Any, outputs: Any) -> Any:
    return outputs[0]


DRIVES: Mapping[str, Drive] = {
    "adex": Drive(
        caption="A step of 800 pA: the intervals between spikes grow with the adaptation w.",
        dt=0.5,
        duration=500.0,
        start=(-70.6, 0.0),
        inputs=lambda t: {"I (pA)": pulse(t, 50, 450, 800.0)},
        panels=lambda s, out: {"v (mV)": s[0], "w (pA)": s[1]},
        spikes=_first_output,
    ),
    "alif": Drive(
        caption="Under a constant input the graded spike s is strong at first; then A goes down "
        "and the threshold up.",
        dt=1.0,
        duration=800.0,
        start=(0.0, -10.9),
        inputs=lambda t: {"S": pulse(t, 100, 700, 0.08)},
        panels=lambda s, out: {"U": s[0], "A": s[1], "s": out[0]},
    ),
    "alif_multi": Drive(
        caption="The first intervals grow within some 30 ms, the later ones within hundreds.",
        dt=1.0,
        duration=1000.0,
        start=[0.0, [0.0, 0.0], 0.0],
        inputs=lambda t: {"x": pulse(t, 100, 900, 3.0)},
        panels=lambda s, out: {"v": s[0], "threshold": 1.0 + 2.0 * s[1][0] + 8.0 * s[1][1]},
        spikes=_first_output,
        call=packed,
    ),
    "coba_lif": Drive(
        caption="Random excitatory spikes throughout, inhibitory ones after 200 ms: the inhibition "
        "shunts the membrane. After a spike the potential is held for 5 ms.",
        dt=0.1,
        duration=400.0,
        start={"v": -60.0, "ge": 0.0, "gi": 0.0, "wait": 0},
        inputs=lambda t: {
            "se": poisson(t, 0.06, 1),
            "si": poisson(t, 0.006, 2) * (t > 200),
            "I (pA)": 0.0 * t,
        },
        panels=lambda s, out: {"v (mV)": s.v, "ge (nS)": s.ge, "gi (nS)": s.gi},
        spikes=_first_output,
        call=packed,
        state_class="CobaLIFState",
    ),
    "cuba_lif_refractory": Drive(
        caption="The neuron fires by itself, since its rest is above the threshold; inhibitory "
        "spikes delay it, excitatory ones advance it.",
        dt=0.1,
        duration=400.0,
        start=(-60.0, 0.0, 0.0, 0.0),
        inputs=lambda t: {
            "se": poisson(t, 0.02, 3) * (t > 260),
            "si": events(t, [100.0, 130.0, 160.0]),
        },
        panels=lambda s, out: {"v (mV)": s[0], "ge + gi (mV)": s[1] + s[2]},
        spikes=_first_output,
        call=lambda step, state, x: (lambda z, new: (new, (z,)))(*step(x, state)),
    ),
    "cuba_lif_state": Drive(
        caption="A regular train of presynaptic spikes, filtered by the synapse, makes the neuron "
        "fire regularly.",
        dt=1.0,
        duration=200.0,
        start={"v": 0.0, "i": 0.0, "z": 0.0},
        inputs=lambda t: {"x": events(t, np.arange(30, 160, 6))},
        panels=lambda s, out: {"v": s.v, "i": s.i},
        spikes=_first_output,
        call=packed,
        state_class="CubaLIFState",
        unit="steps",
    ),
    "eif": Drive(
        caption="Above VT = -59.9 mV the membrane runs away by itself; the spike is cut off at "
        "-30 mV.",
        dt=0.02,
        duration=250.0,
        start=(-65.0,),
        inputs=lambda t: {"I (uA/cm$^2$)": pulse(t, 25, 225, 0.4)},
        panels=lambda s, out: {"v (mV)": s[0]},
        spikes=_first_output,
    ),
    "fitzhugh_nagumo": Drive(
        caption="The stimulus turns the stable rest into an oscillation.",
        dt=0.1,
        duration=300.0,
        start=(-1.1994, -0.6243),
        inputs=lambda t: {"I": pulse(t, 50, 230, 0.5)},
        panels=lambda s, out: {"v": s[0], "w": s[1]},
        unit="time units",
    ),
    "glif": Drive(
        caption="After-spike currents and the threshold theta make the intervals grow.",
        dt=0.1,
        duration=500.0,
        start=(-70.0, 0.0, 0.0, 0.0),
        inputs=lambda t: {"I (pA)": pulse(t, 50, 400, 300.0)},
        panels=lambda s, out: {
            "V (mV)": s[0],
            "J1 + J2 (pA)": s[1] + s[2],
            "theta (mV)": s[3],
        },
        spikes=_first_output,
        call=lambda step, state, x: (lambda new, z: (new, (z,)))(*step(*state, *x)),
    ),
    "glif_multi": Drive(
        caption="Adaptation without a time scale of its own: the rate falls fast in the first "
        "100 ms and is still falling after seconds.",
        dt=0.1,
        duration=3000.0,
        start={"v": -70.0, "J": (0.0, 0.0, 0.0), "H": (0.0, 0.0, 0.0)},
        inputs=lambda t: {"I (pA)": pulse(t, 250, 2500, 300.0)},
        panels=lambda s, out: {"v (mV)": s.v, "J (pA)": sum(s.J), "H (mV)": sum(s.H)},
        spikes=_first_output,
        call=packed,
        state_class="GlifMultiState",
    ),
    "hodgkin_huxley": Drive(
        caption="10 uA/cm$^2$ make the axon fire at about 70 Hz.",
        dt=0.01,
        duration=120.0,
        start=(-65.0, 0.053, 0.596, 0.318),
        inputs=lambda t: {"I (uA/cm$^2$)": pulse(t, 20, 100, 10.0)},
        panels=lambda s, out: {"v (mV)": s[0], "m, h, n": np.stack(s[1:], axis=1)},
    ),
    "izhikevich": Drive(
        caption="The regular-spiking cell: the first intervals are short.",
        dt=0.5,
        duration=500.0,
        start=(-70.0, -14.0),
        inputs=lambda t: {"I (mV/ms)": pulse(t, 50, 450, 10.0)},
        panels=lambda s, out: {"v (mV)": s[0], "u (mV/ms)": s[1]},
        spikes=_first_output,
    ),
    "lif": Drive(
        caption="Without a reset the neuron signals in every step in which it is above the "
        "threshold.",
        dt=1.0,
        duration=200.0,
        start=(0.0, 0.0),
        inputs=lambda t: {"S": pulse(t, 30, 60, 1.9) + pulse(t, 100, 150, 1.3)},
        panels=lambda s, out: {"U": s[0], "I": s[1]},
        spikes=_first_output,
        unit="steps",
    ),
    "lif_2023": Drive(
        caption="The gate takes the potential back to zero at a spike; the current saturates.",
        dt=1.0,
        duration=200.0,
        start=(0.0, 0.0),
        inputs=lambda t: {"S": pulse(t, 30, 160, 6.0)},
        panels=lambda s, out: {"U": s[0], "I": s[1]},
        spikes=_first_output,
        call=lambda step, state, x: (lambda z, *new: (tuple(new), (z,)))(
            *step(*state, *x, 0.95, 0.9, 0.5)
        ),
        unit="steps",
    ),
    "lif_reset": Drive(
        caption="The same neuron without read-outs, under a constant input.",
        dt=1.0,
        duration=200.0,
        start=(0.0, 0.0),
        inputs=lambda t: {"S": pulse(t, 30, 160, 2.0)},
        panels=lambda s, out: {"U": s[0], "I": s[1]},
        spikes=_first_output,
        unit="steps",
    ),
    "lif_traces": Drive(
        caption="Each presynaptic spike adds a current that rises and decays; y is the trace of "
        "the neuron's own spikes.",
        dt=1.0,
        duration=400.0,
        start={"v": 0.0, "d": 0.0, "r": 0.0, "y": 0.0},
        inputs=lambda t: {"s": events(t, [20, 60, *range(120, 380, 13)])},
        panels=lambda s, out: {"v": s.v, "d - r": s.d - s.r, "y": s.y},
        spikes=_first_output,
        call=packed,
        state_class="LIFTracesState",
    ),
    "morris_lecar": Drive(
        caption="At 100 uA/cm$^2$ the fibre oscillates.",
        dt=0.1,
        duration=700.0,
        start=(-60.9, 0.0149),
        inputs=lambda t: {"I (uA/cm$^2$)": pulse(t, 50, 600, 100.0)},
        panels=lambda s, out: {"V (mV)": s[0], "N": s[1]},
    ),
    "qif": Drive(
        caption="A current below R I = 3.75 mV leaves the neuron at rest; one just above makes it "
        "fire slowly.",
        dt=0.1,
        duration=600.0,
        start=(-65.0,),
        inputs=lambda t: {"I (nA)": pulse(t, 50, 200, 0.03) + pulse(t, 250, 550, 0.05)},
        panels=lambda s, out: {"v (mV)": s[0]},
        spikes=_first_output,
    ),
    "resonate_and_fire": Drive(
        caption="Two pairs of the same pulses: half a period of the oscillation apart they cancel, "
        "a whole period apart they add up to a spike.",
        dt=0.02,
        duration=8.0,
        start=(0.0, 0.0),
        inputs=lambda t: {"I": 42.0 * events(t, [0.6, 0.92, 4.6, 5.22])},
        panels=lambda s, out: {"y": s[1], "x": s[0]},
        spikes=_first_output,
        unit="time units",
    ),
    "srm0": Drive(
        caption="Random input and a noisy threshold: spikes are likely where the probability p is "
        "large, and unlikely for a while after one.",
        dt=1.0,
        duration=500.0,
        start=(0.0, 0.0, 0.0),
        inputs=lambda t: {
            "x (mV)": 5.0 * poisson(t, 0.5, 7) * (t > 50) * (t < 400),
            "r": np.random.default_rng(8).uniform(size=t.shape),
        },
        panels=lambda s, out: {"h + e (mV)": s[0] + s[2], "p": out[1]},
        spikes=_first_output,
        call=packed,
    ),
    "stdp": Drive(
        caption="Ten pairs with the presynaptic spike first strengthen the synapse, ten with the "
        "postsynaptic one first weaken it.",
        dt=1.0,
        duration=2200.0,
        start=(0.5, 0.0, 0.0),
        inputs=lambda t: {
            "pre": events(t, [*np.arange(100, 1100, 100), *np.arange(1210, 2200, 100)]),
            "post": events(t, [*np.arange(110, 1100, 100), *np.arange(1200, 2200, 100)]),
        },
        panels=lambda s, out: {"w": s[0], "p, q": np.stack(s[1:], axis=1)},
    ),
    "theta": Drive(
        caption="A negative input holds the phase; a positive one moves it around the circle, a "
        "spike at each passage through pi.",
        dt=0.1,
        duration=600.0,
        start=(-0.63,),
        inputs=lambda t: {"I": -0.1 + pulse(t, 100, 500, 0.25)},
        panels=lambda s, out: {"theta (rad)": s[0], "1 - cos(theta)": 1.0 - np.cos(s[0])},
        spikes=_first_output,
    ),
    "traub_miles": Drive(
        caption="A step of current makes the cell fire regularly.",
        dt=0.02,
        duration=200.0,
        start=(-64.9, 0.005, 1.0, 0.02),
        inputs=lambda t: {"I (uA/cm$^2$)": pulse(t, 25, 175, 2.0)},
        panels=lambda s, out: {"v (mV)": s[0], "m, h, n": np.stack(s[1:], axis=1)},
    ),
    "tsodyks_markram": Drive(
        caption="A train of ten spikes at 20 Hz uses the resources x up; half a second later they "
        "have recovered in part.",
        dt=1.0,
        duration=1200.0,
        start=(0.0, 1.0, 0.0),
        inputs=lambda t: {"s": events(t, [*np.arange(50, 550, 50), 1000])},
        panels=lambda s, out: {"i (pA)": s[2], "u, x": np.stack(s[:2], axis=1)},
    ),
    "two_compartment": Drive(
        caption="Driven in the soma the neuron fires single spikes, driven in the dendrite none, "
        "driven in both it fires bursts on plateaus of the dendrite.",
        dt=0.1,
        duration=1200.0,
        start={"vs": -70.0, "ws": 0.0, "vd": -70.0, "wd": 0.0, "k": 0.0},
        inputs=lambda t: {
            "Is (pA)": pulse(t, 50, 350, 550.0) + pulse(t, 800, 1150, 550.0),
            "Id (pA)": pulse(t, 425, 725, 400.0) + pulse(t, 800, 1150, 400.0),
        },
        panels=lambda s, out: {"vs (mV)": s.vs, "vd (mV)": s.vd},
        spikes=_first_output,
        call=packed,
        state_class="TwoCompartmentState",
    ),
    "wang_buzsaki": Drive(
        caption="Brief spikes, after each of which the membrane falls to -67 mV only; the next one "
        "can come soon.",
        dt=0.01,
        duration=120.0,
        start=(-64.0, 0.78, 0.09),
        inputs=lambda t: {"I (uA/cm$^2$)": pulse(t, 20, 100, 1.0)},
        panels=lambda s, out: {"v (mV)": s[0], "h, n": np.stack(s[1:], axis=1)},
    ),
}
