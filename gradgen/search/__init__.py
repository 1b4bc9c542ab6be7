"""Proposes elimination orders; a bad one costs speed, never correctness."""
