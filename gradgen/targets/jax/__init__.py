"""Modules of Python and JAX."""
