"""The tutorial's commands print what the tutorial says, in an empty folder.

`pytest tests/test_tutorial.py --accept` writes what they print into docs/tutorial.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"

_FILE = re.compile(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.M | re.S)
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
_PART = re.compile(f"{_FILE.pattern}|{_CONSOLE.pattern}", re.M | re.S)
_VARYING = re.compile(
    r"worst error [\d.]+ ulp \(float32\), [\d.]+ ulp \(float64\)|Python 3\.\d+ says"
)
"""The last bits of exponentials are not the same on all processors, nor is the Python."""


def play(text: str, folder: Path) -> str:
    """The text with what its commands print today; a `cd` is not remembered."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "gradgen"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradgen "$@"\n')
    program.chmod(0o755)
    project = folder / "project"
    project.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    code = 0

    def printed(command: str) -> str:
        nonlocal code
        run = subprocess.run(
            ["bash", "-c", f"(exit {code}); {command}"],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        code = run.returncode
        return f"$ {command}\n{run.stdout}"

    def play_part(part: re.Match[str]) -> str:
        if part[1] is not None:
            (project / part[1]).write_text(part[2])
            return part[0]
        commands = [line[2:] for line in part[3].splitlines() if line.startswith("$ ")]
        return f"```console\n{''.join(map(printed, commands))}```"

    return _PART.sub(play_part, text)


def test_the_tutorial(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    played = play(text, tmp_path)
    same = _VARYING.sub("", played) == _VARYING.sub("", text)
    if not same and request.config.getoption("--accept"):
        TUTORIAL.write_text(played, encoding="utf-8")
    else:
        assert _VARYING.sub("", played) == _VARYING.sub("", text)
    assert re.findall(r"^\$ echo \$\?\n(\d)$", played, re.M) == list("0111120")
