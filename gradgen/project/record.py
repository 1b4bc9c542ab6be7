"""What a generated file says about itself, read without running it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gradgen.errors import GradgenError
from gradgen.files import read_text
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.graph import Order
from gradgen.ir.json_files import flag, line, number
from gradgen.ir.module import Module
from gradgen.ir.own_names import METADATA
from gradgen.ir.recipe import ArrayRecipe, Recipe, Steps
from gradgen.ir.source import normalised
from gradgen.targets.jax.arrays import counted
from gradgen.targets.jax.seal import is_generated, text_digest

_GRADGEN = re.compile(rf"^{METADATA}_* = (\{{\n.*?^\}})$", re.M | re.S)


@dataclass(frozen=True)
class Counts:
    """The counts that people compare: now, and those of plain forward and reverse mode."""

    ops: int
    """Of value and Jacobian; on arrays, of value and vector-Jacobian product."""
    muls: int
    forward_ops: int | None
    """None on arrays, where there is no such mode of a vector-Jacobian product."""
    forward_muls: int | None
    reverse_ops: int | None
    """None on arrays, where the other order is not lowered."""
    reverse_muls: int
    residuals: int | None = None
    """Bytes that the drop-in function keeps for each neuron and step, or for all arrays; None
    without it."""
    memory: int | None = None
    """An estimate of the bytes that the derivative takes, where there are loops over time."""


def counts_of(module: Module | ArrayModule) -> Counts:
    """The counts of a module."""
    if isinstance(module, ArrayModule):
        operations = counted(module, module.vjp).total
        plan, sweep = module.pulled.plan, module.pulled.sweep
        kept = module.passes.bytes
        return Counts(operations, plan.muls, None, None, None, sweep.muls, kept, module.memory)
    jacobian = module.jacobian
    return Counts(
        jacobian.chosen.operations.total,
        jacobian.chosen.plan.muls,
        jacobian.forward.operations.total,
        jacobian.forward.plan.muls,
        jacobian.reverse.operations.total,
        jacobian.reverse.plan.muls,
        None if module.passes is None else module.passes.bytes,
    )


@dataclass(frozen=True)
class Record:
    """The dictionary `GRADGEN` of a file, as far as it can be read; all else in it is left out."""

    text: str
    """The whole file."""
    version: str | None = None
    source: str | None = None
    function: str | None = None
    digest: str | None = None
    elimination: str | None = None
    """Of what its order is."""
    prices: str | None = None
    """The digest of the prices that it goes by."""
    seal: str | None = None
    """The digest of the text, as it says itself."""
    imports: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    recipe: Recipe | ArrayRecipe | None = None
    """What was decided for the file; None if it does not tell, or not legibly."""
    counts: Counts | None = None
    """The counts that the file states; None if it does not."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """All of them, by program."""

    @property
    def legible(self) -> bool:
        """Whether there is anything that can be read."""
        return replace(self, text="") != Record("")

    @property
    def edited(self) -> bool:
        """Whether the file is not as gradgen wrote it, as far as it tells."""
        if self.version is not None and self.seal is None:
            return False  # a release that did not record it yet
        return self.seal != text_digest(self.text)

    def line_of(self, key: str) -> int:
        """The line of one of the dictionary's entries, 1 if there is none."""
        found = re.search(rf'^    "{re.escape(key)}": ', self.text, re.M)
        return 1 if found is None else self.text.count("\n", 0, found.start()) + 1


def read_record(text: str) -> Record | None:
    """The record of a generated file; None if gradgen did not write the text at all."""
    if not is_generated(text):
        return None
    text = normalised(text)
    content = _literal(text)
    return Record(
        text,
        **{name: _string(content.get(key)) for name, key in _STRINGS.items()},
        imports={k: v for k, v in _by_name(content, "imports").items() if isinstance(v, str)},
        options=_by_name(content, "options"),
        recipe=_array_recipe(content) if "orders" in content else _recipe(content),
        counts=_counts(_by_name(content, "counts")),
        stated=_by_name(content, "counts"),
    )


