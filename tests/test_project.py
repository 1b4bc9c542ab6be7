"""The rules that the project sets itself, checked on its own files."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version
from projects import gradgen, write_project

from gradgen.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gradgen"
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
sys.path.append(str(ROOT / "docs"))
import rooms  # noqa: E402
from rooms import imports, modules, resolve, room  # noqa: E402

JAX = {"jax", "jaxlib"}
MAY_IMPORT_JAX = (
    "gradgen.compile.environment",
    "gradgen.frontend",
    "gradgen.verify",
    "gradgen.search.alphazero",
)
READ_BEFORE_JAX = "gradgen.frontend.reading"
LEARNING = {"haiku", "mctx", "optax"}


def inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def project_files() -> list[Path]:
    """The files under version control, and new ones that are not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def code_blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


class TestImports:
    """Who imports whom; docs/design.md states it."""

    def test_rooms_import_what_the_design_says(self) -> None:
        section = DESIGN.split("### Who imports whom")[1]
        table = re.findall(r"^\| (`\w+`) \| ([^|]+) \|$", section, re.M)
        said = {name.strip("`"): set(re.findall(r"`(\w+)`", reached)) for name, reached in table}
        assert said == rooms.between_rooms()

    def test_rooms_are_in_floors(self) -> None:
        assert sum(map(len, rooms.floors(rooms.between_rooms()))) == len(rooms.between_rooms())
        drawn = (ROOT / "docs" / "_static" / "rooms.svg").read_text(encoding="utf-8")
        assert drawn == rooms.drawing(rooms.between_rooms()), "python docs/rooms.py draws it anew"

    def test_ir_needs_the_standard_library_alone(self) -> None:
        allowed = sys.stdlib_module_names | {"gradgen"}
        wrong = [
            f"{place(path, found.line)}: {found.module}"
            for module, path in modules().items()
            if room(module) in ("ir", "errors")
            for found in imports(path)
            if found.top not in allowed
        ]
        assert not wrong, "\n".join(wrong)

    def test_jax_is_imported_in_few_places(self) -> None:
        wrong = [
            f"{place(path, found.line)}: {found.module}"
            for module, path in modules().items()
            if not inside(module, MAY_IMPORT_JAX) or inside(module, (READ_BEFORE_JAX,))
            for found in imports(path)
            if found.top in JAX
        ]
        assert not wrong, "\n".join(wrong)

    def test_learning_libraries_are_imported_by_alphazero_alone(self) -> None:
        wrong = [
            f"{place(path, found.line)}: {found.module}"
            for module, path in modules().items()
            if not inside(module, ("gradgen.search.alphazero",))
            for found in imports(path)
            if found.top in LEARNING
        ]
        assert not wrong, "\n".join(wrong)

    def test_private_jax_is_used_nowhere(self) -> None:
        private = re.compile(r"\bjax\s*\.\s*_src\b|\bfrom\s+jax\s+import\b.*\b_src\b")
        wrong = []
        for folder in ("gradgen", "templates", "generated", "models"):
            for path in sorted((ROOT / folder).rglob("*")):
                if path.suffix not in (".py", ".jinja"):
                    continue
                lines = path.read_text(encoding="utf-8").splitlines()
                wrong += [place(path, i) for i, text in enumerate(lines, 1) if private.search(text)]
        assert not wrong, "\n".join(wrong)

    def test_there_are_no_cycles(self) -> None:
        reaches = {
            module: {
                resolve(found) for found in imports(path) if found.top == "gradgen"
            }.intersection(modules())
            - {module}
            for module, path in modules().items()
        }
        done: set[str] = set()

        def visit(module: str, trail: tuple[str, ...]) -> None:
            if module in trail:
                cycle = [*trail[trail.index(module) :], module]
                pytest.fail(f"a cycle: {' -> '.join(cycle)}")
            if module not in done:
                for target in sorted(reaches[module]):
                    visit(target, (*trail, module))
                done.add(module)

        for module in reaches:
            visit(module, ())


