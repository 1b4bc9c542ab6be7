"""Algebra on derivatives: fewer operations for the same values, up to rounding.

A program's partials and accumulation are read as sums of products (`forms`, `reading`), which
moves rewrite (`moves`), a search chooses among (`search`), sharing turns into single operations
(`sharing`) and writing turns into a program again (`writing`). The primal is never touched.
"""
