"""How operations that are not elementwise are written: as people do, where there is such a way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gradgen.ir.code import Atom, Const, Instruction, is_float
from gradgen.ir.shapes import Dim, Shape, written
from gradgen.targets.jax.expressions import ATOM, TERM, Text, print_constant


def spelled(
    instruction: Instruction, operands: Sequence[Text], dtype: str, *, as_source: bool
) -> Text:
    """The expression of an operation with a shape of its own.

    `dtype` is that of the result as code has it; `as_source` says whether the operation is one of
    the source, whose contractions keep their form.
    """
    if instruction.op == "einsum":
        return _einsum(instruction, operands, as_source)
    if instruction.op == "broadcast":
        return _broadcast(instruction, operands, dtype)
    if instruction.op in ("pullback", "pushforward"):
        return _by_jax(instruction, operands, dtype)
    return _SPELLED[instruction.op](instruction, operands, dtype)


def print_shape(shape: Shape) -> str:
    """A shape as a tuple."""
    return written(map(_dim, shape))


def _dim(dim: Dim) -> str:
    return re.sub(r"(?<=\w)(\*|//)(?=\w)", r" \1 ", str(dim))


def _call(function: str, *arguments: str) -> Text:
    return Text(f"{function}({', '.join(arguments)})")


def _method(operand: Text, call: str) -> Text:
    return Text(f"{operand.within(ATOM)}.{call}")


def _einsum(instruction: Instruction, operands: Sequence[Text], as_source: bool) -> Text:
    spec: str = instruction.attribute("spec")
    precision = dict(instruction.attributes).get("precision")
    if precision is None:
        inputs, _, result = spec.partition("->")
        left, right = inputs.split(",")
        found = _matrix_product(left, right, result, *operands, plain=as_source)
        if found is None and not as_source:
            found = _matrix_product(right, left, result, *reversed(operands))
        if found is None and not as_source:
            found = _flat_product(left, right, result, *operands)
        if found is not None:
            return found
    more = [] if precision is None else [f"precision=lax.Precision.{precision}"]
    return _call("jnp.einsum", f'"{spec}"', *(o.text for o in operands), *more)


def _matrix_product(
    left: str, right: str, result: str, a: Text, b: Text, *, plain: bool = False
) -> Text | None:
    """`a @ b`, with what has to be transposed; None where it is no such product."""
    if not left or not right:
        return None
    inner = {*left} & {*right} - {*result}
    if len(inner) != 1:
        return None
    (c,) = inner
    ends = left[-1] == c == right[0] and len(right) <= 2
    if ends and result == left[:-1] + right[1:]:
        return _at(a, b)
    batch = _batch(left, right, result)
    if batch:
        same = left[:-2] == batch == right[:-2] and left[-1] == c == right[-2]
        return _at(a, b) if same and result == left[:-1] + right[-1] else None
    if not plain and left[-1] == c and len(right) == 2 and result == left[:-1] + right[0]:
        return _at(a, _method(b, "T"))
    if plain or len(left) > 2 or len(right) > 2:
        return None
    one = a if left[-1] == c else _method(a, "T")
    two = b if right[0] == c else _method(b, "T")
    if result == left.replace(c, "") + right.replace(c, ""):
        return _at(one, two)
    return None


def _batch(left: str, right: str, result: str) -> str:
    return "".join(x for x in left if x in right and x in result)


def _flat_product(left: str, right: str, result: str, a: Text, b: Text) -> Text | None:
    """A sum over all axes but the last."""
    if len(left) < 3 or left[:-1] != right[:-1] or len(result) != 2 or {*result} & {*left[:-1]}:
        return None
    if result != left[-1] + right[-1]:
        if result != right[-1] + left[-1]:
            return None
        a, b = b, a
    return _call("_summed_product", a.text, b.text)


def _at(a: Text, b: Text) -> Text:
    return Text(f"{a.within(TERM)} @ {b.within(TERM + 1)}", TERM)


def _broadcast(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    (operand,), shape = instruction.operands, instruction.attribute("shape")
    dims: tuple[int, ...] = instruction.attribute("dims")
    if isinstance(operand, Const):
        if operand.value in (0, 1) and operand.dtype != "bool":
            name = "zeros" if operand.value == 0 else "ones"
            return _call(f"jnp.{name}", print_shape(shape), dtype)
        return _call("jnp.full", print_shape(shape), print_constant(operand).text, dtype)
    if not dims and instruction.dtype != "key":
        # a number may be Python's, or weakly typed
        return _call("jnp.full", print_shape(shape), operands[0].text, dtype)
    added = [k for k in range(len(shape)) if k not in dims]
    kept = tuple(shape[k] for k in dims)
    if added and all(shape[k] == 1 for k in added) and kept == instruction.attribute("own"):
        return _indexed(operands[0], [":" if k in dims else "None" for k in range(len(shape))])
    inner = operands[0]
    first = dims[0] if dims else len(shape)
    if dims != tuple(range(len(shape) - len(dims), len(shape))) and dims:
        places = [":" if k in dims else "None" for k in range(first, len(shape))]
        inner = _indexed(inner, places)
    return _call("jnp.broadcast_to", inner.text, print_shape(shape))


def _indexed(operand: Text, places: Sequence[str]) -> Text:
    trimmed = list(places)
    while len(trimmed) > 1 and trimmed[-1] == ":":
        trimmed.pop()
    return Text(f"{operand.within(ATOM)}[{', '.join(trimmed)}]")


def _reshape(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    shape: Shape = instruction.attribute("shape")
    return _method(operands[0], f"reshape({', '.join(map(_dim, shape)) or '()'})")


def _transpose(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    permutation: tuple[int, ...] = instruction.attribute("permutation")
    if permutation == (1, 0):
        return _method(operands[0], "T")
    return _method(operands[0], f"transpose({', '.join(map(str, permutation))})")


def _size(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    dim: Dim = instruction.attribute("dim")
    text = _dim(dim)
    return Text(text, ATOM if text.isidentifier() else TERM - 10)


def _iota(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    shape: Shape = instruction.attribute("shape")
    if len(shape) == 1:
        return _call("jnp.arange", _dim(shape[0]), f"dtype={dtype}")
    dimension = instruction.attribute("dimension")
    return _call("lax.broadcasted_iota", dtype, print_shape(shape), str(dimension))


def _reduced(name: str) -> Callable[[Instruction, Sequence[Text], str], Text]:
    def spell(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
        axes: tuple[int, ...] = instruction.attribute("axes")
        shown = str(axes[0]) if len(axes) == 1 else str(axes)
        kept = dict(instruction.attributes).get("keepdims")
        more = ", keepdims=True" if kept else ""
        if (
            name in ("sum", "prod")
            and instruction.dtype != "int"
            and not is_float(instruction.dtype)
        ):
            more += f", dtype={dtype}"  # small integers would become larger ones
        return _method(operands[0], f"{name}({shown}{more})")

    return spell


def _argument(name: str) -> Callable[[Instruction, Sequence[Text], str], Text]:
    def spell(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
        axis = str(instruction.attribute("axis"))
        return _call(f"lax.{name}", operands[0].text, axis, dtype)

    return spell


def _cumulative(name: str) -> Callable[[Instruction, Sequence[Text], str], Text]:
    def spell(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
        axis = f"axis={instruction.attribute('axis')}"
        reverse = ["reverse=True"] if instruction.attribute("reverse") else []
        return _call(f"lax.{name}", operands[0].text, axis, *reverse)

    return spell


def _slice(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    parts = zip(
        *(instruction.attribute(name) for name in ("starts", "limits", "strides", "full")),
        strict=True,
    )
    return _indexed(operands[0], [_range(*part) for part in parts])


def _range(start: Dim, limit: Dim, stride: int, full: bool) -> str:
    """A slice of one axis, with spaces around its colons where its ends are formulas."""
    lower, upper = "" if start == 0 else _dim(start), "" if full else _dim(limit)
    if " " not in lower + upper:
        return f"{lower}:{upper}" if stride == 1 else f"{lower}:{upper}:{stride}"
    wide = f"{lower} : {upper}".strip()
    if stride == 1:
        return wide
    return f"{wide} : {stride}" if upper else f"{wide}: {stride}"


def _of_dtype(atom: Atom, text: Text, dtype: str) -> str:
    """An operand that `jax.lax` wants in the dtype of the others, as no number of Python has it."""
    return f"jnp.asarray({text.text}, {dtype})" if isinstance(atom, Const) else text.text


def _pad(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    value = _of_dtype(instruction.operands[1], operands[1], dtype)
    config = ", ".join(print_shape(one) for one in instruction.attribute("config"))
    return _call("lax.pad", operands[0].text, value, f"[{config}]")


def _concatenate(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    parts = ", ".join(o.text for o in operands)
    return _call("jnp.concatenate", f"[{parts}]", f"axis={instruction.attribute('axis')}")


def _at_step(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    stack, number = operands
    return _call("lax.dynamic_index_in_dim", stack.text, number.text, "keepdims=False")


def _dynamic_slice(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    starts = _starts(operands[1:])
    sizes = print_shape(instruction.attribute("sizes"))
    return _call("lax.dynamic_slice", operands[0].text, starts, sizes)


def _starts(operands: Sequence[Text]) -> str:
    """Indices, which are to be of one dtype."""
    shown = ", ".join(o.text for o in operands)
    return f"[{shown}]" if len(operands) == 1 else f"_alike({shown})"


def _dynamic_update(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    starts = _starts(operands[2:])
    update = _of_dtype(instruction.operands[1], operands[1], dtype)
    return _call("lax.dynamic_update_slice", operands[0].text, update, starts)


def _gather(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    numbers = _numbers(
        instruction,
        "GatherDimensionNumbers",
        ("offset_dims", "collapsed_slice_dims", "start_index_map"),
        ("operand_batching_dims", "start_indices_batching_dims"),
    )
    sizes = print_shape(instruction.attribute("slice_sizes"))
    operand, indices = (o.text for o in operands)
    fill = dict(instruction.attributes).get("fill_value")
    more = [] if fill is None else [f"fill_value={'jnp.nan' if fill == 'nan' else fill}"]
    return _call("lax.gather", operand, indices, numbers, sizes, *_promises(instruction), *more)


def _sort(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    axis, stable, keys = (instruction.attribute(name) for name in ("axis", "stable", "keys"))
    number = dict(instruction.attributes).get("result")
    if number is None:
        return _call("lax.sort", operands[0].text, str(axis), f"is_stable={stable}")
    given = f"({', '.join(o.text for o in operands)})"
    sorted_by = _call("lax.sort", given, str(axis), f"is_stable={stable}", f"num_keys={keys}")
    return Text(f"{sorted_by.text}[{number}]")


def _top_k(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    k, axis, number = (instruction.attribute(name) for name in ("k", "axis", "result"))
    last = axis == len(instruction.attribute("shape")) - 1
    more = [] if last else [f"axis={axis}"]
    return Text(f"{_call('lax.top_k', operands[0].text, _dim(k), *more).text}[{number}]")


def _literal(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    """An array of numbers, row by row."""
    items = [o.text for o in operands]
    for size in reversed(instruction.attribute("shape")):
        rows = range(0, len(items), size)
        items = [f"[{', '.join(items[k : k + size])}]" for k in rows]
    return _call("jnp.array", items[0], dtype)


def _scatter(name: str) -> Callable[[Instruction, Sequence[Text], str], Text]:
    def spell(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
        numbers = _numbers(
            instruction,
            "ScatterDimensionNumbers",
            ("update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims"),
            ("operand_batching_dims", "scatter_indices_batching_dims"),
        )
        operand, indices = (o.text for o in operands[:2])
        updates = _of_dtype(instruction.operands[2], operands[2], dtype)
        promises = _promises(instruction)
        return _call(f"lax.{name}", operand, indices, updates, numbers, *promises)

    return spell


def _numbers(
    instruction: Instruction, kind: str, always: Sequence[str], optional: Sequence[str]
) -> str:
    fields = [f"{field}={instruction.attribute(field)}" for field in always]
    fields += [f"{f}={v}" for f in optional if (v := instruction.attribute(f))]
    return f"lax.{kind}({', '.join(fields)})"


def _promises(instruction: Instruction) -> list[str]:
    flags = [f for f in ("indices_are_sorted", "unique_indices") if instruction.attribute(f)]
    mode = instruction.attribute("mode")
    return [*(f"{flag}=True" for flag in flags), f"mode=lax.GatherScatterMode.{mode}"]


def _window(function: str, start: str) -> Callable[[Instruction, Sequence[Text], str], Text]:
    def spell(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
        names = ("window", "strides", "padding", "base_dilation", "window_dilation")
        settings = ", ".join(str(instruction.attribute(name)) for name in names)
        return _call("lax.reduce_window", operands[0].text, start, f"lax.{function}", settings)

    return spell


def _by_jax(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    """JAX's own rule of one operation, for which there is no other public spelling."""
    slot: int = instruction.attribute("slot")
    vector, *given = operands
    inner = Instruction(
        "", instruction.attribute("op"), instruction.operands[1:], instruction.attribute("inner")
    )
    along = [Text("_x") if k == slot else o for k, o in enumerate(given)]
    function = f"lambda _x: {spelled(inner, along, dtype, as_source=True).text}"
    if instruction.op == "pullback":
        return Text(f"jax.vjp({function}, {given[slot].text})[1]({vector.text})[0]")
    return Text(f"jax.jvp({function}, ({given[slot].text},), ({vector.text},))[1]")