_STRINGS = {
    "version": "version",
    "source": "source",
    "function": "function",
    "digest": "digest",
    "elimination": "elimination",
    "prices": "prices",
    "seal": "text",
}


def _literal(text: str) -> dict[Any, Any]:
    """The dictionary itself, which may hold anything."""
    found = _GRADGEN.search(text)
    if found is None:
        return {}
    try:
        content = ast.literal_eval(found[1])
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return {}  # no literal; one that cannot be hashed; one nested too deeply
    return content if isinstance(content, dict) else {}


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _by_name(content: Mapping[Any, Any], key: str) -> dict[str, Any]:
    """What of an entry can be called by a name."""
    found = content.get(key)
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(name, str)}


def _recipe(content: Mapping[Any, Any]) -> Recipe | None:
    try:
        order = Order(
            content["elimination"],
            line(content["graph"], "graph"),
            _steps(content["order"]),
            line(content["found_by"], "found_by"),
            flag(content["proved_optimal"], "proved_optimal"),
        )
        order.check()
        rewriting, hvp = content["rewriting"], content.get("hvp_order")
        return Recipe(
            order,
            None if rewriting is None else number(rewriting, "rewriting"),
            _by_heuristic(content["vjp_order"]),
            _by_heuristic(content["jvp_order"]),
            None if hvp is None else _by_heuristic(hvp),
        )
    except (KeyError, ValueError):
        return None


def _array_recipe(content: Mapping[Any, Any]) -> ArrayRecipe | None:
    try:
        return ArrayRecipe(
            tuple((line(name, "orders"), _order(o)) for name, o in content["orders"].items())
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _order(said: Mapping[str, Any]) -> Order:
    """An order: steps and how they were found, or the name of a plain mode alone."""
    steps, mode = said["order"], isinstance(said["order"], str)
    order = Order(
        "vertex",
        line(said["graph"], "graph"),
        () if mode else _steps(steps),
        line(steps if mode else said["found_by"], "found_by"),
        flag(said.get("proved_optimal", False), "proved_optimal"),
    )
    order.check()
    return order


def _counts(stated: Mapping[str, Any]) -> Counts | None:
    if "value_and_jacobian" not in stated:
        return _array_counts(stated)
    try:
        jacobian = stated["value_and_jacobian"]
        forward, reverse = jacobian["forward"], jacobian["reverse"]
        kept = stated["residuals"]["kept"]["bytes"] if "residuals" in stated else None
        numbers = (
            jacobian["total"],
            jacobian["accumulation"]["muls"],
            forward["total"],
            forward["muls"],
            reverse["total"],
            reverse["muls"],
        )
    except (KeyError, TypeError):
        return None
    if not all(type(n) is int for n in numbers) or not (kept is None or type(kept) is int):
        return None
    return Counts(*numbers, kept)


def _array_counts(stated: Mapping[str, Any]) -> Counts | None:
    try:
        operations, muls = stated["vjp"]["total"], stated["vjp"]["accumulation"]["muls"]
        reverse = stated["vjp"]["accumulation"]["reverse"]
        kept = stated["residuals"]["kept"]["bytes"]
        memory = stated["vjp"]["memory"]["bytes"] if "memory" in stated["vjp"] else None
    except (KeyError, TypeError):
        return None
    if not all(type(n) is int for n in (operations, muls, reverse, kept)):
        return None
    if not (memory is None or type(memory) is int):
        return None
    return Counts(operations, muls, None, None, None, reverse, kept, memory)


def committed(path: str | None) -> tuple[str | None, Record | None]:
    """The text of a file as it is now, and its record; None if there are none.

    Raises GradgenError for what cannot be read.
    """
    if path is None or not os.path.exists(path):
        return None, None
    if not os.path.isfile(path):
        raise GradgenError("the generated file is a folder, a device or a pipe", path=path)
    text = read_text(path, "the generated file")
    return text, read_record(text)


def _by_heuristic(value: Any) -> Steps:
    return value if isinstance(value, str) else _steps(value)


def _steps(value: Any) -> tuple[str, ...]:
    if not isinstance(value, tuple) or not all(isinstance(step, str) for step in value):
        raise ValueError("the steps of an order are a tuple of names")
    return value
