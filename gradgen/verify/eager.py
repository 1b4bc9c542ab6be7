"""Evaluates programs one operation after the other, as JAX does where nothing is compiled.

What XLA compiles together it fuses, contracts and reassociates. An operation by itself rounds alike
wherever it stands: values agree to the bit, and derivatives can be compared at ties. What IEEE 754
defines is NumPy's; what is compiled for another operation serves all programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from gradgen.ir.operations import OPERATIONS
from gradgen.verify.array_operations import INSIDE, Slot, called_by

_BY_IEEE: Mapping[str, Callable[..., Any]] = {
    "abs": np.absolute,
    "add": np.add,
    "add_any": np.add,
    "and": np.logical_and,
    "ceil": np.ceil,
    "div": np.divide,
    "eq": np.equal,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "lt": np.less,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.logical_not,
    "or": np.logical_or,
    "select_n": lambda which, one, other: np.where(which, other, one),
    "sqrt": np.sqrt,
    "square": np.square,
    "sub": np.subtract,
    "xor": np.logical_xor,
}
"""What IEEE 754 defines to the bit, of floats and truth values: it need not be compiled."""
_FLOATS = (np.dtype(bool), np.dtype(np.float32), np.dtype(np.float64))
_ADDED_UP = frozenset((
    "conv_general_dilated", "cumlogsumexp", "cumprod", "cumsum", "dot_general", "reduce_window",
    "reduce_window_sum", "scatter-add",
))  # fmt: skip
"""What XLA adds up in an order of its own."""
_APPROXIMATED = frozenset((
    "atan2", "cbrt", "digamma", "erf_inv", "erfc", "igamma", "igamma_grad_a", "igammac", "lgamma",
    "log1p", "pow", "regularized_incomplete_beta", "rsqrt", "tan", "tanh",
))  # fmt: skip
SEVERAL_WAYS = _ADDED_UP | _APPROXIMATED
"""What XLA rounds otherwise in another place or in arrays of another shape."""
"""What XLA's passes make of other operations."""
_OPTIONS: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_disable_hlo_passes": "fusion-wrapper",
}
"""With these, what is elementwise and not approximated compiles in a third of the time."""

Values = Sequence[Any]
Params = Mapping[str, Any]


class Operation(NamedTuple):
    """One step of a program."""

    name: str
    """The primitive's."""
    apply: Callable[..., Values]
    operands: tuple[Slot, ...]
    results: tuple[Slot, ...]
    inside: Callable[[Values, Apply], Values] | None = None
    """Of a loop or a branch: the same, by what the operations in it give."""
    terms: int = 1
    """How many numbers, or products, are added up in it for each that it gives."""
    bound: Callable[..., Values] | None = None
    """The same where it is compiled together with others; None of a loop or a branch."""

    def on(self, operands: Values) -> Values:
        """What it gives on arrays."""
        return self.apply(*operands)


Apply = Callable[[Operation, Values], Values]
"""What an operation gives on values."""


class Program:
    """A function on arrays of certain shapes and dtypes."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Trace it for arguments like these."""
        closed, result = jax.make_jaxpr(function, return_shape=True)(*arguments)
        self._structure = jax.tree.structure(result)
        self._code = _Code(closed)

    def __call__(self, *arguments: Any) -> Any:
        """The function's result."""
        return self.unflatten(self.run(jax.tree.leaves(arguments)))

    def run(self, leaves: Values, apply: Apply = Operation.on) -> list[Any]:
        """The result's leaves by those of the arguments, which are anything that `apply` knows.

        Constants of the program are arrays, whatever it makes of the others.
        """
        return self._code(leaves, apply)

    def unflatten(self, leaves: Values) -> Any:
        """The result of these leaves."""
        return jax.tree.unflatten(self._structure, leaves)

    @property
    def primitives(self) -> Set[str]:
        """The names of all primitives that there are in it."""
        return self._code.primitives

    @property
    def adds_up(self) -> bool:
        """Whether anything is added up in an order of XLA's own."""
        return not self.primitives.isdisjoint(_ADDED_UP)

    @property
    def has_several_ways(self) -> bool:
        """Whether XLA rounds anything in it otherwise in another place."""
        return not self.primitives.isdisjoint(SEVERAL_WAYS)

    @property
    def is_defined(self) -> bool:
        """Whether IEEE 754 says all that it gives, on arrays of any shape."""
        return not self._code.is_compiled


