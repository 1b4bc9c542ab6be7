"""The text of docs/gallery.md, from the models' docstrings and the records in generated/."""

from __future__ import annotations

from drives import DRIVES
from layers import layers_text, read_layers
from records import ROOT, Model, linked, read_model

PAGE = ROOT / "docs" / "gallery.md"

HEAD = """\
# Gallery

<!-- written by `python docs/gallery`; edit docs/gallery/ and the models' docstrings instead -->

Each model is a file in `models/`, to read and to copy, with its equations, units and references.
Its generated file in `generated/` is committed and verified. All are differentiated with respect to
state and input; the pictures are simulations with the steps as they stand in the files.

The table counts the scalar operations of the program for value and Jacobian, as [costs](costs.md)
defines them, and the multiplications of the accumulation alone: what forward mode takes, what
reverse mode takes, and what the committed file takes. *Step* is the step itself, without a
derivative.

Each section leads to the model's [report](report.md): its graph, the elimination step by step, the
errors, the generated file. They are made with this documentation, and
<a href="reports/index.html">their index</a> lists them all.

What couples neurons comes last: [layers and networks](#layers-and-networks).
"""


def read_models() -> tuple[Model, ...]:
    """All models, in the order of their names."""
    return tuple(
        read_model(path, ROOT / "generated" / f"{path.stem}_grad.py")
        for path in sorted((ROOT / "models").glob("*.py"))
    )


def page_text(models: tuple[Model, ...]) -> str:
    """The whole page."""
    neurons = [HEAD, *table(models), *(line for m in models for line in section(m))]
    return "\n".join(neurons) + "\n" + layers_text(read_layers())


def table(models: tuple[Model, ...]) -> list[str]:
    """The counts of all models."""
    return [
        "| model | step | operations: forward | reverse | gradgen "
        "| multiplications: forward | reverse | gradgen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(model) for model in models),
    ]


def _row(model: Model) -> str:
    step = model.record.stated["primal"]["total"]
    counts = model.record.stated["value_and_jacobian"]
    forward, reverse = counts["forward"], counts["reverse"]
    cells = (
        f"[{model.name}](#{model.label})",
        step,
        forward["total"],
        reverse["total"],
        counts["total"],
        forward["muls"],
        reverse["muls"],
        counts["accumulation"]["muls"],
    )
    return f"| {' | '.join(map(str, cells))} |"


def section(model: Model) -> list[str]:
    """What a model is, where it comes from, and what it does."""
    caption = model_caption(model.name)
    return [
        "",
        f"({model.label})=",
        f"## {model.name}",
        "",
        model.title,
        "",
        f"![{model.name} simulated](_static/gallery/{model.name}.png)",
        "",
        f"*{caption}*",
        "",
        f'<a href="reports/{model.name}.html">Report on {model.name}</a>',
        "",
        *(f"- {linked(reference)}" for reference in model.references),
    ]


def model_caption(name: str) -> str:
    """The caption of a picture, in plain text."""
    return DRIVES[name].caption.replace("cm$^2$", "cm²")
