"""The text of docs/gallery.md, from the models' docstrings and the records in generated/."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from drives import DRIVES

from gradgen.project.record import Record, read_record

ROOT = Path(__file__).resolve().parents[2]
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
"""


@dataclass(frozen=True)
class Model:
    """What the page says about one model."""

    name: str
    title: str
    references: tuple[str, ...]
    record: Record
    """What its generated file records."""


def read_models() -> tuple[Model, ...]:
    """All models, in the order of their names."""
    return tuple(read_model(path) for path in sorted((ROOT / "models").glob("*.py")))


def read_model(path: Path) -> Model:
    """One model, from its docstring and its generated file."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    title = docstring.partition("\n\n")[0].replace("\n", " ")
    cited = docstring.partition("References:\n")[2]
    # a reference begins with its first author, "Surname, I."; after "In:" the editors follow
    references = re.split(r"(?<!In:)\n(?=    [A-Z][\w-]+, [A-Z]\.)", cited.rstrip())
    return Model(
        path.stem,
        title,
        tuple(" ".join(reference.split()) for reference in references),
        _recorded(ROOT / "generated" / f"{path.stem}_grad.py"),
    )


def _recorded(path: Path) -> Record:
    record = read_record(path.read_text(encoding="utf-8"))
    if record is None:
        raise ValueError(f"{path} is no generated file")
    return record


def page_text(models: tuple[Model, ...]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *table(models), *(line for m in models for line in section(m))]) + "\n"


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
        f"[{model.name}](#{model.name.replace('_', '-')})",
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
        f"({model.name.replace('_', '-')})=",
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
        *(f"- {_linked(reference)}" for reference in model.references),
    ]


def model_caption(name: str) -> str:
    """The caption of a picture, in plain text."""
    return DRIVES[name].caption.replace("cm$^2$", "cm²")


def _linked(reference: str) -> str:
    return re.sub(r"doi:(10\.\S+?)(?=[.,]?(?:\s|$))", r"[doi:\1](https://doi.org/\1)", reference)
