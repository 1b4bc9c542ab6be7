"""Modules within modules, of which two are of one class and differ in what is static."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp


class State(NamedTuple):
    v: jax.Array
    i: jax.Array


class Synapse(eqx.Module):
    beta: jax.Array
    sign: str = eqx.field(static=True)

    def __call__(self, i, x):
        return self.beta * i + (x if self.sign == "excitatory" else -0.5 * x)


class Neuron(eqx.Module):
    excitatory: Synapse
    inhibitory: Synapse
    scales: dict

    def step(self, state: State, x):
        i = self.excitatory(state.i, x) + self.inhibitory(state.i, x)
        v = state.v + (self.scales["gain"] * i - state.v) / self.scales["tau"]
        return State(v, i), jax.nn.sigmoid(v - 1.0)


neuron = Neuron(
    Synapse(jnp.array(0.9), "excitatory"),
    Synapse(jnp.array(0.8), "inhibitory"),
    {"gain": jnp.array(2.0), "tau": jnp.array(20.0)},
)
