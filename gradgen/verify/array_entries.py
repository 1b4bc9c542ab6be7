"""Entries of the Jacobian of arrays as dense arrays, by what the letters of their terms say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from gradgen.ir.own_names import METADATA, own_name
from gradgen.verify.generated import Generated

Terms = Mapping[tuple[str, str], Sequence[Any]]


def dense_entries(
    generated: Generated, terms: Terms, outputs: Sequence[Any], leaves: Sequence[Any]
) -> list[Any]:
    """For every float output and every differentiated leaf the sum of the terms, zero if none.

    A mask tells where indices of one letter are equal: another way than the text's own.
    """
    subject, loaded = generated.subject, vars(generated.loaded)
    stated = loaded[own_name(METADATA, loaded)]["entries"]
    inputs, dense = subject.module.trace.inputs, []
    for output, number in zip(outputs, subject.floats, strict=True):
        for place in subject.wrt:
            pair = subject.module.trace.outputs[number].path, inputs[place].path
            shape = (*output.shape, *leaves[place].shape)
            total = jnp.zeros(shape, output.dtype)
            for spelled, term in zip(stated.get(pair, ()), terms.get(pair, ()), strict=True):
                total = total + _spread(spelled, term, shape)
            dense.append(total)
    return dense


def _spread(spelled: tuple[str, str, str], term: Any, shape: tuple[int, ...]) -> Any:
    rows, columns, held = spelled
    letters = rows + columns
    places = jnp.indices(shape, sparse=True)
    mask, value = jnp.ones(shape, bool), term
    first = {letter: letters.index(letter) for letter in letters}
    for place, letter in enumerate(letters):
        mask &= places[place] == places[first[letter]]
    kept = [first[letter] for letter in held]
    assert term.shape == tuple(shape[k] for k in kept), f"a term has shape {term.shape}"
    value = term.reshape([shape[k] if k in kept else 1 for k in range(len(shape))])
    return jnp.where(mask, jnp.broadcast_to(value, shape), 0)
