"""The header and the `GRADGEN` dictionary of a generated module."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.module import Accumulated, Derivative, Module
from gradgen.ir.own_names import METADATA
from gradgen.ir.program import count_operations
from gradgen.ir.trace import Trace
from gradgen.targets.jax.layout import Doc, Group, filled, flat, prefixed, quote, tuple_of
from gradgen.targets.jax.seal import UNSEALED


def summary_lines(module: Module) -> list[str]:
    """The counts in lines that a person can read."""
    jacobian, order = module.jacobian, module.jacobian.chosen.order
    vjp, jvp = module.vjp, module.jvp
    primal = count_operations(module.primal.instructions).total
    proof = ", proved optimal" if order.proved_optimal else ""
    sentences = [
        f"{module.source.function}: value and Jacobian in {jacobian.chosen.operations}, {primal} "
        f"of them the step itself (forward mode {jacobian.forward.operations.total}, reverse mode "
        f"{jacobian.reverse.operations.total}).",
        *_measured(module),
        *precision_sentences(module.trace),
        f"Accumulation by {order.elimination} elimination, {order.found_by}{proof}: "
        f"{jacobian.chosen.plan.muls} multiplications "
        f"(forward {jacobian.forward.plan.muls}, reverse {jacobian.reverse.plan.muls}).",
        f"Vector-Jacobian product {vjp.chosen.operations} (reverse sweep "
        f"{vjp.reverse.operations.total}), Jacobian-vector product {jvp.chosen.operations.total} "
        f"(forward sweep {jvp.forward.operations.total}).",
    ]
    passes = module.passes
    if passes is not None:
        sentences.append(
            f"Training keeps {passes.bytes} bytes a neuron and step ({passes.input_bytes} for all "
            f"that a scan carries: {', '.join(module.trace.carried)}), and the backward pass takes "
            f"{passes.operations}."
        )
    if module.second is not None:
        second = module.second.jvp
        sentences.append(
            f"Hessian-vector product {second.chosen.operations}, {second.chosen.plan.muls} "
            f"multiplications of them in its accumulation (forward sweep over JAX's gradient "
            f"{second.forward.operations.total}, {second.forward.plan.muls})."
        )
    return [line for sentence in sentences for line in textwrap.wrap(sentence, 86)]


def _measured(module: Module) -> list[str]:
    """What value and Jacobian come to by a price or an error, where one was asked for."""
    found = module.measured
    return [] if found is None else [f"{found.what.capitalize()} by {found.by}: {found.told()}."]


def metadata_lines(module: Module) -> list[str]:
    """The record of how the module was made."""
    order = module.jacobian.chosen.order
    wrt = tuple(i.path for i in module.trace.inputs if i.wrt)
    content = {
        "version": module.generator.rpartition(" ")[2],
        "source": module.source_name,
        "function": module.source.function,
        "digest": f"sha256:{module.source.digest}",
        **_unless_empty("imports", {path: f"sha256:{d}" for path, d in module.imports}),
        "text": UNSEALED,
        **_unless_empty("options", dict(module.options)),
        **_unless_none("prices", module.objective.prices.recorded),
        "wrt": wrt,
        **precision_metadata(module.trace),
        "elimination": order.elimination,
        "order": order.steps,
        "graph": module.graph.fingerprint,
        "found_by": order.found_by,
        "proved_optimal": order.proved_optimal,
        "rewriting": module.recipe.rewriting,
        "vjp_order": module.recipe.vjp,
        "jvp_order": module.recipe.jvp,
        **_unless_none("hvp_order", module.recipe.hvp),
        "counts": counts_of(module),
    }
    return assigned(content)


def precision_sentences(trace: Trace | ArrayTrace) -> list[str]:
    """What the header says of precision, where the text is not for all."""
    if not trace.single:
        return []
    by_default = isinstance(trace, ArrayTrace) or trace.precisions == "float32 by default"
    without = ", and without 64-bit types" if by_default else ""
    return [f"For float32 alone{without}: it was traced, and compared with JAX, in that."]


def precision_metadata(trace: Trace | ArrayTrace) -> dict[str, str]:
    """What `GRADGEN` says of it."""
    return {"dtype": "float32"} if trace.single else {}


def counts_of(module: Module) -> dict[str, dict[str, Any]]:
    """The operations of every program, by name, with what forward and reverse mode take."""
    derivatives = module.derivatives
    counts: dict[str, dict[str, Any]] = {}
    for name, program in module.programs.items():
        counts[name] = count_operations(program.instructions).as_dict()
        if name in derivatives:
            counts[name] |= _accumulation(derivatives[name], PROGRAMS[name].rivals)
    if (found := module.measured) is not None:
        values = {"chosen": found.chosen, "forward": found.forward, "reverse": found.reverse}
        counts["value_and_jacobian"][found.what] = values
    if module.passes is not None:
        kept = {"bytes": module.passes.bytes, "inputs": module.passes.input_bytes}
        counts["residuals"]["kept"] = kept
    return counts


def _unless_empty(key: str, content: dict[str, Any]) -> dict[str, object]:
    return {key: content} if content else {}


def _unless_none(key: str, content: object) -> dict[str, object]:
    return {} if content is None else {key: content}


def _accumulation(derivative: Derivative, modes: Sequence[str]) -> dict[str, dict[str, int]]:
    counts = {"accumulation": _products(derivative.chosen)}
    for mode in modes:
        rival = derivative.forward if mode == "forward" else derivative.reverse
        counts[mode] = {"total": rival.operations.total, **_products(rival)}
    return counts


def _products(found: Accumulated) -> dict[str, int]:
    return {"muls": found.plan.muls, "adds": found.plan.adds, "edges": found.plan.edges}


def assigned(content: dict[str, object]) -> list[str]:
    """The lines of `GRADGEN = {...}`."""
    return filled(f"{METADATA} = ", _dictionary(content))


def _dictionary(content: dict[Any, object]) -> Group:
    items = [prefixed(f"{flat(_document(k))}: ", _document(entry)) for k, entry in content.items()]
    return Group("{", tuple(items), "}")


def _document(value: object) -> Doc:
    """A literal of dictionaries, tuples, strings and numbers."""
    if isinstance(value, dict):
        return _dictionary(value)
    if isinstance(value, tuple):
        return tuple_of([_document(entry) for entry in value])
    if isinstance(value, str):
        return quote(value)
    return repr(value)
