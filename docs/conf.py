"""How Sphinx builds the documentation: `sphinx-build -W -n docs docs/_build`.

The reports that the gallery leads to are made as well; `-t quick` leaves them out.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_package = Path(__file__).parent.parent / "gradgen" / "version.py"
_version = re.search(r'^__version__ = "([^"]+)"', _package.read_text(encoding="utf-8"), re.M)
if _version is None:
    raise RuntimeError("gradgen/version.py states no version")

project = "gradgen"
author = "The gradgen developers"
copyright = "2026, The gradgen developers"
release = _version[1]
version = release

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
source_suffix = {".md": "myst-nb"}
exclude_patterns = ["_build", "jupyter_execute"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(collections\.abc|os|types|numpy|jax)\..*")]
default_role = "code"
"""Of the docstrings, in which backquotes mark code; pages are Markdown, where they do anyway."""

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# what a notebook shows is what its cells give now, in an empty folder
os.environ.setdefault("JAX_PLATFORMS", "cpu")
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_merge_streams = True

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"gradgen {release}"
html_static_path = ["_static"]


def setup(app: Any) -> None:
    """Have the models' reports written beside the pages."""
    app.connect("build-finished", _write_reports)


def _write_reports(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html" and not app.tags.has("quick"):
        command = [sys.executable, "-m", "gradgen", "report", "--all", "--quiet"]
        folder = Path(app.outdir, "reports")
        subprocess.run([*command, "-o", folder], cwd=_package.parent.parent, check=True)