class _Code:
    """A closed jaxpr as a list of operations, those that its results need."""

    def __init__(self, closed: Any) -> None:
        self.primitives: set[str] = set()
        self.is_compiled = False
        """Whether anything in it is XLA's."""
        self._constants: dict[Slot, Any] = {}
        self._inputs = tuple(range(len(closed.jaxpr.invars)))
        self._varying = {*self._inputs}
        self._count = len(self._inputs)
        found: list[Operation] = []
        self._outputs = self._inline(found, closed.jaxpr, closed.consts, self._inputs)
        self._operations: list[Operation] = []
        self._read_last: list[list[Slot]] = []
        read = set(self._outputs)
        for operation in reversed(found):
            if read.isdisjoint(operation.results):
                continue
            over = {*operation.operands, *operation.results} - read
            self._read_last.append([slot for slot in over if slot not in self._constants])
            self._operations.append(operation)
            read.update(operation.operands)
        self._operations.reverse()
        self._read_last.reverse()

    def __call__(self, given: Values, apply: Apply = Operation.on) -> list[Any]:
        """The results."""
        values = self._constants | dict(zip(self._inputs, given, strict=True))
        with np.errstate(all="ignore"):
            for operation, over in zip(self._operations, self._read_last, strict=True):
                results = apply(operation, [values[slot] for slot in operation.operands])
                values.update(zip(operation.results, results, strict=True))
                for slot in over:
                    del values[slot]
        return [values[slot] for slot in self._outputs]

    @property
    def is_straight(self) -> bool:
        """Whether there are no loops and branches in it."""
        return all(operation.bound is not None for operation in self._operations)

    def _part(self, closed: Any) -> _Code:
        """The code of a loop or a branch."""
        part = _Code(closed)
        self.primitives |= part.primitives
        self.is_compiled |= part.is_compiled
        return part

    def _function(self, equation: Any, varies: Sequence[bool]) -> Callable[..., Values]:
        """The equation on values, of which some hang on inputs."""
        name = equation.primitive.name
        # XLA divides by what all elements share by its reciprocal, at points too if it is a number
        by_number = name == "div" and not varies[1] and not equation.invars[1].aval.shape
        by_numpy = _by_numpy(equation, divides_by_number=by_number)
        if by_numpy is None:
            self.is_compiled = True
            return _compiled(equation)
        return lambda *operands: (by_numpy(*map(np.asarray, operands)),)

    def _fresh(self) -> Slot:
        self._count += 1
        return self._count - 1

    def _constant(self, value: Any) -> Slot:
        slot = self._fresh()
        self._constants[slot] = value
        return slot

    def _inline(
        self, found: list[Operation], jaxpr: Any, consts: Values, given: Sequence[Slot]
    ) -> list[Slot]:
        known: dict[Any, Slot] = dict(zip(jaxpr.invars, given, strict=True))
        known |= {v: self._constant(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}

        def read(atom: Any) -> Slot:
            if isinstance(atom, jex.Literal):
                literal: Any = atom
                return self._constant(np.asarray(literal.val, literal.aval.dtype))
            return known[atom]

        for equation in jaxpr.eqns:
            name, operands = equation.primitive.name, tuple(map(read, equation.invars))
            if name in INSIDE:
                results = self._inline(found, *called_by(equation), operands)
            else:
                self.primitives.add(name)
                results = [self._fresh() for _ in equation.outvars]
                varies = [slot in self._varying for slot in operands]
                slots = operands, tuple(results)
                if name in _CONTROL and equation.params.get("length") != 0:
                    inside = _CONTROL[name](equation.params, self._part)
                    found.append(Operation(name, _plainly(inside), *slots, inside))
                else:
                    function, terms = self._function(equation, varies), _terms(equation)
                    bound = _bound(equation)
                    found.append(Operation(name, function, *slots, terms=terms, bound=bound))
                if any(varies):
                    self._varying.update(results)
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]


