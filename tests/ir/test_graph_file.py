"""Graphs as JSON files."""

import json
from pathlib import Path

import pytest

from gradgen.compile.front import open_front
from gradgen.compile.graphs import graph_of
from gradgen.config import Settings
from gradgen.ir.graph_file import read_graph, write_graph

MODELS = Path(__file__).parents[2] / "models"
SMALL = {
    "independents": 2,
    "dependents": [3],
    "edges": [[0, 2, "variable"], [1, 2, "unit"], [2, 3, "mask"]],
}


def test_a_models_graph_survives_the_file():
    graph = graph_of(open_front(Settings(str(MODELS / "alif.py"))))
    again = read_graph(write_graph(graph))
    assert again.fingerprint == graph.fingerprint
    assert [v.alias for v in again.vertices] == [v.alias for v in graph.vertices]
    assert write_graph(again) == write_graph(graph)


def test_names_are_optional():
    graph = read_graph(json.dumps(SMALL))
    assert [v.name for v in graph.vertices] == ["v0", "v1", "v2", "v3"]
    assert graph.intermediates == (2,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"edges": [[0, 2, "variable"], [0, 2, "unit"], [1, 2, "unit"], [2, 3, "mask"]]},
            "two edges",
        ),
        ({"edges": [[0, 2, "big"]]}, "is no edge"),
        ({"edges": [[0, 2]]}, "is no edge"),
        ({"edges": 3}, "edges: 3 is not a list"),
        ({"edges": [[0, 2, "unit"], [1, 2, "unit"], [3, 2, "mask"]]}, "topological"),
        ({"edges": [[0, 2, "unit"], [0, 3, "unit"]]}, "dead end"),
        ({"independents": -1}, "no whole number"),
        ({"dependents": [True]}, "no whole number"),
        ({"names": ["a"]}, "a text for each of the 4"),
    ],
)
def test_a_bad_graph_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        read_graph(json.dumps(SMALL | change))


@pytest.mark.parametrize("text", ["", "[1]", "{}"])
def test_what_is_no_graph_is_refused(text):
    with pytest.raises(ValueError, match=r"not JSON|an object"):
        read_graph(text)
