"""`gradgen report --all`: a page for each target, with what its file records, and an index."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result
from pages import Outline, in_browser, needs_browser, widths
from projects import contents, edit, gradgen, trust, write_project

from gradgen.project.configuration import read
from gradgen.project.describing import describe
from gradgen.project.reports import page_names
from gradgen.report.index import Count, IndexRow, write_index
from gradgen.verify.recount import recount

MORE = """
[tool.gradgen.targets."a/decay"]
source = "models/decay.py"
output = "generated/decay_grad.py"
emit = ["vjp"]

[tool.gradgen.targets.broken]
source = "models/broken.py"
output = "generated/broken_grad.py"
"""
BUILD = ("models/neuron.py", "-o", "generated/neuron_grad.py", "--order", "forward")
"""An order that a search would not find."""


class Project(NamedTuple):
    folder: Path
    before: dict[str, bytes]
    pages: Result
    data: Result

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def model(self, name: str) -> Any:
        (model,) = json.loads(self.read(f"json/{name}.json"))["models"]
        return model

    @property
    def record(self) -> Any:
        """What the committed file says, told by running it."""
        return runpy.run_path(str(self.folder / "generated/neuron_grad.py"))["GRADGEN"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A target with a file, one without, and one that is broken; reported on in two formats."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    with (folder / "pyproject.toml").open("a") as file:
        file.write(MORE)
    (folder / "models/decay.py").write_text("def decay(v, x):\n    return 0.9 * v + x * v\n")
    (folder / "models/broken.py").write_text("def broken(v):\n    return v +\n")
    with pytest.MonkeyPatch.context() as patch:
        trust(patch)
        patch.chdir(folder)
        assert gradgen(*BUILD).exit_code == 0
        before = contents(folder)
        pages = gradgen("report", "--all", "-o", "made/pages")
        data = gradgen("report", "--all", "-o", "json", "--format", "json", "--budget", "0.5")
    return Project(folder, before, pages, data)


@pytest.mark.full
def test_one_failing_target_does_not_stop_the_others(project: Project) -> None:
    for result, folder, suffix in (
        (project.pages, "made/pages", "html"),
        (project.data, "json", "json"),
    ):
        assert result.exit_code == 2
        assert "models/broken.py:2:" in result.stderr
        assert f"{folder}/neuron.{suffix}: written, " in result.stderr
        assert f"{folder}/index.{suffix}: 3 targets, 1 failed" in result.stderr
        made = {path.name for path in (project.folder / folder).iterdir()}
        assert made == {f"{name}.{suffix}" for name in ("index", "neuron", "a_decay")}


def test_nothing_else_is_written(project: Project) -> None:
    after = contents(project.folder)
    new = {path for path in after if not path.startswith(("made/", "json/"))}
    assert {path: after[path] for path in new} == project.before


def test_it_shows_what_is_committed(project: Project) -> None:
    model = project.model("neuron")
    assert project.record["found_by"] == "forward"
    assert model["replay"]["found_by"] == "forward"
    assert model["text"] == project.read("generated/neuron_grad.py")
    assert model["basis"] == "with the order that generated/neuron_grad.py records"
    assert model["basis"] in project.read("made/pages/neuron.html")


def test_without_a_file_an_order_is_searched_for(project: Project) -> None:
    model = project.model("a_decay")
    assert model["basis"].startswith("there is no generated/decay_grad.py yet")
    assert "`gradgen a/decay` writes it" in model["basis"]


def test_the_index_states_the_counts_of_the_files(project: Project) -> None:
    listed = {
        entry["name"]: entry for entry in json.loads(project.read("json/index.json"))["models"]
    }
    assert list(listed) == ["neuron", "a/decay", "broken"]
    stated = project.record["counts"]["value_and_jacobian"]
    found = listed["neuron"]
    for mode in ("forward", "reverse"):
        assert found["muls"][mode] == stated[mode]["muls"]
        assert found["ops"][mode] == stated[mode]["total"]
    counted = recount(project.read("generated/neuron_grad.py"))["_value_and_entries"].total
    assert found["ops"]["found"] == counted
    assert found["muls"]["found"] == stated["accumulation"]["muls"] == found["muls"]["forward"]
    assert found["muls"]["saved"] == found["muls"]["reverse"] - found["muls"]["found"]
    assert found["page"] == "neuron.json"
    assert listed["broken"]["page"] is None
    assert listed["broken"]["muls"] is None
    assert "syntax" in listed["broken"]["problem"]


def test_pages_and_index_lead_to_each_other(project: Project) -> None:
    index = Outline(project.read("made/pages/index.html"))
    assert index.values("href") == ["neuron.html", "a_decay.html"]
    assert index.values("title") == ["models/neuron.py", "models/decay.py", "models/broken.py"]
    for page in index.values("href"):
        outline = Outline(project.read(f"made/pages/{page}"))
        others = {link for link in outline.values("href") if not link.startswith("#")}
        assert others == {"index.html"}


def test_functions_on_arrays_are_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layer.py").write_text(
        "# gradgen: shape x=(batch, n) w=(n, m)\n\ndef layer(x, w):\n    return x @ w\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[tool.gradgen.targets.layer]\nsource = "layer.py"\noutput = "layer_grad.py"\n'
    )
    monkeypatch.chdir(tmp_path)
    result = gradgen("report", "--all", "-o", "made", "--format", "json")
    assert result.exit_code == 0, result.stderr
    (entry,) = json.loads((tmp_path / "made/index.json").read_text())["models"]
    (model,) = json.loads((tmp_path / "made" / entry["page"]).read_text())["models"]
    # of 64 examples: x.T @ d, and d @ w.T
    assert entry["muls"]["found"] == entry["muls"]["reverse"] == 2 * 64**3
    assert entry["muls"]["forward"] is None
    assert entry["ops"]["found"] == model["comparisons"][1]["best"]
    assert "there is no layer_grad.py yet" in model["basis"]


@needs_browser
class TestTheIndexInABrowser:
    def test_it_lists_the_targets(self, project: Project, tmp_path: Path) -> None:
        probe = (
            "document.body.dataset.seen = JSON.stringify({rows: "
            "[...document.querySelectorAll('tbody tr')].map((row) => "
            "[...row.cells].map((cell) => cell.innerText.trim().replace(/\\s+/g, ' ')))})"
        )
        text = project.read("made/pages/index.html")
        seen = in_browser(tmp_path, text.replace("</body>", f"<script>{probe}</script></body>"))
        neuron, decay, broken = seen["rows"]
        stated = project.record["counts"]["value_and_jacobian"]
        forward, reverse = stated["forward"]["muls"], stated["reverse"]["muls"]
        found = stated["accumulation"]["muls"]
        assert neuron[:4] == ["neuron", str(forward), str(reverse), str(found)]
        assert neuron[4].split()[0] == str(reverse - found)
        assert [decay[0], len(decay)] == ["a/decay", 9]
        assert [broken[0], len(broken)] == ["broken", 2]
        assert "syntax" in broken[1]

    @pytest.mark.parametrize("width", [1280, 390])
    def test_nothing_is_wider_than_the_window(
        self, project: Project, tmp_path: Path, width: int
    ) -> None:
        wide, window = widths(tmp_path, project.read("made/pages/index.html"), width)
        assert wide == window <= width


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("path", "old", "new", "basis"),
    [
        (
            "generated/neuron_grad.py", "alpha *", "0.5 *",
            "with the order that generated/neuron_grad.py records; that file is not current "
            "(`gradgen neuron` writes it anew)",
        ),
        (
            "models/neuron.py", "i_next = beta * i + x", "i_next = beta * i * i + x",
            "the order was searched for, since generated/neuron_grad.py records none that can be "
            "used; that file is not current (`gradgen neuron` writes it anew)",
        ),
    ],
)  # fmt: skip
def test_a_stale_file_is_said_to_be_stale(
    project: Project, monkeypatch: pytest.MonkeyPatch, path: str, old: str, new: str, basis: str
) -> None:
    monkeypatch.chdir(project.folder)
    kept = project.read(path)
    edit(Path(path), old, new)
    try:
        outcome = describe(read(project.folder / "pyproject.toml").targets[0], "md")
    finally:
        Path(path).write_text(kept)
    assert outcome.sentence == basis
    assert outcome.new is not None
    assert outcome.new.startswith(
        "<!-- gradgen reports -->\n\n[All reports](index.md)\n\n# `step`\n"
    )
    assert basis in outcome.new.replace("\n", " ")


def test_names_of_pages_are_those_of_files() -> None:
    names = ["lif", "index", "a/b", "a b", "A_B", "../up", "", "σ", "LIF"]
    pages = page_names(names, "html")
    assert pages[0] == "lif.html"
    assert pages[7] == "σ.html"
    folded = [page.casefold() for page in [*pages, "index.html"]]
    assert len(set(folded)) == len(folded)
    assert all(re.fullmatch(r"\w[\w.-]*\.html", page) for page in pages)


def test_the_index_in_markdown() -> None:
    entries = [
        IndexRow("a|b", "a.py", "a_b.md", Count(4, 8, 2), Count(10, 0, 9)),
        IndexRow("broken", "b.py", problem="no such file"),
    ]
    text = write_index(entries, "md")
    (table,) = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()} == {10}
    assert "| [a\\|b](a_b.md) | 4 | 8 | 2 | 6 (75%) | 10 | 0 | 9 | -9 |" in text
    assert text.endswith("\nNo report on `broken`: no such file\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either a SOURCE, or --all"),
        (("models/neuron.py", "--all"), "either a SOURCE, or --all"),
        (("--all",), "-o FOLDER says where"),
        (("--all", "-o", "made", "--wrt", "v"), "--wrt belongs to a source"),
        (("--all", "-o", "pyproject.toml"), "pyproject.toml: error: cannot make the folder"),
    ],
)
def test_what_does_not_go_together(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    monkeypatch.chdir(project.folder)
    result = gradgen("report", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
