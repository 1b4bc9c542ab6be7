"""Prices of operations: presets, files of them, and the objectives that they belong to."""
