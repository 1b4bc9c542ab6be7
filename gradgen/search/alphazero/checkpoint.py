"""Networks and the state of a training as files: safetensors, which hold numbers and no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from reprlib import repr as short
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from gradgen.errors import GradgenError
from gradgen.files import write_atomically
from gradgen.ir.json_files import read_object
from gradgen.search.alphazero.network import NetworkSize, Params
from gradgen.search.alphazero.training import State, Training

LATEST = "latest.safetensors"
"""The checkpoint in a folder of checkpoints."""
FORMAT = "3"
"""What networks see: prices and sizes, also of the products that a move makes. The second one saw
none of these, and the first one saw four kinds of partials, and its files do not say so."""


def write_state(folder: Path, state: State, training: Training, games: Mapping[str, str]) -> None:
    """Write a checkpoint into a folder, in place of the one before.

    `games` are the names and fingerprints of the graphs that are played.
    """
    about = {
        "format": FORMAT,
        "training": json.dumps(asdict(training)),
        "games": json.dumps(dict(games)),
    }
    write_atomically(str(folder / LATEST), save(_flat(state), about))


def read_state(folder: Path, like: State, training: Training, games: Mapping[str, str]) -> State:
    """The state that was written last; its arrays are those of `like`, by their places.

    Raises GradgenError if there is none, if it belongs to another training, or if it is damaged.
    """
    path = folder / LATEST
    arrays, about = _read(path)
    asked = {"training": asdict(training), "games": dict(games)}
    for name, value in asked.items():
        try:
            kept = _described(about, name)
        except ValueError:
            raise damaged(path, f"it does not say which {name} it belongs to") from None
        differing = sorted(k for k in {*kept, *value} if kept.get(k) != value.get(k))
        if differing:
            raise GradgenError(
                f"the checkpoint is of another training: its {name} differ in "
                f"{', '.join(differing)}",
                hint="give the same graphs and options as before, or another --checkpoint",
                path=str(path),
            )
    leaves, structure = jax.tree.flatten_with_path(like)
    due = {jax.tree_util.keystr(place): leaf for place, leaf in leaves}
    if arrays.keys() != due.keys():
        raise damaged(path, f"it holds other arrays, such as {min(arrays.keys() ^ due.keys())}")
    for name, leaf in due.items():
        array = arrays[name]
        if (array.shape, array.dtype) != (leaf.shape, leaf.dtype):
            raise damaged(
                path,
                f"{name} is {array.dtype}{array.shape} where {leaf.dtype}{leaf.shape} is due",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise damaged(path, f"not all numbers of {name} are finite")
        if array.dtype.kind in "iu" and (array < 0).any():
            raise damaged(path, f"there are negative numbers in {name}")
    restored: State = jax.tree.unflatten(structure, [arrays[name] for name in due])
    if not 0 < int(restored.iteration) <= training.iterations:
        raise damaged(path, f"it is of iteration {int(restored.iteration)}")
    return restored


def damaged(path: Path, what: str) -> GradgenError:
    """The error for a checkpoint that cannot be gone on from."""
    return GradgenError(
        f"the checkpoint is damaged: {what}",
        hint="begin anew with another --checkpoint, or put an older copy in its place",
        path=str(path),
    )


def write_network(path: Path, params: Params, size: NetworkSize, about: Mapping[str, str]) -> None:
    """Write a network alone, with how large it is and how it was trained."""
    described = {"format": FORMAT, "size": json.dumps(asdict(size)), **about}
    write_atomically(str(path), save(_flat(params), described))


def read_network(path: Path) -> tuple[Params, NetworkSize]:
    """A network and its size; raises GradgenError if there is none in the file."""
    arrays, about = _read(path)
    try:
        size = _size(_described(about, "size"), path)
    except ValueError as error:
        raise _no_network(path, f"its size: {error}") from None
    params: dict[str, dict[str, Any]] = {}
    for place, array in arrays.items():
        parts = place.removeprefix("['").removesuffix("']").split("']['")
        if len(parts) != 2:
            raise _no_network(path, f"{place!r} is no part of a network")
        params.setdefault(parts[0], {})[parts[1]] = array
    return params, size


def _size(described: Mapping[str, Any], path: Path) -> NetworkSize:
    plain = {field.name: type(field.default) for field in fields(NetworkSize)}
    kinds = {name: type(value) for name, value in described.items()}
    if kinds != plain or described["attention"] not in ("axial", "full"):
        raise _no_network(path, f"{short(described)} is no size of a network")
    size = NetworkSize(**described)
    if min(size.channels, size.heads, size.layers) < 1 or size.channels % size.heads:
        raise _no_network(path, f"{short(described)} is no size of a network")
    return size


def _described(about: Mapping[str, str], name: str) -> dict[str, Any]:
    """What the file says about itself under a name; raises ValueError if it does not."""
    return read_object(about.get(name, ""), ())


def _flat(tree: Any) -> dict[str, NDArray[Any]]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(place): np.array(leaf, order="C") for place, leaf in leaves}


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        with safe_open(path, "numpy") as file:
            about = dict(file.metadata() or {})
        arrays = load(path.read_bytes())
    except FileNotFoundError:
        raise GradgenError("there is no network here", path=str(path)) from None
    except OSError as error:
        raise GradgenError(f"cannot read the network: {error.strerror}", path=str(path)) from None
    except (SafetensorError, KeyError, TypeError, ValueError, MemoryError) as error:
        # the last ones for numbers that numpy has not
        raise _no_network(path, f"{type(error).__name__}: {error}") from None
    if about and about.get("format") != FORMAT:
        raise GradgenError(
            f"this network is of format {short(about.get('format', '1'))}, and gradgen plays with "
            f"those of '{FORMAT}'",
            hint="train it again; or use the version of gradgen that wrote it",
            path=str(path),
        )
    return arrays, about


def _no_network(path: Path, why: str) -> GradgenError:
    return GradgenError(
        f"this is no network, or a damaged one: {why}",
        hint="take a copy of the file, or begin anew",
        path=str(path),
    )
