"""`python docs/gallery [MODEL...]`: write docs/gallery.md and the pictures of the models."""

from __future__ import annotations

import sys

from page import PAGE, page_text, read_models
from pictures import draw


def main(names: list[str]) -> None:
    """Draw the named models, or all, and write the page."""
    models = read_models()
    for model in models:
        if not names or model.name in names:
            draw(model.name, str(model.record.function))
    PAGE.write_text(page_text(models), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
