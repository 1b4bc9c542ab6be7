"""The section of docs/gallery.md on layers and networks: from docstrings and records, too."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from records import ROOT, Model, linked, read_model

HEAD = """
## Layers and networks

What couples neurons is a [function on arrays](arrays.md). Each of these is a file in
`models/layers/` or `models/networks/`, with a committed and verified file in `generated/`. Layers
are one step; networks have the loop over time inside, and their loss.

The table counts the scalar operations of the function itself and of its value and
vector-Jacobian product, all elements of all arrays, and the bytes that the drop-in function keeps
for the backward pass, of one step or of all, beside its arguments and in float32: all at the sizes
that the sources state, which change nothing in the code.

| layer | sizes | operations: function | value and vjp | bytes kept |
| --- | --- | ---: | ---: | ---: |
"""


@dataclass(frozen=True)
class Layer:
    """What the page says about one layer."""

    model: Model
    sizes: str
    """At which its operations are counted."""
    body: str
    """Equations and remarks, as the docstring has them."""


def read_layers() -> tuple[Layer, ...]:
    """All layers in the order of their names, then all networks."""
    folders = (ROOT / "models/layers", ROOT / "models/networks")
    return tuple(_read_layer(path) for folder in folders for path in sorted(folder.glob("*.py")))


def _read_layer(path: Path) -> Layer:
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    body = docstring.partition("\n\n")[2].partition("\n\nUnits:")[0]
    sizes = " ".join(re.findall(r"^# gradgen: size (.*)$", text, re.M))
    generated = ROOT / "generated" / path.parent.name / f"{path.stem}_grad.py"
    return Layer(read_model(path, generated), sizes, body)


def layers_text(layers: tuple[Layer, ...]) -> str:
    """The whole section."""
    rows = "".join(f"{_row(layer)}\n" for layer in layers)
    return HEAD + rows + "".join(map(_section, layers))


def _row(layer: Layer) -> str:
    stated = layer.model.record.stated
    numbers = (
        stated["primal"]["total"],
        stated["vjp"]["total"],
        stated["residuals"]["kept"]["bytes"],
    )
    name = layer.model.name
    cells = (f"[{name}](#{layer.model.label})", layer.sizes, *(f"{n:,}" for n in numbers))
    return f"| {' | '.join(cells)} |"


def _section(layer: Layer) -> str:
    model = layer.model
    references = "\n".join(f"- {linked(reference)}" for reference in model.references)
    head = f"\n({model.label})=\n### {model.name}\n\n{model.title}\n"
    return f"{head}\n{layer.body}\n\n{references}\n"
