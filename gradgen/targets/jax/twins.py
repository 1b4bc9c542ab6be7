"""Programs of one text that are the same: one of them is written, and called for both."""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.targets.jax.straight import Context

_BODY = ("parameters", "sections", "returned")
"""What is the same of programs that compute the same."""


def without_twin(programs: Sequence[Context]) -> tuple[list[Context], str]:
    """The programs but for the backward pass, where it is the vector-Jacobian product; and which
    of both the drop-in function calls.

    They are the same where nothing is kept but the inputs.
    """
    by_name = {program["function"]: program for program in programs}
    backward, product = by_name.get("_cotangents"), by_name.get("_vjp")
    if backward is None or product is None or any(backward[k] != product[k] for k in _BODY):
        return list(programs), "_cotangents"
    return [program for program in programs if program is not backward], "_vjp"
