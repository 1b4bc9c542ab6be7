"""Which package of gradgen imports which: read off the code, and drawn for the design page.

python docs/rooms.py    # writes docs/_static/rooms.svg and prints the lines of each package
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gradgen"
WIDTH, HEIGHT, ACROSS, DOWN = 96, 30, 118, 78


class Import(NamedTuple):
    """One imported module, wherever in the file the statement stands."""

    line: int
    module: str
    name: str | None
    """What is taken from it: None for `import module`."""

    @property
    def top(self) -> str:
        """The distribution's own name for what is imported, or that of another one."""
        return self.module.partition(".")[0]


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Every import of a file: those in functions and for type checkers count as well."""
    package = path.relative_to(ROOT).parent.parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package[: len(package) - node.level + 1]
                base = ".".join((*parents, base) if base else parents)
            found += [Import(node.lineno, base, alias.name) for alias in node.names]
    return tuple(found)


def resolve(found: Import) -> str:
    """The module that is reached: `from gradgen.ir import graph` reaches a submodule."""
    submodule = f"{found.module}.{found.name}"
    return submodule if submodule in modules() else found.module


def room(module: str) -> str:
    """The package that a module is in, or the module itself at the top."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def between_rooms() -> dict[str, set[str]]:
    """For each room, those that it imports from."""
    found: dict[str, set[str]] = {}
    for module, path in modules().items():
        reached = found.setdefault(room(module), set())
        reached |= {room(resolve(i)) for i in imports(path) if i.top == "gradgen"}
    return {name: reached - {name} for name, reached in found.items()}


def floors(reaches: dict[str, set[str]]) -> list[list[str]]:
    """Rooms in floors, each above all that it imports; raises ValueError if there is a circle."""
    found: list[list[str]] = []
    left = dict(reaches)
    while left:
        done = {name for floor in found for name in floor}
        free = sorted(name for name, reached in left.items() if reached <= done)
        if not free:
            raise ValueError(f"a circle among {', '.join(sorted(left))}")
        found.append(free)
        left = {name: reached for name, reached in left.items() if name not in free}
    return found


def drawing(reaches: dict[str, set[str]]) -> str:
    """The rooms as an SVG, the lowest at the bottom, without arrows that others imply."""
    rows = floors(reaches)
    across = max(map(len, rows)) * ACROSS
    corner = {
        name: ((across - len(row) * ACROSS) / 2 + k * ACROSS + 11, (len(rows) - n - 1) * DOWN + 20)
        for n, row in enumerate(rows)
        for k, name in enumerate(_most_reached_inside(row, reaches))
    }
    lines = []
    for name, reached in sorted(reaches.items()):
        implied = {below for other in reached for below in _all_below(other, reaches)}
        for other in sorted(reached - implied):
            (x, y), (u, v) = corner[name], corner[other]
            lines.append(
                f'<path d="M{x + WIDTH / 2:g} {y + HEIGHT} C{x + WIDTH / 2:g} {y + HEIGHT + 24} '
                f'{u + WIDTH / 2:g} {v - 28} {u + WIDTH / 2:g} {v - 4}" marker-end="url(#tip)"/>'
            )
    for name, (x, y) in sorted(corner.items()):
        lines.append(f'<rect x="{x:g}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>')
        middle = f'x="{x + WIDTH / 2:g}" y="{y + 20}"'
        lines.append(f'<text {middle} text-anchor="middle">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {len(rows) * DOWN}" '
        'font-family="sans-serif" font-size="13">\n'
        "<style>path{fill:none;stroke:#8a8f98}rect{fill:#eef2f7;stroke:#5b6470}"
        "text{fill:#1c2430}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8" style="fill:#8a8f98"/></marker>'
        "</defs>\n" + "\n".join(lines) + "\n</svg>\n"
    )


def _most_reached_inside(row: list[str], reaches: dict[str, set[str]]) -> list[str]:
    """A floor's rooms in such an order that those which most import stand in the middle."""
    count = {name: sum(name in reached for reached in reaches.values()) for name in row}
    ranked = sorted(row, key=lambda name: (count[name], name))
    return ranked[::2] + ranked[1::2][::-1]


def _all_below(name: str, reaches: dict[str, set[str]]) -> set[str]:
    return reaches[name].union(*(_all_below(other, reaches) for other in reaches[name]))


def main() -> None:
    """Write the picture, and print how large the rooms are."""
    reaches = between_rooms()
    picture = ROOT / "docs" / "_static" / "rooms.svg"
    picture.write_text(drawing(reaches), encoding="utf-8")
    lines = dict.fromkeys(reaches, 0)
    for module, path in modules().items():
        lines[room(module)] += len(path.read_text(encoding="utf-8").splitlines())
    for name, count in sorted(lines.items(), key=lambda item: -item[1]):
        print(f"{count:6,} {name}")
    print(f"{sum(lines.values()):6,} lines; {sum(map(len, reaches.values()))} arrows")


if __name__ == "__main__":
    main()
