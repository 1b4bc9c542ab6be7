"""Source-to-source gradient code for spiking neuron models in JAX."""

__version__ = "0.1.0"
