"""The formats of documents and pictures by name, apart so that the command starts fast."""

from __future__ import annotations

from typing import Literal, get_args

DocumentFormat = Literal["html", "md", "json"]
PictureFormat = Literal["text", "json", "dot", "mermaid", "svg"]

DOCUMENT_FORMATS: tuple[DocumentFormat, ...] = get_args(DocumentFormat)
PICTURE_FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)


MARK = "gradgen reports"
"""Stands at the beginning of a page and of Markdown."""


def is_report(text: str) -> bool:
    """Whether a text is a report, or an index of some, in any format."""
    return MARK in text[:400] or text.startswith('{\n "models": [')


def document_format(output: str | None) -> DocumentFormat:
    """The format that a file's name ends with; a page where it tells none."""
    suffix = (output or "").rpartition(".")[2]
    return next((form for form in DOCUMENT_FORMATS if form == suffix), "html")
