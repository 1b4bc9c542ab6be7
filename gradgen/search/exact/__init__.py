"""Exact search for vertex orders, and lower bounds on what any costs (docs/research/bounds.md)."""
