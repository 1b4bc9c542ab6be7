"""The models of the gallery against the published equations, in plain numpy or solved by hand.

Where a solution is known in closed form it is the oracle: kernels of the spike response, sums over
pairs of spikes, periods as integrals. Elsewhere it is the differential equation, integrated by a
Runge-Kutta method of fourth order.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_models import ROOT, load, step_of


def run(step, state, inputs):
    """States and outputs over time of (state, inputs) -> (state, outputs), in float64."""
    with jax.enable_x64(True):
        start = jax.tree.map(jnp.asarray, state)
        given = jax.tree.map(jnp.asarray, inputs)
        found = jax.jit(
            lambda: jax.lax.scan(lambda s, x: (lambda new: (new[0], new))(step(s, x)), start, given)
        )()
        return jax.tree.map(np.asarray, found[1])


def constant(value, steps):
    return np.full(steps, float(value))


def spikes_at(steps, times):
    train = np.zeros(steps)
    train[list(times)] = 1.0
    return train


def intervals(z, dt):
    return dt * np.diff(np.flatnonzero(np.asarray(z) > 0.5))


def time_between(velocity, start, stop):
    """How long a scalar autonomous equation dv/dt = velocity(v) takes from start to stop."""
    v = np.linspace(start, stop, 200_001)
    return np.trapezoid(1.0 / velocity(v), v)


def runge_kutta(derivative, state, dt, steps):
    """States over time of dx/dt = derivative(x)."""
    x = np.array(state)
    states = np.empty((steps, *x.shape))
    for k in range(steps):
        k1 = derivative(x)
        k2 = derivative(x + dt / 2 * k1)
        k3 = derivative(x + dt / 2 * k2)
        k4 = derivative(x + dt * k3)
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states[k] = x
    return states


# --- periods of neurons with one variable, by quadrature --------------------------------------


def test_eif_period():
    step = step_of("eif")
    (v,), z = run(lambda s, I: ((step(*s, I)[0],), step(*s, I)[1]), (-65.0,), constant(0.5, 15_000))

    def velocity(v):
        return -0.1 * (v + 65.0) + 0.1 * 3.48 * np.exp((v + 59.9) / 3.48) + 0.5

    wanted = time_between(velocity, -68.0, -30.0)
    assert intervals(z, 0.02)[1:] == pytest.approx(wanted, rel=0.02)
    assert v.max() <= -30.0
    # the rheobase is gL (VT - EL - D) = 0.162
    assert not run(lambda s, I: step(s, I), -65.0, constant(0.16, 30_000))[1].any()
    assert run(lambda s, I: step(s, I), -65.0, constant(0.17, 30_000))[1].any()


def test_qif_period():
    step = step_of("qif")
    for current in (0.06, 0.2):
        _, z = run(step, -65.0, constant(current, 6000))

        def velocity(v, current=current):
            return ((v + 65.0) * (v + 50.0) / 15.0 + 100.0 * current) / 10.0

        wanted = time_between(velocity, -75.0, 20.0)
        assert intervals(z, 0.1)[1:] == pytest.approx(wanted, rel=0.03)
    assert not run(step, -65.0, constant(0.037, 10_000))[1].any()  # below (VT - EL) / 4 / R


def test_theta_period():
    step = step_of("theta")
    for current in (0.04, 1.0):
        theta, z = run(step, 0.0, constant(current, 20_000))
        wanted = np.pi * 10.0 / np.sqrt(current)
        assert intervals(z, 0.1) == pytest.approx(wanted, abs=0.21)
        assert np.all(np.abs(theta) <= np.pi + 1e-9)
    theta, z = run(step, 0.0, constant(-0.2, 5000))
    assert theta[-1] == pytest.approx(-np.arccos(0.8 / 1.2), abs=1e-6)
    assert not z.any()


def test_theta_is_the_quadratic_neuron():
    # v = tan(theta / 2) obeys tau dv/dt = v^2 + I
    step = step_of("theta")
    theta, _ = run(step, -1.0, constant(0.3, 350))
    v = runge_kutta(lambda v: (v * v + 0.3) / 10.0, [np.tan(-0.5)], 0.1, 350)[:, 0]
    assert v[-1] > 1.0
    np.testing.assert_allclose(theta, 2 * np.arctan(v), atol=0.02)


def test_theta_reset_is_not_differentiated():
    step = step_of("theta")
    for theta in (1.0, 3.14):
        slope = jax.grad(lambda t: step(t, 2.0)[0])(theta)
        assert slope == pytest.approx(1.0 - 0.01 * np.sin(theta), abs=1e-6)


def test_cuba_lif_period_without_input():
    step = step_of("cuba_lif_refractory")
    z = run(lambda s, x: step((x, 0.0), s)[::-1], (-60.0, 0.0, 0.0, 0.0), constant(0.0, 5000))[1]
    # from Vr = -60 to VT = -50 towards EL = -49, and 5 ms of rest
    wanted = 20.0 * np.log(11.0 / 1.0) + 5.0
    assert intervals(z, 0.1) == pytest.approx(wanted, rel=0.01)


def test_cuba_lif_inputs_decay_and_refractoriness_ends():
    step = step_of("cuba_lif_refractory")
    start = (-60.0, 0.0, 0.0, 3.0)
    x = (spikes_at(60, [0]), spikes_at(60, [0]))
    (v, ge, gi, wait), _ = run(lambda s, x: step(x, s)[::-1], start, x)
    t = 0.1 * np.arange(60)
    np.testing.assert_allclose(ge, 1.62 * np.exp(-t / 5.0), rtol=1e-12)
    np.testing.assert_allclose(gi, -9.0 * np.exp(-t / 10.0), rtol=1e-12)
    np.testing.assert_array_equal(v[:3], -60.0)
    assert v[3] != -60.0
    np.testing.assert_array_equal(wait[:4], [2.0, 1.0, 0.0, 0.0])


# --- linear neurons, by their kernels ------------------------------------------------------------


def test_resonate_and_fire_below_threshold_is_a_sum_of_oscillations():
    step = step_of("resonate_and_fire")
    current = 10.0 * spikes_at(400, [20, 60]) - 5.0 * spikes_at(400, [100])
    x, y = run(lambda s, I: (step(*s, I)[:2], ()), (0.0, 0.0), current)[0]
    t = 0.02 * np.arange(400)
    wanted = sum(
        np.where(t >= t[k], 0.02 * current[k] * np.exp((-1 + 10j) * (t - t[k])), 0)
        for k in np.flatnonzero(current)
    )
    np.testing.assert_allclose(x + 1j * y, wanted, atol=1e-12)


def test_resonate_and_fire_prefers_its_own_rhythm():
    step = step_of("resonate_and_fire")

    def fires(period):
        current = 40.0 * spikes_at(300, [10, 10 + round(period / 0.02)])
        return run(lambda s, I: (step(*s, I)[:2], step(*s, I)[2]), (0.0, 0.0), current)[1].any()

    own = 2 * np.pi / 10.0
    assert fires(own)
    assert not fires(own / 2)
    assert not fires(own * 1.5)


def test_srm0_is_the_sum_of_its_kernels():
    step = step_of("srm0")
    rng = np.random.default_rng(0)
    x, r = 6.0 * rng.poisson(0.4, 300), rng.uniform(size=300)
    (h, i, _), (z, p) = run(
        lambda s, xr: (lambda new, *out: (new, tuple(out)))(*step(s, *xr)),
        (0.0, 0.0, 0.0),
        (x.astype(float), r),
    )
    # epsilon(k) = (1 - a) sum of a^j b^(k - j), j = 0 to k
    a, b = 0.905, 0.819
    k = np.arange(300)
    epsilon = (1 - a) * (a ** (k + 1) - b ** (k + 1)) / (a - b)
    np.testing.assert_allclose(h, np.convolve(x, epsilon)[:300], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(i, np.convolve(x, b**k)[:300], rtol=1e-9, atol=1e-9)
    times = np.flatnonzero(z)
    assert len(times) > 5
    since = k - np.array([times[times < n].max(initial=-(10**6)) for n in k])
    refractory = -15.0 * 0.905 ** np.minimum(since, 10**4)
    np.testing.assert_allclose(p, 1 - np.exp(-np.exp((h + refractory - 15.0) / 2.0)), atol=1e-9)
    np.testing.assert_array_equal(z, p > r)
    assert jax.grad(lambda x: step((0.0, 0.0, 0.0), x, 0.5)[1])(60.0) > 0.0


def test_lif_traces_are_sums_over_spikes():
    module = load(ROOT / "models" / "lif_traces.py")
    s = np.random.default_rng(1).binomial(1, 0.08, 400).astype(float)
    state = module.LIFTracesState(0.0, 0.0, 0.0, 0.0)
    states, z = run(module.lif_traces_step, state, s)
    k = np.arange(400)
    np.testing.assert_allclose(states.d, np.convolve(s, 0.905**k)[:400], atol=1e-12)
    np.testing.assert_allclose(states.r, np.convolve(s, 0.819**k)[:400], atol=1e-12)
    np.testing.assert_allclose(states.y, np.convolve(z, 0.951**k)[:400], atol=1e-12)
    # each spike subtracts the threshold, which decays like the potential
    drive = 0.3 * (states.d - states.r) - z
    np.testing.assert_allclose(states.v, np.convolve(drive, 0.951**k)[:400], atol=1e-12)
    assert z.sum() > 5


def test_alif_multi_threshold_is_a_sum_over_spikes():
    step = step_of("alif_multi")
    (v, (b1, b2), z), _ = run(step, [0.0, [0.0, 0.0], 0.0], constant(3.0, 800))
    k = np.arange(800)
    before = np.concatenate([[0.0], z[:-1]])
    np.testing.assert_allclose(b1, np.convolve(before, 0.033 * 0.967**k)[:800], atol=1e-12)
    np.testing.assert_allclose(b2, np.convolve(before, 0.00167 * 0.99833**k)[:800], atol=1e-12)
    threshold = 1.0 + 2.0 * b1 + 8.0 * b2
    np.testing.assert_array_equal(z, v > threshold)
    drive = 0.049 * 3.0 - before * threshold
    np.testing.assert_allclose(v, np.convolve(drive, 0.951**k)[:800], atol=1e-9)
    gaps = intervals(z, 1.0)
    assert gaps[0] < gaps[5] < gaps[-1]


def test_glif_multi_adapts_on_three_time_scales():
    module = load(ROOT / "models" / "glif_multi.py")
    step = module.glif_multi_step
    state = module.GlifMultiState(-70.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    states, z = run(step, state, constant(300.0, 10_000))
    k = np.arange(10_000)
    jumps = ((20.0, 6.0, 2.0), (5.0, 1.5, 0.5))
    for found, sizes in zip((states.J, states.H), jumps, strict=True):
        for part, size, tau in zip(found, sizes, (10.0, 100.0, 1000.0), strict=True):
            kernel = size * np.exp(-0.1 * k / tau)
            wanted = np.array([kernel[n - np.flatnonzero(z[: n + 1])].sum() for n in k[::50]])
            np.testing.assert_allclose(part[::50], wanted, rtol=1e-9)
    gaps = intervals(z, 0.1)
    assert gaps[0] < gaps[3] < gaps[10] < gaps[-1]
    # without adaptation, the period of a leaky membrane from Vr to VT: rest is at -10 mV
    free = lambda s, I: step(s, I, dJ=(0.0,) * 3, dH=(0.0,) * 3)  # noqa: E731
    z = run(free, state, constant(300.0, 3000))[1]
    assert intervals(z, 0.1) == pytest.approx(20.0 * np.log(50.0 / 40.0), rel=0.03)


# --- synapses -----------------------------------------------------------------------------------


def test_tsodyks_markram_amplitudes_follow_the_recursion_over_spikes():
    step = step_of("tsodyks_markram")
    for U, tau_f, tau_d in ((0.45, 50.0, 750.0), (0.15, 750.0, 50.0)):
        parameters = {"U": U, "tau_f": tau_f, "tau_d": tau_d}
        s = spikes_at(600, range(50, 600, 50))
        states, _ = run(
            lambda state, s, p=parameters: (step(*state, s, **p), ()), (0.0, 1.0, 0.0), s
        )
        current = states[2]
        u, x, before = U, 1.0, 0.0
        for n in range(50, 600, 50):
            released = u * x
            jump = current[n] - current[n - 1] * np.exp(-1.0 / 20.0)
            assert jump == pytest.approx(100.0 * released, rel=1e-9)
            before = u
            u = before * np.exp(-50.0 / tau_f)
            u = u + U * (1.0 - u)
            x = 1.0 - (1.0 - x * (1.0 - before)) * np.exp(-50.0 / tau_d)
        first, last = current[50], current[550] - current[549] * np.exp(-0.05)
        assert (last < first) == (tau_d > tau_f)


def test_stdp_is_a_sum_over_pairs():
    step = step_of("stdp")
    rng = np.random.default_rng(2)
    pre, post = rng.binomial(1, 0.05, (2, 400)).astype(float)
    (w, _, _), _ = run(lambda s, x: (step(*s, *x), ()), (0.5, 0.0, 0.0), (pre, post))
    delay = np.flatnonzero(post)[:, None] - np.flatnonzero(pre)[None, :]
    potentiation = 0.01 * np.exp(-delay / 20.0)[delay > 0].sum()
    depression = 0.0105 * np.exp(delay / 20.0)[delay < 0].sum()
    assert w[-1] == pytest.approx(0.5 + potentiation - depression, rel=1e-9)
    together = step(0.5, 0.0, 0.0, 1.0, 1.0)
    assert [float(value) for value in together] == [0.5, 1.0, 1.0]
    assert step(0.999, 5.0, 0.0, 0.0, 1.0)[0] == 1.0
    assert step(0.001, 0.0, 5.0, 1.0, 0.0)[0] == 0.0


# --- conductances -------------------------------------------------------------------------------


def test_coba_lif_follows_its_differential_equation_and_is_refractory():
    module = load(ROOT / "models" / "coba_lif.py")
    state = module.CobaLIFState(-60.0, 5.0, 20.0, 0)
    none = np.zeros(200)
    states, _ = run(lambda s, x: module.coba_lif_step(s, *x), state, (none, none, none))

    def derivative(x):
        v, ge, gi = x
        dv = (10.0 * (-60.0 - v) + ge * (0.0 - v) + gi * (-80.0 - v)) / 200.0
        return np.array([dv, -ge / 5.0, -gi / 10.0])

    wanted = runge_kutta(derivative, [-60.0, 5.0, 20.0], 0.1, 200)
    found = np.stack([states.v, states.ge, states.gi], axis=1)
    np.testing.assert_allclose(found[:, 1:], wanted[:, 1:], rtol=1e-5)
    np.testing.assert_allclose(found[:, 0], wanted[:, 0], atol=0.05)

    none = np.zeros(3000)
    current = none + 200.0
    states, z = run(lambda s, x: module.coba_lif_step(s, *x), state, (none, none, current))
    # towards -60 + 200 / 10 = -40 mV from Vr = -60 to VT = -50 with tau = 20 ms, and 5 ms of rest
    assert intervals(z, 0.1)[2:] == pytest.approx(20.0 * np.log(2.0) + 5.0, abs=0.15)
    after = np.flatnonzero(z)[1]
    np.testing.assert_array_equal(states.v[after : after + 51], -60.0)
    assert states.v[after + 51] > -60.0
    assert states.wait.dtype == np.int64


def linear_over_exponential(x):
    """x / (1 - exp(-x)), also at zero."""
    small = np.abs(x) < 1e-6
    return np.where(small, 1.0 + x / 2.0, x / -np.expm1(-np.where(small, 1.0, x)))


def wang_buzsaki(x, current):
    """Equations 1 and 2 of Wang and Buzsaki (1996), with the rates of their methods."""
    v, h, n = x
    am, bm = linear_over_exponential((v + 35.0) / 10.0), 4.0 * np.exp(-(v + 60.0) / 18.0)
    ah, bh = 0.07 * np.exp(-(v + 58.0) / 20.0), 1.0 / (np.exp(-0.1 * (v + 28.0)) + 1.0)
    an = 0.1 * linear_over_exponential((v + 34.0) / 10.0)
    bn = 0.125 * np.exp(-(v + 44.0) / 80.0)
    sodium = 35.0 * (am / (am + bm)) ** 3 * h * (v - 55.0)
    potassium = 9.0 * n**4 * (v + 90.0)
    return np.array(
        [
            current - sodium - potassium - 0.1 * (v + 65.0),
            5.0 * (ah * (1 - h) - bh * h),
            5.0 * (an * (1 - n) - bn * n),
        ]
    )


def traub_miles(x, current):
    """The cell of COBAHH, its rates with the potentials written out for VT = -63 mV."""
    v, m, h, n = x
    am = 1.28 * linear_over_exponential((v + 50.0) / 4.0)
    bm = 1.4 * linear_over_exponential(-(v + 23.0) / 5.0)
    ah, bh = 0.128 * np.exp(-(v + 46.0) / 18.0), 4.0 / (1.0 + np.exp(-(v + 23.0) / 5.0))
    an = 0.16 * linear_over_exponential((v + 48.0) / 5.0)
    bn = 0.5 * np.exp(-(v + 53.0) / 40.0)
    ionic = 100.0 * m**3 * h * (v - 50.0) + 30.0 * n**4 * (v + 90.0) + 0.05 * (v + 65.0)
    gates = [a * (1 - g) - b * g for a, b, g in ((am, bm, m), (ah, bh, h), (an, bn, n))]
    return np.array([current - ionic, *gates])


@pytest.mark.parametrize(
    ("model", "equations", "start", "current", "dt"),
    [
        ("wang_buzsaki", wang_buzsaki, (-64.0, 0.78, 0.09), 2.0, 0.01),
        ("traub_miles", traub_miles, (-65.0, 0.01, 0.99, 0.02), 2.0, 0.02),
    ],
)
def test_hodgkin_huxley_type_neurons_follow_their_differential_equations(
    model, equations, start, current, dt
):
    step = step_of(model)
    steps = round(60.0 / dt)
    found = np.stack(run(lambda s, I: (step(*s, I), ()), start, constant(current, steps))[0], 1)
    wanted = runge_kutta(lambda x: equations(x, current), start, dt, steps)

    def crossings(states):
        return dt * np.flatnonzero((states[:-1, 0] < 0.0) & (states[1:, 0] >= 0.0))

    assert len(crossings(wanted)) >= 3
    assert crossings(found) == pytest.approx(crossings(wanted), rel=0.04)
    # the first 5 ms, before the times of spikes drift apart
    np.testing.assert_allclose(found[: round(5 / dt)], wanted[: round(5 / dt)], atol=0.2)
    assert found[:, 1:].min() >= 0.0
    assert found[:, 1:].max() <= 1.0


def test_one_step_is_that_of_the_differential_equation():
    rng = np.random.default_rng(3)
    v, gates = rng.uniform(-90.0, 50.0, 100), rng.uniform(0.0, 1.0, (3, 100))
    with jax.enable_x64(True):
        old = np.stack([v, *gates[:2]])
        new = np.stack(step_of("wang_buzsaki")(*old, 1.5))
        np.testing.assert_allclose((new - old) / 0.01, wang_buzsaki(old, 1.5), rtol=1e-8)
        old = np.stack([v, *gates])
        new = np.stack(step_of("traub_miles")(*old, 1.5))
        wanted = traub_miles(old, 1.5)
        np.testing.assert_allclose((new - old)[0] / 0.02, wanted[0], rtol=1e-8)
        # gates: the exact solution for a fixed potential
        fixed = runge_kutta(lambda x: np.stack([0 * v, *traub_miles(x, 1.5)[1:]]), old, 0.002, 10)
        np.testing.assert_allclose(new[1:], fixed[-1, 1:], atol=1e-6)


def test_hodgkin_huxley_type_neurons_rest_without_a_current():
    for model, start, rest in (
        ("wang_buzsaki", (-64.0, 0.78, 0.09), -64.0),
        ("traub_miles", (-65.0, 0.01, 0.99, 0.02), -64.8),
    ):
        step = step_of(model)
        v = run(lambda s, I, step=step: (step(*s, I), ()), start, constant(0.0, 20_000))[0][0]
        assert v[-1] == pytest.approx(rest, abs=0.3)


def naud_sprekeler(x, soma, dendrite):
    """The equations of Naud and Sprekeler (2018) below threshold, with their signs."""
    vs, ws, vd, wd = x
    plateau = 1.0 / (1.0 + np.exp(-(vd + 38.0) / 6.0))
    return np.array(
        [
            -(vs + 70.0) / 16.0 + (1300.0 * plateau + ws + soma) / 370.0,
            -ws / 100.0,
            -(vd + 70.0) / 7.0 + (1200.0 * plateau + wd + dendrite) / 170.0,
            (-wd - 13.0 * (vd + 70.0)) / 30.0,
        ]
    )


def test_two_compartment_follows_its_differential_equations_below_threshold():
    module = load(ROOT / "models" / "two_compartment.py")
    state = module.TwoCompartmentState(-65.0, 100.0, -75.0, 20.0, 0.0)
    inputs = (constant(200.0, 1000), constant(300.0, 1000))
    states, z = run(lambda s, x: module.two_compartment_step(s, *x), state, inputs)
    assert not z.any()
    wanted = runge_kutta(
        lambda x: naud_sprekeler(x, 200.0, 300.0), [-65.0, -100.0, -75.0, -20.0], 0.1, 1000
    )
    np.testing.assert_allclose(states.vs, wanted[:, 0], atol=0.1)
    np.testing.assert_allclose(-states.ws, wanted[:, 1], atol=0.1)
    np.testing.assert_allclose(states.vd, wanted[:, 2], atol=0.2)
    np.testing.assert_allclose(-states.wd, wanted[:, 3], atol=0.5)


def test_two_compartment_bursts_when_both_are_driven():
    module = load(ROOT / "models" / "two_compartment.py")
    state = module.TwoCompartmentState(-70.0, 0.0, -70.0, 0.0, 0.0)

    def spike_times(soma, dendrite):
        inputs = (constant(soma, 4000), constant(dendrite, 4000))
        z = run(lambda s, x: module.two_compartment_step(s, *x), state, inputs)[1]
        return intervals(z, 0.1)

    assert len(spike_times(0.0, 400.0)) == 0
    assert spike_times(550.0, 0.0).min() > 50.0
    assert (spike_times(550.0, 400.0) < 12.0).sum() >= 5
