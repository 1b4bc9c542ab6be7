"""The report's page: its HTML, that it needs nothing else, and what it does in a browser."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from pages import Outline, in_browser, needs_browser, widths
from reporting import SOURCE, generated, report

from gradgen.elimination.accumulate import Accumulation
from gradgen.report.document import write_document


@cache
def page(count: int = 1) -> str:
    return write_document([report()] * count, "html")


@pytest.mark.parametrize("count", [1, 2])
def test_it_is_well_formed_and_its_links_lead_somewhere(count: int) -> None:
    outline = Outline(page(count))
    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    links = outline.values("href")
    assert links
    assert {link.partition("#")[0] for link in links} == {""}
    assert {link[1:] for link in links} <= set(ids)
    assert sum(tag == "article" for tag, _ in outline.elements) == count
    assert sum(tag == "nav" for tag, _ in outline.elements) == (count > 1)


def test_it_loads_nothing() -> None:
    outline = Outline(page())
    assert not {tag for tag, _ in outline.elements} & {"link", "img", "iframe", "object", "image"}
    assert not outline.values("src")
    assert all("://" not in value for _, found in outline.elements for value in found.values())
    styles = "".join(re.findall(r"<style>(.*?)</style>", page(), re.S))
    assert "@import" not in styles
    assert re.findall(r"url\((?!#)", page()) == []
    scripts = "".join(re.findall(r"<script>(.*?)</script>", page(), re.S))
    assert not re.search(r"fetch|XMLHttp|import\(|WebSocket|innerHTML", scripts)


def luminance(colour: str) -> float:
    """Relative luminance, by WCAG 2."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_stand_out() -> None:
    roots = re.findall(r":root \{(.*?)\}", page(), re.S)
    assert len(roots) == 2
    for root in roots:
        colours = {name: luminance(c) for name, c in re.findall(r"--([\w-]+): (#\w{6})", root)}

        def contrast(front: str, back: str, colours: dict[str, float] = colours) -> float:
            low, high = sorted((colours[front], colours[back]))
            return (high + 0.05) / (low + 0.05)

        texts = ("fg", "muted", "accent", "keyword", "string", "number", "comment", "name")
        assert all(contrast(text, back) >= 4.5 for text in texts for back in ("bg", "panel"))
        fills = ("input-fill", "inner-fill", "output-fill")
        assert all(contrast("fg", fill) >= 4.5 for fill in fills)
        lines = ("variable", "constant", "mask", "unit", "input", "inner", "output")
        assert all(contrast(line, "bg") >= 3 for line in lines)


def test_what_the_user_wrote_is_text() -> None:
    outline = Outline(page())
    assert '<b>markup</b> & "quotes"' in outline.text
    assert "a warning <about> it" in outline.text
    for line in generated().text.splitlines():
        assert line in outline.text


def test_each_line_of_the_source_leads_to_what_it_became() -> None:
    text = page()
    numbers = {line: k for k, line in enumerate(SOURCE.splitlines(), start=1)}
    below = text.partition(f'id="m1-s{numbers["    z = spike(v - 1.0)"]}"')[2].partition("</ul>")[0]
    assert "x6 = v_new - 1.0" in below
    assert "∂x6/∂v_new = 1.0" in below
    target = re.search(r'href="#m1-g(\d+)"', below)
    assert target is not None
    assert generated().text.splitlines()[int(target[1]) - 1].strip().startswith("x6 = ")


def test_charts_and_jacobian_tell_their_numbers() -> None:
    outline = Outline(page())
    labels = [label for label in outline.values("aria-label") if label.startswith("Mult")]
    muls = report().comparison("muls")
    assert labels == [
        f"Multiplications of the accumulation: forward {muls.forward}, reverse {muls.reverse}, "
        f"Markowitz {muls.markowitz}, this file {muls.best}"
    ]
    cells = [title for title in outline.values("title") if title.startswith("∂")]
    assert len(cells) == 9
    assert "∂z/∂w: variable" in cells


PROBE = """
const seen = [];
const section = document.querySelector(".model");
const slider = section.querySelector(".controls input");
for (let step = 0; step <= Number(slider.max); step++) {
  slider.value = step;
  slider.dispatchEvent(new Event("input"));
  const edges = [...section.querySelectorAll(".picture .edge")];
  seen.push({
    edges: edges.filter((e) => getComputedStyle(e).display !== "none")
      .map((e) => e.querySelector("title").textContent.split(" = ")[0]),
    gone: section.querySelectorAll(".picture .node.gone").length,
    now: section.querySelector(".now").textContent,
    info: section.querySelector(".info").textContent,
  });
}
const node = section.querySelector(".picture .node");
node.dispatchEvent(new PointerEvent("pointerenter"));
const info = section.querySelector(".info").textContent;
section.querySelector(".back").click();
const equation = section.querySelector("[data-vertex]");
equation.dispatchEvent(new PointerEvent("pointerenter"));
const marked = section.querySelector(".picture .marked title").textContent;
document.body.dataset.seen = JSON.stringify({
  seen, info, marked, back: Number(slider.value), last: Number(slider.max),
  wide: document.documentElement.scrollWidth, window: innerWidth,
});
"""


@needs_browser
class TestInABrowser:
    def test_the_slider_replays_the_elimination(self, tmp_path: Path) -> None:
        probed = page().replace("</body>", f"<script>{PROBE}</script></body>")
        seen = in_browser(tmp_path, probed)
        view, module = report().graph, generated().module
        number = {vertex.name: v for v, vertex in enumerate(module.graph.vertices)}
        engine = Accumulation(module.graph)
        steps = module.jacobian.chosen.order.steps
        assert seen["last"] == len(steps)
        for frame, shown in enumerate(seen["seen"]):
            if frame:
                engine.eliminate(number[steps[frame - 1]])
                assert f"Step {frame} of {len(steps)}" in shown["now"]
                assert f"{engine.plan().muls} of {module.jacobian.chosen.plan.muls}" in shown["now"]
                assert "+=" in shown["info"]
            expected = [view.derivative(*ends) for ends in engine.edge_kinds()]
            assert sorted(shown["edges"]) == sorted(expected)
            assert shown["gone"] == frame
        assert seen["info"] == "input: v"
        assert seen["back"] == len(steps) - 1
        assert seen["marked"].startswith("intermediate: x0 = -v, line 23: return jnp.exp")

    @pytest.mark.parametrize("width", [1280, 420])
    def test_nothing_is_wider_than_the_window(self, tmp_path: Path, width: int) -> None:
        wide, window = widths(tmp_path, page(2), width)
        assert wide == window <= width
