"""What a generated module offers, and what that stands on: a record a function, and a program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

STEP = "f"
"""The function that is called like the step function itself."""
HVP = "hvp"
"""The function of second order."""


@dataclass(frozen=True)
class EmittedProgram:
    """A straight-line program of a generated module."""

    name: str
    """That of its counts."""
    function: str
    """What the text calls it."""
    about: str
    """What it computes, as the text says it."""
    rivals: tuple[str, ...] = ()
    """The modes whose counts stand beside its own."""
    title: str = ""
    """What reports call it; none for what they leave out."""


_BACK = "Cotangents of the inputs from those of the outputs"
_PROGRAMS = (
    EmittedProgram(
        "primal", "_primal", "The step itself, operation by operation as in the source",
        title="step",
    ),
    EmittedProgram(
        "value_and_jacobian", "_value_and_entries", "Outputs and Jacobian entries",
        rivals=("forward", "reverse"), title="value and Jacobian",
    ),
    EmittedProgram("residuals", "_residuals", "What the backward pass is given"),
    EmittedProgram("backward", "_cotangents", f"{_BACK} and what was kept"),
    EmittedProgram(
        "vjp", "_vjp", _BACK, rivals=("reverse",), title="vector-Jacobian product"
    ),
    EmittedProgram(
        "jvp", "_jvp", "Outputs and their tangents",
        rivals=("forward",), title="Jacobian-vector product",
    ),
    EmittedProgram(
        "hvp", "_hvp", "Tangents of the gradient",
        rivals=("forward",), title="Hessian-vector product",
    ),
    EmittedProgram(
        "traces", "_traces", "Outputs and their derivatives by all inputs so far",
        rivals=("forward", "reverse"),
    ),
)  # fmt: skip
PROGRAMS = {program.name: program for program in _PROGRAMS}
"""By name, in the order of the text."""


@dataclass(frozen=True)
class EmittedFunction:
    """A public function of a generated module, or several that belong together.

    Its text is the template of its name in `templates/functions/`, which calls what it needs of
    `templates/plumbing.py.jinja`. What it takes and returns goes by names that verification knows.
    """

    name: str
    """By which one asks for it."""
    programs: tuple[str, ...]
    """What it stands on, by name."""
    returns: tuple[str, ...]
    """The names of what it returns: `result` is what the step function returns."""
    about: tuple[str, ...]
    """A sentence for each of its members."""
    takes: tuple[str, ...] = ()
    """The names of its parameters; none if it is called like the step function."""
    rule: str = ""
    """What JAX obtains through it by a rule of its own: `cotangents` or `tangents`."""
    members: tuple[str, ...] = ()
    """What follows the step function's name in theirs, if it is not `name` alone."""
    by_default: bool = True
    """Whether it is written unless one asks for others."""
    of_one_scalar: bool = False
    """Whether only a step whose result is one scalar has it."""

    @property
    def public(self) -> dict[str, str]:
        """Its members, each with its sentence."""
        return dict(zip(self.members or (self.name,), self.about, strict=True))


_FUNCTIONS = (
    EmittedFunction(
        STEP, ("primal", "residuals", "backward"), returns=("result",), rule="cotangents",
        about=("The step function, differentiable by the generated rule.",),
    ),
    EmittedFunction(
        "forward", ("primal", "jvp"), returns=("result",), rule="tangents",
        about=("The step function, differentiable in forward mode by the generated rule.",),
    ),
    EmittedFunction(
        "value_and_jacobian", ("value_and_jacobian",), returns=("result", "jacobian"),
        about=("The result and the Jacobian from one program; called like `f`.",),
    ),
    EmittedFunction(
        "jacobian", ("value_and_jacobian",), returns=("jacobian",),
        about=(
            "The Jacobian, nested as `jax.jacfwd` nests it, an array an entry; called like `f`.",
        ),
    ),
    EmittedFunction(
        "jacobian_entries", ("value_and_jacobian",), returns=("entries",),
        about=(
            "The entries that are not zero by structure, by output and input path; called like "
            "`f`.",
        ),
    ),
    EmittedFunction(
        "value_and_grad", ("value_and_jacobian",), returns=("result", "gradient"),
        about=("The result, where that is one scalar, and its gradient; called like `f`.",),
        of_one_scalar=True,
    ),
    EmittedFunction(
        "vjp", ("primal", "vjp"), takes=("primals", "cotangents"), returns=("cotangents",),
        about=("The cotangents of the inputs, without a Jacobian; `vjp(primals, cotangents)`.",),
    ),
    EmittedFunction(
        "jvp", ("jvp",), takes=("primals", "tangents"), returns=("result", "tangents"),
        about=("The result and the tangents of the outputs, likewise; `jvp(primals, tangents)`.",),
    ),
    EmittedFunction(
        HVP, ("primal", "hvp"), takes=("primals", "tangents"), returns=("products",),
        about=(
            "Hessian-vector products of one scalar, the tangents of its gradient; "
            "`hvp(primals, tangents)`.",
        ),
        by_default=False, of_one_scalar=True,  # they differentiate the source's rules again
    ),
    EmittedFunction(
        "traces", ("traces",),
        takes=("traces", "primals", "presynaptic"), returns=("result", "traces", "so_far"),
        about=(
            "Eligibility traces before the first step; `traces_init(primals, presynaptic)`.",
            "The result, the next traces and what they sum up; "
            "`traces_step(traces, primals, ...)`.",
        ),
        members=("traces_init", "traces_step"),
        by_default=False,  # they need a state
    ),
)  # fmt: skip
EMITTED = {function.name: function for function in _FUNCTIONS}
"""By name, in the order of the text."""
_ON_ARRAYS = (
    replace(EMITTED["value_and_grad"], programs=("gradient",)),
    replace(EMITTED[HVP], programs=("hvp",)),
    EmittedFunction(
        "traces", ("traces_start", "traces", "traces_pulled"),
        takes=("traces", "primals"), returns=("result", "traces"),
        about=(
            "Traces before the first step, in their shapes; `traces_init(primals)`.",
            "Gradients of what is learned, from errors at the outputs of the step that was made; "
            "`traces_vjp(traces, cotangents)`.",
            "The result and the next traces; `traces_step(traces, primals)`.",
        ),
        members=("traces_init", "traces_vjp", "traces_step"),
        by_default=False,
    ),
)  # fmt: skip
EMITTED_ON_ARRAYS = EMITTED | {function.name: function for function in _ON_ARRAYS}
"""Those of modules on arrays."""
FUNCTIONS = tuple(
    sorted(EMITTED, key=lambda f: (not EMITTED[f].by_default, EMITTED[f].of_one_scalar))
)
"""Their names, those first that every module may have."""
DEFAULT_FUNCTIONS = tuple(name for name in FUNCTIONS if EMITTED[name].by_default)
"""What is written unless one asks for others."""


def stands_on(functions: Iterable[str]) -> frozenset[str]:
    """The names of the programs that some functions stand on."""
    return frozenset(name for function in functions for name in EMITTED[function].programs)


def public_name(step: str, member: str) -> str:
    """What the module of a step function calls a member."""
    return step if member == STEP else f"{step}_{member}"
