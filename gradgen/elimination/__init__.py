"""Cross-country elimination: from a trace to a linearised graph, and along an order to a plan.

Names follow Griewank and Walther, *Evaluating Derivatives*, 2nd edition, chapters 9 and 10.
"""
