"""The general network that comes with gradgen (`benchmarks/pretrain.py` trains it)."""

from __future__ import annotations

from pathlib import Path

from gradgen.search.alphazero.checkpoint import read_network
from gradgen.search.alphazero.search import Expertise

FILE = Path(__file__).with_name("general.safetensors")


def general() -> Expertise:
    """The network, ready to play."""
    params, size = read_network(FILE)
    return Expertise(params, size)
