"""The line from a source traced on arrays to a verified text: programs, text, verdict."""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import ranges_of
from gradgen.compile.status import Status
from gradgen.compile.verdict import inexact
from gradgen.frontend.tracing.blame import calling
from gradgen.ir.array_module import ArrayModule
from gradgen.targets.jax.arrays import counted
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.arrays import verify_arrays
from gradgen.verify.verdict import Verdict


@dataclass(frozen=True)
class VerifiedArrays:
    """A verified text on arrays."""

    module: ArrayModule
    text: str
    report: Verdict

    def sentence(self) -> str:
        """The counts against reverse mode, and how exact it is."""
        module, order = self.module, self.module.pulled.plan.order
        proof = ", proved optimal" if order.proved_optimal else ""
        return (
            f"on arrays: {counted(module, module.vjp)} for value and "
            f"vector-Jacobian product, accumulation {module.pulled.plan.muls:,} multiplications "
            f"(reverse {module.pulled.sweep.muls:,}; order: {order.found_by}{proof}); "
            f"{self.report.summary()}"
        )


def generate_arrays(front: ArrayFront, status: Status) -> VerifiedArrays:
    """Generate and verify a text; raises InexactError, with the evidence kept, if it is off."""
    module = array_module(front)
    text = render_arrays(module)
    status(f"verifying {front.source.function}")
    report = judge_arrays(front, module, text)
    if not report.exact:
        raise inexact(front, text, report)
    return VerifiedArrays(module, text, report)


def judge_arrays(
    front: ArrayFront, module: ArrayModule, text: str, *, quick: bool = False
) -> Verdict:
    """What comes of holding a text against its source; `quick` at one set of sizes alone."""
    with calling(front.source):
        return verify_arrays(
            text,
            module,
            front.function,
            front.signature.bind,
            front.signature.without_objects,
            ranges=ranges_of(front),
            dtypes=front.settings.dtypes,
            quick=quick,
        )
