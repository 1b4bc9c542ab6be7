"""Compares generated text with JAX: nothing is written that was not."""
