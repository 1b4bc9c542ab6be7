"""Searches for vertex orders on graphs of arrays, by tables of their terms."""
