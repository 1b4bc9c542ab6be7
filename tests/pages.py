"""Pages of reports as tests look at them: their elements, and what they do in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
        if (found := shutil.which(name))
    ),
    None,
)
VOID = {"meta", "input", "br", "link", "img", "hr"}


class Outline(HTMLParser):
    """Checks that elements are closed in turn, and keeps what they hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] for _, found in self.elements if attribute in found]


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")


def in_browser(folder: Path, text: str) -> dict[str, Any]:
    """What a page leaves in its body's `data-seen`."""
    assert BROWSER is not None
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000",
               "--window-size=1280,900", path.as_uri()]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<body[^>]* data-seen="([^"]*)"', run.stdout)
    assert found is not None, run.stdout[-2000:]
    seen: dict[str, Any] = json.loads(html.unescape(found[1]))
    return seen


def widths(folder: Path, text: str, width: int) -> tuple[int, int]:
    """How wide a page's content is in a window of this width, and how wide the window is inside."""
    frame = f'<iframe srcdoc="{html.escape(text)}" width="{width}" height="900"></iframe>'
    measure = (
        "const inner = document.querySelector('iframe').contentDocument;"
        "document.body.dataset.seen = JSON.stringify({"
        "wide: inner.documentElement.scrollWidth, window: inner.documentElement.clientWidth})"
    )
    script = f"<script>window.onload = () => {{ {measure} }}</script>"
    seen = in_browser(folder, f"<!DOCTYPE html><body>{frame}{script}</body>")
    return seen["wide"], seen["window"]
