"""What a generated file says about itself, read without running it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from gradgen.backend.seal import is_generated, text_digest
from gradgen.errors import GradgenError
from gradgen.files import read_text
from gradgen.ir.graph import Elimination, Order
from gradgen.ir.module import Module
from gradgen.ir.own_names import METADATA
from gradgen.ir.recipe import Recipe
from gradgen.ir.source import normalised

_GRADGEN = re.compile(rf"^{METADATA}_* = (\{{\n.*?^\}})$", re.M | re.S)


@dataclass(frozen=True)
class Counts:
    """The counts that people compare: now, and those of plain forward and reverse mode."""

    ops: int
    muls: int
    forward_ops: int
    forward_muls: int
    reverse_ops: int
    reverse_muls: int
    residuals: int | None = None
    """Bytes that the drop-in function keeps for each neuron and step; None without it."""


def counts_of(module: Module) -> Counts:
    """The counts of a module."""
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
    """The dictionary `GRADGEN` of a file, as far as it can be read."""

    text: str
    """The whole file."""
    content: Mapping[str, Any]

    @property
    def edited(self) -> bool:
        """Whether the file is not as gradgen wrote it, as far as it tells."""
        if "version" in self.content and "text" not in self.content:
            return False  # a release that did not record it yet
        return self.content.get("text") != text_digest(self.text)

    @property
    def recipe(self) -> Recipe | None:
        """What was decided for the file; None if it does not tell, or not legibly."""
        content = self.content
        if content.get("elimination") not in get_args(Elimination):
            return None
        try:
            order = Order(
                content["elimination"],
                str(content["graph"]),
                _steps(content["order"]),
                str(content["found_by"]),
                bool(content["proved_optimal"]),
            )
            order.check()
            rewriting, vjp, jvp = content["rewriting"], content["vjp_order"], content["jvp_order"]
            return Recipe(
                order,
                None if rewriting is None else int(rewriting),
                vjp if isinstance(vjp, str) else _steps(vjp),
                jvp if isinstance(jvp, str) else _steps(jvp),
            )
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def counts(self) -> Counts | None:
        """The counts that the file states; None if it does not."""
        try:
            stated = self.content["counts"]["value_and_jacobian"]
            forward, reverse = stated["forward"], stated["reverse"]
            return Counts(
                stated["total"],
                stated["accumulation"]["muls"],
                forward["total"],
                forward["muls"],
                reverse["total"],
                reverse["muls"],
                self.content["counts"].get("residuals", {}).get("kept", {}).get("bytes"),
            )
        except (AttributeError, KeyError, TypeError):
            return None

    def line_of(self, key: str) -> int:
        """The line of one of the dictionary's entries, 1 if there is none."""
        found = re.search(rf'^    "{re.escape(key)}": ', self.text, re.M)
        return 1 if found is None else self.text.count("\n", 0, found.start()) + 1


def read_record(text: str) -> Record | None:
    """The record of a generated file; None if gradgen did not write the text at all."""
    if not is_generated(text):
        return None
    text = normalised(text)
    found = _GRADGEN.search(text)
    content: Any = {}
    if found is not None:
        try:
            content = ast.literal_eval(found[1])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            content = {}  # the last two where it nests too deeply
    return Record(text, content if isinstance(content, dict) else {})


def committed_text(path: str | None) -> str | None:
    """The text of a file as it is now; None if there is none. Raises GradgenError if unreadable."""
    if path is None or not os.path.exists(path):
        return None
    if not os.path.isfile(path):
        raise GradgenError("the generated file is a folder, a device or a pipe", path=path)
    return read_text(path, "the generated file")


def _steps(value: Any) -> tuple[str, ...]:
    if not isinstance(value, tuple) or not all(isinstance(step, str) for step in value):
        raise ValueError("the steps of an order are a tuple of names")
    return value
