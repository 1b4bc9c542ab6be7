"""Pareto fronts: orders of which none is cheaper in one count and no dearer in another."""
