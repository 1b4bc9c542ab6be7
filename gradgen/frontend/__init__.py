"""From a source file to a trace: reading (libcst), tracing and elemental partials (JAX)."""
