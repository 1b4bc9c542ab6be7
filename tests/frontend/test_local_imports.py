"""Which modules a source needs beside itself, without running any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradgen.frontend.reading.local_imports import digest_of, digests_of_imports, local_imports
from gradgen.frontend.reading.source import read_source

FILES = {
    "model.py": "import a\nfrom pkg import b, name\nfrom pkg.sub import c as d\nimport jax, ns.e\n",
    "a.py": "def f():\n    import late\n",
    "late.py": "import model, a  # a circle\nraise SystemExit('never run')\n",
    "pkg/__init__.py": "name = 1\n",
    "pkg/b.py": "from . import f\nfrom .sub import g\n",
    "pkg/f.py": "",
    "pkg/sub/__init__.py": "from ..up import x\n",
    "pkg/sub/c.py": "",
    "pkg/sub/g.py": "",
    "pkg/up.py": "x = 1\n",
    "ns/e.py": "this is not Python\n",
    "other.py": "",
    "pkg/unused.py": "",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(folder: Path, source: str) -> set[str]:
    found = local_imports(folder / source)
    return {path.relative_to(folder.resolve()).as_posix() for path in found}


def test_everything_that_is_reached(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    assert names(tmp_path, "model.py") == set(FILES) - {"model.py", "other.py", "pkg/unused.py"}
    assert names(tmp_path, "ns/e.py") == set()


def test_the_package_of_the_source(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "brain/__init__.py": "",
            "brain/models/__init__.py": "",
            "brain/models/neuron.py": "from brain.models.spike import z\nimport brain.units\n",
            "brain/models/spike.py": "",
            "brain/units.py": "",
            "setup.py": "",
        },
    )
    assert names(tmp_path, "brain/models/neuron.py") == {
        "brain/__init__.py",
        "brain/models/__init__.py",
        "brain/models/spike.py",
        "brain/units.py",
    }


def test_libraries_beside_an_installed_package_are_not_local(tmp_path: Path) -> None:
    files = {
        "site-packages/brain/__init__.py": "import plotting\n",
        "site-packages/brain/cell.py": "import plotting\nfrom brain import units\n",
        "site-packages/brain/units.py": "",
        "site-packages/plotting.py": "import colours\n",
        "site-packages/colours.py": "",
    }
    write(tmp_path, files)
    assert names(tmp_path, "site-packages/brain/cell.py") == {
        "site-packages/brain/__init__.py",
        "site-packages/brain/units.py",
    }
    assert names(tmp_path, "site-packages/plotting.py") == set()


@pytest.mark.parametrize("raw", [b"x = 1\n", b"x = 1\r\n", b"\xef\xbb\xbfx = 1\r"])
def test_digests_are_those_of_sources(tmp_path: Path, raw: bytes) -> None:
    source = b"def f(v):\n    return v\n"
    path = tmp_path / "f.py"
    path.write_bytes(raw + source)
    read = read_source(str(path), path.read_bytes().decode("utf-8-sig"))
    assert digest_of(path) == read.digest


def test_the_example_counts_and_any_encoding_will_do(tmp_path: Path) -> None:
    write(tmp_path, {"f.py": "import latin\n", "x/example.py": "import units\n", "x/units.py": ""})
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nname = 'größe'\n".encode("latin-1"))
    found = dict(digests_of_imports(str(tmp_path / "f.py"), f"{tmp_path}/x/example.py:g"))
    assert list(found) == ["latin.py", "x/example.py", "x/units.py"]
    assert dict(digests_of_imports(str(tmp_path / "f.py"), f"{tmp_path}/f.py:g")).keys() == {
        "latin.py"
    }
    assert digests_of_imports("-", None) == ()
