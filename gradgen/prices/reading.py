"""Files of prices: what stands in one, checked, with the place of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

from gradgen.errors import GradgenError
from gradgen.files import document_of, line_of, read_text
from gradgen.ir.prices import PRICED, Prices
from gradgen.prices.presets import PRESETS

PRECISIONS = ("int8", "int16", "int32", "float16", "bfloat16", "float32", "float64")
"""What a table of prices may be of."""
_LARGEST, _DECIMALS = 10**9, 9
_NUMBER = f"a number from 0 to {_LARGEST:,} with at most {_DECIMALS} decimals"


def read_prices(asked: str, folder: Path | None = None) -> Prices:
    """The prices by a preset's name or in a file: `NAME` or `FILE`, with `:PRECISION` or without.

    A precision says which table is that of the values which have the inputs' dtype; the file itself
    says which where nothing else does. A relative path is looked for in `folder`. Raises
    GradgenError, with its place, for what is wrong in a file, and for a precision without a table.
    """
    name, colon, precision = asked.rpartition(":")
    if not colon or not precision.isidentifier():
        name, precision = asked, ""
    if name in PRESETS:
        path = str(PRESETS[name])
        return _File(path, read_text(path, "the prices")).prices(name, precision, in_file=False)
    path = str(Path(folder or "", name))
    try:
        text = read_text(path, "the prices")
    except GradgenError as error:
        error.hint = f"--prices is the path of a file, or one of {', '.join(PRESETS)}"
        raise
    return _File(path, text).prices(path, precision, in_file=True)


@dataclass(frozen=True)
class _File:
    """A file, and errors with the place in it."""

    path: str
    text: str

    def prices(self, source: str, precision: str, *, in_file: bool) -> Prices:
        """What it says."""
        document = document_of(self.text, self.path, Decimal)
        for key in ("unit", "precision"):
            if not isinstance(document.get(key), str) or not document[key].isprintable():
                raise self.error(
                    (), key, f"'{key}' is no text", f'write {key} = "{_EXAMPLES[key]}" at the top'
                )
        tables = {k: v for k, v in document.items() if k not in ("unit", "precision")}
        amounts = {key: self._row(key, table) for key, table in tables.items()}
        working = precision or document["precision"]
        if working not in amounts:
            raise self.error(
                (), "precision", f"there are no prices for {working}",
                f"there are some for {', '.join(amounts)}" if amounts else "add a table of them",
            )  # fmt: skip
        scale = lcm(*(x.denominator for row in amounts.values() for x in row))
        return Prices(
            source,
            in_file,
            document["unit"],
            working,
            tuple((key, tuple(int(x * scale) for x in row)) for key, row in amounts.items()),
            scale,
        )

    def error(self, table: tuple[str, ...], key: str, message: str, hint: str) -> GradgenError:
        """An error at a key."""
        line = line_of(self.text, table, key)
        return GradgenError(message, hint=hint, path=self.path, line=line)

    def _row(self, precision: str, table: Any) -> tuple[Fraction, ...]:
        """The prices in one precision, in the order of `PRICED`."""
        if precision not in PRECISIONS or not isinstance(table, Mapping):
            raise self.error(
                (), precision, f"'{precision}' is no table of prices in a precision",
                f"tables are called {', '.join(PRECISIONS)}",
            )  # fmt: skip
        for kind, value in table.items():
            if kind not in PRICED:
                raise self.error(
                    (precision,), kind, f"there is no kind of operation '{kind}'",
                    f"known are {', '.join(PRICED)}",
                )  # fmt: skip
            if not _is_price(value):
                raise self.error(
                    (precision,), kind, f"'{kind}' is not {_NUMBER}", f"write {kind} = 1.5, say"
                )
        missing = [kind for kind in PRICED if kind not in table]
        if missing:
            raise self.error(
                (precision,), "", f"{precision} has no price for {', '.join(missing)}",
                f"add {missing[0]} = 0 there, or what it costs",
            )  # fmt: skip
        return tuple(Fraction(table[kind]) for kind in PRICED)


_EXAMPLES = {"unit": "pJ", "precision": "float32"}


def _is_price(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    number = Decimal(value)
    # an exponent says how long a number would be, before it is written out
    if not number.is_finite() or number.adjusted() > _DECIMALS or not 0 <= number <= _LARGEST:
        return False
    exponent = number.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_DECIMALS
