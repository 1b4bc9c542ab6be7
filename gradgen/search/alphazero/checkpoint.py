"""Networks and the state of a training as files: safetensors, which hold numbers and no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from gradgen.errors import GradgenError
from gradgen.files import write_atomically
from gradgen.search.alphazero.network import NetworkSize, Params
from gradgen.search.alphazero.training import State, Training

LATEST = "latest.safetensors"
"""The checkpoint in a folder of checkpoints."""


def write_state(folder: Path, state: State, training: Training, games: Mapping[str, str]) -> None:
    """Write a checkpoint into a folder, in place of the one before.

    `games` are the names and fingerprints of the graphs that are played.
    """
    about = {"training": json.dumps(asdict(training)), "games": json.dumps(dict(games))}
    write_atomically(str(folder / LATEST), save(_flat(state), about))


def read_state(folder: Path, like: State, training: Training, games: Mapping[str, str]) -> State:
    """The state that was written last; its arrays are those of `like`, by their places.

    Raises GradgenError if there is none, or if it belongs to another training.
    """
    path = folder / LATEST
    arrays, about = _read(path)
    asked = {"training": asdict(training), "games": dict(games)}
    for name, value in asked.items():
        kept = json.loads(about.get(name, "{}"))
        differing = sorted(k for k in {*kept, *value} if kept.get(k) != value.get(k))
        if differing:
            raise GradgenError(
                f"the checkpoint is of another training: its {name} differ in "
                f"{', '.join(differing)}",
                hint="give the same graphs and options as before, or another --checkpoint",
                path=str(path),
            )
    leaves, structure = jax.tree.flatten_with_path(like)
    found = [arrays[jax.tree_util.keystr(place)] for place, _ in leaves]
    restored: State = jax.tree.unflatten(structure, found)
    return restored


def write_network(path: Path, params: Params, size: NetworkSize, about: Mapping[str, str]) -> None:
    """Write a network alone, with how large it is and how it was trained."""
    described = {"size": json.dumps(asdict(size)), **about}
    write_atomically(str(path), save(_flat(params), described))


def read_network(path: Path) -> tuple[Params, NetworkSize]:
    """A network and its size; raises GradgenError if there is none in the file."""
    arrays, about = _read(path)
    size = NetworkSize(**json.loads(about["size"]))
    params: dict[str, dict[str, Any]] = {}
    for place, array in arrays.items():
        module, name = place.removeprefix("['").removesuffix("']").split("']['")
        params.setdefault(module, {})[name] = array
    return params, size


def _flat(tree: Any) -> dict[str, NDArray[Any]]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(place): np.array(leaf, order="C") for place, leaf in leaves}


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        with safe_open(path, "numpy") as file:
            about = dict(file.metadata() or {})
        return load(path.read_bytes()), about
    except FileNotFoundError:
        raise GradgenError("there is no network here", path=str(path)) from None
    except SafetensorError as error:
        raise GradgenError(f"this is no network: {error}", path=str(path)) from None
