"""Numbers of elements as formulas: the same numbers as those of the sizes themselves."""

import random
from math import prod

import pytest

from gradgen.ir.amounts import amount
from gradgen.ir.shapes import size

DIMS = (
    1,
    3,
    "n",
    "m",
    "batch",
    "4*n",
    "2*m",
    "n + 1",
    "3*n - m",
    "batch * n",
    "2*(n + 1)*m",
    "-(-n // 4)",
)


@pytest.mark.parametrize("seed", range(50))
def test_sums_of_products_are_those_of_their_sizes(seed):
    chance = random.Random(seed)
    sizes = {name: chance.randint(1, 9) for name in ("n", "m", "batch")}
    total, due = amount(()), 1
    for _ in range(6):
        dims = chance.choices(DIMS, k=chance.randint(0, 4))
        number = chance.randint(-3, 3)
        total += number * amount(dims)
        due += number * prod(size(dim, sizes) for dim in dims)
    assert total.at(sizes) == due
    # the shown formula is Python
    assert eval(str(total), {}, sizes) == due


def test_it_looks_as_on_paper():
    n, m, nm = amount(["n"]), amount(["m"]), amount(["n", "m"])
    assert str(6 * amount(["n", "2*m", 3]) + m - n + amount([])) == "36*m*n + m - n + 1"
    assert str(nm - nm) == "0"
    assert str(n - nm) == "-m*n + n"
    assert str(amount(["n + 1", "m"])) == "m*(n + 1)"
