"""Reading a source file: the front of the pipeline. Nothing is executed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from gradgen.errors import GradgenError
from gradgen.frontend.reading.annotated import annotated_shapes
from gradgen.frontend.reading.annotations import read_annotations
from gradgen.frontend.reading.bindings import read_assignments
from gradgen.frontend.reading.containers import as_containers, read_definitions
from gradgen.frontend.reading.directives import read_directives
from gradgen.frontend.reading.leaf_names import read_leaf_names
from gradgen.frontend.reading.structures import read_structures, unread_containers
from gradgen.frontend.reading.syntax import parse
from gradgen.frontend.reading.target import find_target, read_parameters
from gradgen.ir.recursion import deeper_recursion
from gradgen.ir.source import Source, digest_of_text


def read_source(
    path: str,
    text: str,
    function: str | None = None,
    directives: Iterable[tuple[str, str]] = (),
    *,
    discover: Collection[str] | None = None,
    constants: Mapping[str, int | str] = MappingProxyType({}),
) -> Source:
    """Read a file and its target: `function`, or the one public function that no other one uses.

    `directives` are further ones as (kind, text), from the command line; each overrides what the
    source says of the same kind and subject. `discover` names the arguments whose structure is to
    be told from the source: all but an instance, if None; examples tell that of others. `constants`
    are known attributes of the instance of a method, by dotted path as in `self.name`.

    Raises GradgenError, with the place, if the text is not Python, there is no such target or it is
    not one that can be differentiated, a directive is malformed, or an argument is a container
    whose structure cannot be told.
    """
    if not path.isprintable():
        message = "the name of the source file holds what cannot be printed"
        raise GradgenError(message, hint="rename it", path=ascii(path))
    syntax = parse(path, text)
    with deeper_recursion():
        target = find_target(syntax, function)
        definitions = read_definitions(syntax)
        annotations = read_annotations(syntax, definitions)
        found = read_directives(syntax, target, directives)
        parameters = read_parameters(syntax, target)
        names = [parameter.name for parameter in parameters]
        discovered = set(names) - {target.instance} if discover is None else set(discover)
        return Source(
            path=path,
            text=syntax.text,
            digest=digest_of_text(syntax.text),
            function=target.name,
            position=syntax.position(target.function),
            docstring=target.function.get_docstring() or target.whole.get_docstring(),
            parameters=parameters,
            assignments=read_assignments(syntax),
            directives=found,
            containers=as_containers(definitions),
            structures=read_structures(syntax, target, found, annotations, discovered, constants),
            leaf_names=read_leaf_names(syntax.text, syntax.position(target.function).line, names),
            annotated=annotated_shapes(syntax, target, annotations),
            instance=target.instance,
            returned=target.factory is not None,
            unread=unread_containers(target, annotations),
        )
