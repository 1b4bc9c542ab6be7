"""Counts the operations of a generated text on arrays, by running it with a counter in it.

Every operation of the text is wrapped in a call that counts its elements; the text then runs
abstractly at the recorded sizes. What counts as what is the rule of `recount`.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.own_names import METADATA, own_name
from gradgen.verify.array_points import abstract_leaves, recorded_sizes
from gradgen.verify.generated import Generated
from gradgen.verify.recount import Recount, is_indicator, kinds_of
from gradgen.verify.subject import ArraySubject
from gradgen.verify.verdict import Failure

_COUNTER = "_counter_of_this_check"
_MOVES = frozenset((
    "zeros", "ones", "arange", "broadcasted_iota", "reshape", "transpose", "max", "min", "all",
    "any", "argmax", "argmin", "concatenate", "pad", "rev", "gather", "scatter", "scatter_add",
    "dynamic_slice", "dynamic_update_slice", "GatherDimensionNumbers", "ScatterDimensionNumbers",
    "ConvDimensionNumbers", "cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "sort",
    "full", "normal", "uniform", "bernoulli", "split", "fold_in", "wrap_key_data", "key_data",
    "optimization_barrier", "dynamic_index_in_dim", "_merged", "_split", "array", "top_k",
    "scatter_mul", "scatter_min", "scatter_max", "randint",
))  # fmt: skip
"""What moves data about, or compares it along an axis."""
_SUMS = {"sum": "add", "prod": "mul"}


def miscounted(generated: Generated) -> Iterator[Failure]:
    """Programs of the text whose operations are not those that it states."""
    subject: ArraySubject = generated.subject
    namespace = dict(vars(generated.loaded))
    stated = namespace[own_name(METADATA, namespace)]["counts"]
    functions = {
        node.name: node
        for node in ast.parse(subject.text).body
        if isinstance(node, ast.FunctionDef)
    }
    for name, arguments in _given(generated).items():
        function = own_name(_called(name), functions)
        if function not in functions:
            continue
        counter = _Counter()
        changed = _Counting().visit(functions[function])
        module = ast.fix_missing_locations(ast.Module([changed], []))
        scope = namespace | {_COUNTER: counter}
        exec(compile(module, "<counted>", "exec"), scope)
        jax.eval_shape(scope[function], *arguments())
        claimed = {kind: n for kind, n in stated[name].items() if isinstance(n, int)}
        recounted = Recount(counter.counts, counter.ambiguous)
        if different := recounted.differs_from(claimed):
            yield Failure("inexact", function, f"counts differ: {different}")


def _given(generated: Generated) -> dict[str, Callable[[], Sequence[Any]]]:
    """What each program is given, abstractly, at the recorded sizes."""
    subject: ArraySubject = generated.subject
    module, loaded = subject.module, vars(generated.loaded)
    leaves = abstract_leaves(module.trace, recorded_sizes(module.trace), "float32")
    outputs = jax.tree.leaves(jax.eval_shape(lambda *flat: subject.source(flat), *leaves))
    by_path = {o.path: leaf for o, leaf in zip(module.trace.outputs, outputs, strict=True)}
    cotangents = [by_path[path] for path, _ in module.cotangents]
    by_input = dict(zip(subject.paths, leaves, strict=True))
    tangents = [by_input[path] for path, _ in module.tangents]

    def backward() -> Sequence[Any]:
        keep = loaded[own_name(_called("residuals"), loaded)]
        kept = jax.eval_shape(keep, *leaves)
        return [*(kept[1] if module.passes.gives_outputs else kept), *cotangents]

    def held() -> dict[str, Any]:
        start = loaded[own_name(_called("traces_start"), loaded)]
        assert module.traces is not None
        names = [one.name for one in module.traces.held]
        return dict(zip(names, jax.eval_shape(start, *leaves), strict=True))

    def read() -> Sequence[Any]:
        assert module.traces is not None
        return [held()[one.name] for one in module.traces.read]

    def met() -> Sequence[Any]:
        assert module.traces is not None
        return [held()[name] for name in module.traces.met]

    def errors() -> Sequence[Any]:
        assert module.traces is not None
        paths = {v: path for path, v in module.cotangents}
        return [by_path[paths[v]] for v in module.traces.errors]

    given: dict[str, Callable[[], Sequence[Any]]] = {
        "traces": lambda: [*leaves, *read()],
        "traces_pulled": lambda: [*met(), *errors()],
        "vjp": lambda: [*leaves, *cotangents],
        "jvp": lambda: [*leaves, *tangents],
        "hvp": lambda: [*leaves, *tangents],
        "backward": backward,
    }
    return {name: given.get(name, lambda: leaves) for name in module.programs}


def _called(program: str) -> str:
    """What the text calls a program."""
    own = {"gradient": "_value_and_gradient"}
    own |= {name: f"_{name}" for name in ("traces_start", "traces_pulled")}
    return own.get(program) or PROGRAMS[program].function


@dataclass
class _Counter:
    """Passes on what it is given, and counts."""

    counts: Counter[str] = field(default_factory=Counter)
    ambiguous: int = 0
    _times: int = 1

    def loop(
        self, step: Any, start: Any, sequences: Any, length: int | None = None, **_: Any
    ) -> Any:
        """A loop over time: what one step takes, as often as there are steps."""
        number = length if length is not None else jax.tree.leaves(sequences)[0].shape[0]
        outer, self._times = self._times, self._times * number
        # a carry is an array, though it starts as a number
        start = jax.tree.map(jnp.asarray, start)
        end, out = step(start, jax.tree.map(lambda x: x[0], sequences))
        self._times = outer
        return end, jax.tree.map(lambda x: jnp.broadcast_to(x, (number, *jnp.shape(x))), out)

    def blocks(
        self,
        block: Any,
        carry: Any,
        parts: Any,
        once: Any,
        time: int,
        size: int,
        reverse: bool = False,
    ) -> Any:
        """A loop over blocks of steps: what one takes, as often as there are such, and the rest."""
        outer, carry = self._times, jax.tree.map(jnp.asarray, carry)
        count, rest = divmod(time, size)
        for times, steps in ((count, size), (int(rest > 0), rest)):
            if times:
                self._times = outer * times
                now = (*(x[:steps] for x in parts), *(x[0] for x in once))
                carry, (found, ends) = block(carry, now, steps)
        self._times = outer
        whole = [jnp.broadcast_to(x[:1], (time, *x.shape[1:])) for x in found]
        starts = [jnp.broadcast_to(x, (count + (rest > 0), *jnp.shape(x))) for x in ends]
        return carry, (tuple(whole), tuple(starts))

    def elements(self, kinds: Sequence[str], ambiguous: bool, value: Any) -> Any:
        """The result of an elementwise operation; numbers of Python, as sizes are, are no data."""
        if not isinstance(value, int | float):
            number = _elements(value) * self._times
            self.counts.update({kind: kinds.count(kind) * number for kind in kinds})
            self.ambiguous += number * ambiguous
        return value

    def product(self, left: Any, right: Any) -> Any:
        """A product of matrices."""
        result = left @ right
        self._contracted(_elements(result) * left.shape[-1], result)
        return result

    def contraction(self, spec: str, *operands: Any, **options: Any) -> Any:
        """An einsum."""
        result = jnp.einsum(spec, *operands, **options)
        sizes: dict[str, int] = {}
        for side, operand in zip(spec.partition("->")[0].split(","), operands, strict=True):
            sizes |= dict(zip(side, operand.shape, strict=True))
        self._contracted(math.prod(sizes.values()), result)
        return result

    def summed(self, left: Any, right: Any) -> Any:
        """A product of matrices, summed over all axes in front."""
        result = jnp.einsum("...i,...j->ij", left, right)
        self._contracted(_elements(left) * right.shape[-1], result)
        return result

    def reduction(self, name: str, operand: Any, *axes: Any, **options: Any) -> Any:
        """A sum or a product along axes, as a method of an array."""
        result = getattr(operand, name)(*axes, **options)
        self.counts[_SUMS[name]] += self._times * (_elements(operand) - _elements(result))
        return result

    def window(self, operand: Any, start: Any, join: Any, window: Any, *more: Any) -> Any:
        """A sum, or another reduction, over windows."""
        result = lax.reduce_window(operand, start, join, window, *more)
        kind = {lax.add: "add", lax.mul: "mul"}.get(join)
        if kind is not None:
            self.counts[kind] += self._times * _elements(result) * (math.prod(window) - 1)
        return result

    def convolution(self, left: Any, right: Any, *more: Any, **options: Any) -> Any:
        """A convolution: each element of the result is a sum over inputs and places."""
        result = lax.conv_general_dilated(left, right, *more, **options)
        outputs = right.shape[more[-1].rhs_spec[0]]
        self._contracted(_elements(result) * (_elements(right) // outputs), result)
        return result

    def _contracted(self, products: int, result: Any) -> None:
        self.counts["mul"] += self._times * products
        self.counts["add"] += self._times * (products - _elements(result))


def _elements(value: Any) -> int:
    return math.prod(jnp.shape(value))


class _Counting(ast.NodeTransformer):
    """Wraps every operation."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if isinstance(node.op, ast.MatMult):
            self.generic_visit(node)
            return _to_counter("product", [node.left, node.right])
        if isinstance(node.op, ast.FloorDiv | ast.Mod):
            return self.generic_visit(node)  # of sizes: what is done with arrays has a name
        return self._wrapped(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        return self._wrapped(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return self._wrapped(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node.func:
            case ast.Attribute(ast.Name("jax"), "jvp" | "vjp"):
                # of a rule of JAX's own nothing is known but what it is given
                node.args[1:] = map(self.visit, node.args[1:])
                return node
            case ast.Subscript(ast.Call(ast.Attribute(ast.Name("jax"), "vjp"))):
                return self.generic_visit(node)
            case ast.Name(id=name) if name.startswith("_in_blocks"):
                self.generic_visit(node)
                return _to_counter("blocks", node.args, node.keywords)
            case ast.Name(id="_scan"):
                self.generic_visit(node)
                return _to_counter("loop", node.args, node.keywords)
            case ast.Name(id="_summed_product"):
                self.generic_visit(node)
                return _to_counter("summed", node.args)
            case ast.Attribute(attr="reduce_window"):
                self.generic_visit(node)
                return _to_counter("window", node.args, node.keywords)
            case ast.Attribute(attr="conv_general_dilated"):
                self.generic_visit(node)
                return _to_counter("convolution", node.args, node.keywords)
            case ast.Attribute(attr="einsum"):
                self.generic_visit(node)
                return _to_counter("contraction", node.args, node.keywords)
            case ast.Attribute(attr=("sum" | "prod") as name) as method:
                self.generic_visit(node)
                inside = [ast.Constant(name), method.value, *node.args]
                return _to_counter("reduction", inside, node.keywords)
        if ast.unparse(node.func).rpartition(".")[2] in _MOVES:
            return self.generic_visit(node)
        return self._wrapped(node)

    def _wrapped(self, node: ast.expr) -> ast.AST:
        kinds, ambiguous = tuple(kinds_of(node)), is_indicator(node)
        self.generic_visit(node)
        if not kinds:
            return node
        known = ast.Tuple([ast.Constant(kind) for kind in kinds], ast.Load())
        return _to_counter("elements", [known, ast.Constant(ambiguous), node])


def _to_counter(
    method: str, arguments: Sequence[ast.expr], keywords: Sequence[ast.keyword] = ()
) -> ast.Call:
    counter = ast.Attribute(ast.Name(_COUNTER, ast.Load()), method, ast.Load())
    return ast.Call(counter, list(arguments), list(keywords))
