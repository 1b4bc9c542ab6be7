"""How Sphinx builds the documentation: `sphinx-build -W docs docs/_build`."""

import re
from pathlib import Path

_package = Path(__file__).parent.parent / "gradgen" / "version.py"
_version = re.search(r'^__version__ = "([^"]+)"', _package.read_text(encoding="utf-8"), re.M)
if _version is None:
    raise RuntimeError("gradgen/version.py states no version")

project = "gradgen"
author = "The gradgen developers"
copyright = "2026, The gradgen developers"
release = _version[1]
version = release

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"gradgen {release}"
html_static_path = ["_static"]
