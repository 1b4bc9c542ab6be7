"""Exact search for vertex orders, and lower bounds on what any of them costs (docs/research/bounds.md)."""
