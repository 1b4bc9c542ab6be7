"""Python source as HTML, its words marked by what they are."""

from __future__ import annotations

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


def highlighted_lines(text: str) -> list[Markup]:
    """The lines of a source, each complete HTML by itself, with Pygments' class names."""
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    lines = highlight(text, lexer, HtmlFormatter(nowrap=True)).split("\n")
    # a line end is added after the last line
    return [Markup(line) for line in lines[: text.count("\n") + 1]]
