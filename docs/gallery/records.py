"""What the gallery says about a model, read from its docstring and its generated file."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from gradgen.project.record import Record, read_record

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Model:
    """What the page says about one model."""

    name: str
    title: str
    references: tuple[str, ...]
    record: Record
    """What its generated file records."""

    @property
    def label(self) -> str:
        """What links to its section."""
        return self.name.replace("_", "-")


def read_model(path: Path, generated: Path) -> Model:
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
        _recorded(generated),
    )


def _recorded(path: Path) -> Record:
    record = read_record(path.read_text(encoding="utf-8"))
    if record is None:
        raise ValueError(f"{path} is no generated file")
    return record


def linked(reference: str) -> str:
    """A reference whose DOI is a link."""
    return re.sub(r"doi:(10\.\S+?)(?=[.,]?(?:\s|$))", r"[doi:\1](https://doi.org/\1)", reference)