def _random(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    """What is drawn with a key; the bounds of a uniform distribution only if they are others."""
    function = instruction.attribute("function")
    shape = print_shape(instruction.attribute("shape"))
    given = dict(zip(instruction.attribute("given"), (o.text for o in operands), strict=True))
    if function == "bernoulli":
        return _call("jax.random.bernoulli", given["key"], given["p"], shape)
    bounds = [given[name] for name in ("minval", "maxval") if name in given]
    if function == "randint":
        return _call("jax.random.randint", given["key"], shape, *bounds, dtype)
    if bounds == ["0.0", "1.0"]:
        bounds = []
    return _call(f"jax.random.{function}", given["key"], shape, dtype, *bounds)


def _conv(instruction: Instruction, operands: Sequence[Text], dtype: str) -> Text:
    specs = [instruction.attribute(name) for name in ("lhs_spec", "rhs_spec", "out_spec")]
    numbers = f"lax.ConvDimensionNumbers({', '.join(map(str, specs))})"
    precision = dict(instruction.attributes).get("precision")
    more = [] if precision is None else [f"precision=lax.Precision.{precision}"]
    padding = ", ".join(print_shape(one) for one in instruction.attribute("padding"))
    return _call(
        "lax.conv_general_dilated",
        *(o.text for o in operands),
        str(instruction.attribute("strides")),
        f"[{padding}]",
        str(instruction.attribute("lhs_dilation")),
        str(instruction.attribute("rhs_dilation")),
        numbers,
        f"feature_group_count={instruction.attribute('groups')}",
        f"batch_group_count={instruction.attribute('batches')}",
        *more,
    )


_SPELLED: dict[str, Callable[[Instruction, Sequence[Text], str], Text]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "barrier": lambda i, o, d: _call("lax.optimization_barrier", o[0].text),
    "size": _size,
    "iota": _iota,
    "reduce_sum": _reduced("sum"),
    "reduce_max": _reduced("max"),
    "reduce_min": _reduced("min"),
    "reduce_prod": _reduced("prod"),
    "reduce_and": _reduced("all"),
    "reduce_or": _reduced("any"),
    "argmax": _argument("argmax"),
    "argmin": _argument("argmin"),
    **{n: _cumulative(n) for n in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")},
    "slice": _slice,
    "rev": lambda i, o, d: _call("lax.rev", o[0].text, print_shape(i.attribute("axes"))),
    "pad": _pad,
    "concatenate": _concatenate,
    "at_step": _at_step,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update,
    "gather": _gather,
    "scatter": _scatter("scatter"),
    "scatter_add": _scatter("scatter_add"),
    "scatter_mul": _scatter("scatter_mul"),
    "scatter_min": _scatter("scatter_min"),
    "scatter_max": _scatter("scatter_max"),
    "conv": _conv,
    "random": _random,
    "wrap_key": lambda i, o, d: _call("jax.random.wrap_key_data", o[0].text, 'impl="threefry2x32"'),
    "unwrap_key": lambda i, o, d: _call("jax.random.key_data", o[0].text),
    "split_key": lambda i, o, d: _call(
        "jax.random.split", o[0].text, print_shape(i.attribute("shape"))
    ),
    "fold_in": lambda i, o, d: _call("jax.random.fold_in", *(x.text for x in o)),
    "sort": _sort,
    "top_k": _top_k,
    "literal": _literal,
    "machine": lambda i, o, d: Text(f"jnp.finfo({d}).{i.attribute('field')}"),
    "reduce_window_sum": _window("add", "0.0"),
    "reduce_window_max": _window("max", "-jnp.inf"),
    "reduce_window_min": _window("min", "jnp.inf"),
    "reduce_window_mul": _window("mul", "1.0"),
}
