"""The gallery in docs/: its page is current, and its simulations stay where the models say."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from generating import ROOT
from test_models import MODELS, dotted, load, stated_ranges

from gradgen.project.configuration import read
from gradgen.project.reports import page_names

FOLDER = ROOT / "docs" / "gallery"
COUNTERS = re.compile(r"state\.(wait|3)")
"""Refractory steps left: what is stated there favours the few that matter."""


@pytest.fixture(autouse=True)
def _gallery_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def test_the_page_is_current() -> None:
    from page import PAGE, page_text, read_models

    stale = "run `python docs/gallery`"
    assert PAGE.read_text(encoding="utf-8") == page_text(read_models()), stale


def test_every_model_has_a_drive_and_a_picture() -> None:
    from drives import DRIVES

    assert set(DRIVES) == set(MODELS)
    pictures = {path.stem: path for path in (ROOT / "docs/_static/gallery").glob("*.png")}
    assert set(pictures) == set(MODELS)
    assert sum(path.stat().st_size for path in pictures.values()) < 500_000


def test_every_report_is_linked_to() -> None:
    from page import PAGE

    targets = read(ROOT / "pyproject.toml").targets
    # there are no reports on functions on arrays
    neurons = [t for t in targets if Path(t.settings.path).parent.name == "models"]
    made = page_names([str(target.name) for target in neurons], "html")
    links = re.findall(r'<a href="reports/([^"]*)">', PAGE.read_text(encoding="utf-8"))
    assert sorted(links) == sorted(["index.html", *made])


def test_references_are_cited_in_full() -> None:
    from layers import read_layers
    from page import read_models

    for model in (*read_models(), *(layer.model for layer in read_layers())):
        assert model.title.endswith(".")
        assert model.references
        for reference in model.references:
            assert re.match(r"[A-Z][\w-]+, [A-Z]\.", reference), reference
            assert re.search(r"\((19|20)\d\d\)", reference), reference


@pytest.mark.parametrize("model", MODELS)
def test_simulations_stay_in_the_stated_ranges(model: str) -> None:
    from drives import DRIVES
    from pictures import simulate

    drive = DRIVES[model]
    module = load(ROOT / "models" / f"{model}.py")
    times, _, states, outputs = simulate(drive, module, MODELS[model])
    ranges = stated_ranges(model)
    names = list(ranges)
    for path, values in jax.tree_util.tree_leaves_with_path(states):
        name = dotted("state", path)
        if name not in ranges:  # the state is the first arguments
            name = names[path[0].idx]
        low, high = ranges[name]
        assert np.all(np.isfinite(values)), name
        if not COUNTERS.fullmatch(name):
            assert low <= values.min(), name
            assert values.max() <= high, name
    if drive.spikes is not None and model != "alif":  # whose graded spike stays small
        assert 1 <= np.sum(drive.spikes(states, outputs) > 0.5) < len(times) / 2
