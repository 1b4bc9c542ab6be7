"""Pictures for the documentation, the same bytes for the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plotter() -> Any:
    """matplotlib's pyplot, which draws SVG with text as text."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "gradgen"})
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path) -> None:
    """Write a figure, without a date and without blanks at the ends of lines."""
    figure.savefig(path, metadata={"Date": None})
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")
