"""Anytime search for vertex orders, compiled (docs/search.md)."""
