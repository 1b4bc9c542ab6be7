"""From an executed function to a trace: jaxprs, taken apart into scalar code (JAX)."""