@pytest.mark.parametrize(
    "module", ["gradgen.cli.main", "gradgen.cli.targets", "gradgen.project.selection"]
)
def test_the_command_starts_without_heavy_imports(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'jax', 'jaxlib', 'libcst', 'jinja2', 'numpy', 'haiku', 'mctx', 'optax'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_the_version_is_a_version() -> None:
    text = (PACKAGE / "version.py").read_text(encoding="utf-8")
    stated = re.findall(r'^__version__ = "(.*)"$', text, re.M)
    assert len(stated) == 1
    assert str(Version(stated[0])) == stated[0]


def test_files_hold_no_paths_of_one_machine() -> None:
    # A path from the root into somebody's home or workplace; part of a longer path or an address
    # is none.
    folders = "|".join(["home", "root", "Users", "work", "opt/v", "private/var"])
    absolute = re.compile(rf"(?<![\w./~*$}}-])/(?:{folders})/\w|\b[A-Z]:\\Users\\")
    wrong = []
    for path in project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        wrong += [place(path, i) for i, line in enumerate(lines, 1) if absolute.search(line)]
    assert not wrong, "\n".join(wrong)


class TestDocuments:
    """What the README and the documentation tell people to do can be done."""

    def test_first_command_installs_and_writes_a_file(self) -> None:
        first = code_blocks(ROOT / "README.md", "sh")[0].strip()
        assert "\n" not in first
        venv, install, command = first.split(" && ")
        assert venv == "python3 -m venv .venv"
        assert install == ".venv/bin/pip install ."
        program, source, option, _out = shlex.split(command)
        assert (program, option) == (".venv/bin/gradgen", "-o")
        assert (ROOT / source).is_file()
        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
        module, _, name = scripts["gradgen"].partition(":")
        assert getattr(importlib.import_module(module), name) is main

    def test_ci_runs_the_test_command_of_the_readme(self) -> None:
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        marked = re.findall(r"^<!-- test command -->\n```sh\n(.*)\n```$", readme, re.M)
        assert len(marked) == 1
        assert marked[0].startswith("python3 -m venv .venv && ")
        assert marked[0].rpartition(" && ")[2].startswith(".venv/bin/pytest")
        script = ROOT / ".ci" / "run"
        if not script.exists():
            pytest.skip("not a checkout")
        text = script.read_text(encoding="utf-8")
        (reading,) = re.findall(r"^command=\$\((sed .* README\.md)\)$", text, re.M)
        found = subprocess.run(["bash", "-c", reading], cwd=ROOT, capture_output=True, text=True)
        assert found.stdout.strip() == marked[0]

    def test_options_shown_exist(self) -> None:
        import click

        from gradgen.cli import main as cli

        def options(command: click.Command) -> set[str]:
            names = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
            for below in getattr(command, "commands", {}).values():
                names |= options(below)
            return names

        known = {"--help", "--version"}
        for value in vars(cli).values():
            if isinstance(value, click.Command):
                known |= options(value)
        shown = {
            (option, path.name)
            for path in documents()
            for block in [*code_blocks(path, "sh"), *code_blocks(path, "text")]
            for line in block.splitlines()
            for call in re.findall(r"(?:^|[\s/])gradgen\s(.*?)(?:&&|#|$)", line)
            for option in re.findall(r"(?<!\S)(--?[a-z][\w-]*)", call)
        }
        table = re.findall(
            r"`(--?[a-z][\w-]*)", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
        )
        shown |= {(option, "cli.md") for option in table}
        wrong = sorted(f"{name}: {option}" for option, name in shown if option not in known)
        assert not wrong, "\n".join(wrong)

    @pytest.mark.usefixtures("trusted")
    def test_hooks_write_and_check(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
        hooks = dict(re.findall(r"^- id: (.*)\n(?:  .*\n)*?  entry: (.*)$", text, re.M))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        write_project(tmp_path)

        def exit_code(hook: str) -> int:
            program, *arguments = shlex.split(hooks[hook])
            assert program == "gradgen"
            return gradgen(*arguments).exit_code

        assert [exit_code(hook) for hook in ("gradgen-check", "gradgen", "gradgen-check")] == [
            1, 0, 0,
        ]  # fmt: skip

    def test_links_between_files_lead_somewhere(self) -> None:
        wrong = []
        for path in documents():
            text = path.read_text(encoding="utf-8")
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
                if "://" not in target and not (path.parent / target).exists():
                    wrong.append(f"{path.relative_to(ROOT)}: {target}")
        assert not wrong, "\n".join(wrong)
