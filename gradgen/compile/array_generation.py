"""The line from a source traced on arrays to a verified text: programs, text, verdict."""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.array_refusals import require_own_search
from gradgen.compile.front import ranges_of
from gradgen.compile.generation import Kept
from gradgen.compile.outputs import require_functions
from gradgen.compile.status import Status
from gradgen.compile.verdict import inexact
from gradgen.elimination.vertex import OrderMismatchError
from gradgen.frontend.tracing.blame import calling
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.recipe import ArrayRecipe
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
    kept: Kept
    rejected: str = ""
    """That something came before it and was not exact, and what was found of it first."""

    def sentence(self) -> str:
        """The counts against reverse mode, and how exact it is."""
        module, order = self.module, self.module.pulled.plan.order
        proof = ", proved optimal" if order.proved_optimal else ""
        # what is proved is of the plan: of its multiplications, or of what else it made small
        other = module.objective != "muls"
        found = f"order: {order.found_by}{'' if other else proof}"
        count = f", {module.measured}{proof if other else ''}" if module.measured else ""
        return (
            f"on arrays: {counted(module, module.vjp)} for value and "
            f"vector-Jacobian product, accumulation {module.pulled.plan.muls:,} multiplications "
            f"(reverse {module.pulled.sweep.muls:,}; {found}){count}; "
            f"{_through_time(module)}{'for float32 alone; ' if module.trace.single else ''}"
            f"{self.report.summary()}{self.rejected}"
        )


def _through_time(module: ArrayModule) -> str:
    """How loops run, where that was asked for or is not step by step."""
    asked = {"blocks", "segments", "memory"} & {name for name, _ in module.options}
    if not module.blocks:
        return "loops step by step, which need all steps at once; " if asked else ""
    blocks = [loop.blocks for loop in module.blocks if loop.blocks is not None]
    sizes = " and ".join(dict.fromkeys(str(found.size) for found in blocks))
    more = f", with {module.factor:.2f} times the operations" if module.factor > 1.0 else ""
    return f"loops in blocks of {sizes} steps{more}; "


def generate_arrays(
    front: ArrayFront,
    status: Status,
    recorded: ArrayRecipe | None = None,
    *,
    search_again: bool = False,
) -> VerifiedArrays:
    """Generate and verify a text; raises InexactError, with the evidence kept, if it is off.

    Orders that are `recorded` are used again for the graphs that are still the same; with
    `search_again` only where nothing cheaper is found. Where what they compute is not finite and
    JAX's is, plain modes are taken, which multiply as JAX does.
    """
    require_own_search(front.settings.search, front.source)
    module = array_module(front, recorded, "all" if search_again else "missing")
    require_functions(front.source, module.emit, module.functions)

    def judged(module: ArrayModule) -> tuple[str, Verdict]:
        text = render_arrays(module)
        status(f"verifying {front.source.function}")
        return text, judge_arrays(front, module, text)

    text, report = judged(module)
    rejected = ""
    if report.kind == "nonfinite" and not front.settings.order:
        plain = array_module(front, recorded, "plain")
        if plain.recipe != module.recipe:
            rejected, module = _rejection(module, report), plain
            text, report = judged(plain)
    if not report.exact:
        raise inexact(front, text, report)
    return VerifiedArrays(module, text, report, _kept(recorded, module.recipe), rejected)


def _rejection(module: ArrayModule, report: Verdict) -> str:
    """That a module came first, in words, and why it was not taken."""
    assert report.failure is not None
    order, why = module.pulled.plan.order.found_by, report.failure.headline
    return f"; rejected before it: order {order}, {counted(module, module.vjp)}, since {why}"


def _kept(recorded: ArrayRecipe | None, found: ArrayRecipe) -> Kept:
    if recorded is None:
        return "searched"
    if recorded.by_graph.keys() != found.by_graph.keys():
        return "another graph"
    return "kept" if recorded.by_graph == found.by_graph else "improved"


def replayed_arrays(front: ArrayFront, recorded: ArrayRecipe) -> ArrayModule | None:
    """What the record gives; None if an order is missing, or is for another graph."""
    try:
        return array_module(front, recorded, "never")
    except OrderMismatchError:
        return None


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
            quick=quick,
        )