def _bound(equation: Any) -> Callable[..., Values]:
    """The equation on traced values."""
    primitive, params = equation.primitive, equation.params

    def apply(*operands: Any) -> Values:
        found = primitive.bind(*operands, **params)
        return found if primitive.multiple_results else (found,)

    return apply


def _terms(equation: Any) -> int:
    """How many numbers are added up for each of its results."""
    operands = [variable.aval for variable in equation.invars]
    match equation.primitive.name:
        case "reduce_sum":
            return int(operands[0].size // max(equation.outvars[0].aval.size, 1))
        case "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            return math.prod(operands[0].shape[axis] for axis in contracted)
        case "conv_general_dilated":
            kernel, axis = operands[1], equation.params["dimension_numbers"].rhs_spec[0]
            return int(kernel.size // max(kernel.shape[axis], 1))
    return 1


def _by_numpy(equation: Any, *, divides_by_number: bool) -> Callable[..., Any] | None:
    """The equation on values, if it is a matter of IEEE 754 or of moving numbers about."""
    name, params = equation.primitive.name, equation.params
    variables: list[Any] = [*equation.invars, *equation.outvars]
    if any(variable.aval.dtype not in _FLOATS for variable in variables):
        return None
    if name in _BY_IEEE and not divides_by_number:
        return _BY_IEEE[name]
    return _MOVED[name](params) if name in _MOVED else None


def _broadcast(params: Params) -> Callable[..., Any]:
    shape, dimensions = params["shape"], params["broadcast_dimensions"]
    there = [k in dimensions for k in range(len(shape))]

    def apply(operand: Any) -> Any:
        sizes = iter(operand.shape)
        return np.broadcast_to(operand.reshape([next(sizes) if one else 1 for one in there]), shape)

    return apply


def _reshape(params: Params) -> Callable[..., Any]:
    sizes, order = params["new_sizes"], params["dimensions"]
    if order is None:
        return lambda operand: operand.reshape(sizes)
    return lambda operand: operand.transpose(order).reshape(sizes)


def _slice(params: Params) -> Callable[..., Any]:
    bounds = params["start_indices"], params["limit_indices"]
    strides = params["strides"] or (1,) * len(bounds[0])
    part = tuple(map(slice, *bounds, strides))
    return lambda operand: operand[part]


_MOVED: Mapping[str, Callable[[Params], Callable[..., Any]]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params: lambda *parts: np.concatenate(parts, params["dimension"]),
    "convert_element_type": lambda params: lambda x: x.astype(params["new_dtype"]),
    "copy": lambda _: lambda x: x,
    "reshape": _reshape,
    "rev": lambda params: lambda x: np.flip(x, params["dimensions"]),
    "slice": _slice,
    "squeeze": lambda params: lambda x: x.squeeze(params["dimensions"]),
    "transpose": lambda params: lambda x: x.transpose(params["permutation"]),
}
"""What gives the numbers that it is given."""


def _compiled(equation: Any) -> Callable[..., Values]:
    """The equation on values, by XLA."""
    primitive, params = equation.primitive, equation.params
    compiled: Callable[..., Any] | None = None

    def apply(*operands: Any) -> Values:
        nonlocal compiled
        if compiled is None:
            wide = jax.dtypes.canonicalize_dtype(float).itemsize == 8
            key = tuple(sorted(params.items())), tuple(map(jax.typeof, operands))
            compiled = _operation(primitive, *key, wide)
        found = compiled(*operands)
        return found if primitive.multiple_results else (found,)

    return apply


@lru_cache(2000)
def _operation(
    primitive: Any, params: Any, operands: Any, with_64_bits: bool
) -> Callable[..., Any]:
    """An operation on arrays like these."""
    bound = partial(primitive.bind, **dict(params))
    elementwise = primitive.name in OPERATIONS and OPERATIONS[primitive.name].kind != "array"
    plain = elementwise and primitive.name not in _APPROXIMATED
    return jax.jit(bound).lower(*operands).compile(_OPTIONS if plain else None)


_Part = Callable[[Any], _Code]
"""From a closed jaxpr inside another."""
_Inside = Callable[[Values, Apply], Values]
"""A loop or a branch on values, by what the operations in it give."""


def _plainly(inside: _Inside) -> Callable[..., Values]:
    return lambda *operands: inside(operands, Operation.on)


class Scan:
    """A loop of so many steps."""

    def __init__(self, params: Params, part: _Part) -> None:
        self.body, self.length = part(params["jaxpr"]), int(params["length"])
        self.reverse = bool(params["reverse"])
        self._constants, self._carried = params["num_consts"], params["num_carry"]

    def split(self, values: Values) -> tuple[Values, Values, Values]:
        """What all steps read, what they carry, and what they read one by one."""
        first = self._constants + self._carried
        return values[: self._constants], values[self._constants : first], values[first:]

    def step(self, shared: Values, carry: Values, now: Values, apply: Apply) -> tuple[Values, ...]:
        """What one step carries on, and what it gives to be stacked."""
        found = self.body((*shared, *carry, *now), apply)
        return found[: self._carried], found[self._carried :]

    def __call__(self, operands: Values, apply: Apply) -> Values:
        """The loop, one step after the other."""
        shared, carry, inputs = self.split(operands)
        stacked, steps = [], range(self.length)
        for k in reversed(steps) if self.reverse else steps:
            now = [_each(lambda array, k=k: _unkeyed(array)[k], one) for one in inputs]
            carry, given = self.step(shared, carry, now, apply)
            stacked.append(given)
        if self.reverse:
            stacked.reverse()
        return [*carry, *(_each(_stack, *rows) for rows in zip(*stacked, strict=True))]


def _each(function: Callable[..., Any], *values: Any) -> Any:
    """What a function of arrays gives on values, which may be tuples of arrays."""
    several = next((value for value in values if isinstance(value, tuple)), None)
    if several is None:
        return function(*values)
    parts = [value if isinstance(value, tuple) else (value,) * len(several) for value in values]
    return type(several)(*(function(*arrays) for arrays in zip(*parts, strict=True)))


def _first(value: Any) -> Any:
    """The array by which is decided."""
    return np.asarray(value[0] if isinstance(value, tuple) else value)


def _stack(*rows: Any) -> Any:
    return (jnp.stack if _has_keys(rows[0]) else np.stack)(rows)


def _has_keys(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jax.dtypes.prng_key))


def _unkeyed(value: Any) -> Any:
    """As NumPy's array, for which nothing is compiled; NumPy has none of keys."""
    return value if _has_keys(value) else np.asarray(value)


def _while(params: Params, part: _Part) -> _Inside:
    goes_on, body = part(params["cond_jaxpr"]), part(params["body_jaxpr"])
    first, second = params["cond_nconsts"], params["body_nconsts"]

    def run(operands: Values, apply: Apply) -> Values:
        asked, shared = operands[:first], operands[first:][:second]
        carry = list(operands[first + second :])
        while np.any(going := _first(goes_on((*asked, *carry), apply)[0])):
            after = body((*shared, *carry), apply)
            # where a loop was mapped, each has a condition of its own
            chosen = partial(_chosen, going)
            carry = [_each(chosen, *pair) for pair in zip(after, carry, strict=True)]
        return carry

    return run


def _chosen(going: Any, after: Any, before: Any) -> Any:
    if going.all():
        return after
    return jnp.where(going.reshape(going.shape + (1,) * (after.ndim - going.ndim)), after, before)


def _cond(params: Params, part: _Part) -> _Inside:
    branches = [part(branch) for branch in params["branches"]]

    def run(operands: Values, apply: Apply) -> Values:
        return branches[int(_first(operands[0]))](operands[1:], apply)

    return run


_CONTROL: dict[str, Callable[[Params, _Part], _Inside]] = {
    "scan": Scan,
    "while": _while,
    "cond": _cond,
}
"""Loops and branches, which XLA would compile as a whole."""
