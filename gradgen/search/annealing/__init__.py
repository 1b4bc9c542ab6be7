"""Anytime search for vertex orders, compiled (docs/orders.md)."""
