"""Where what XLA compiled is kept, and how much of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradgen.compile.environment import forget_oldest, keep_compiled_programs

ASKED = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k[:4] != "JAX_"})
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: tmp_path / name)
    return tmp_path


def test_they_are_kept_in_a_folder_for_this_processor(home: Path) -> None:
    keep_compiled_programs()
    folder = Path(os.environ[ASKED])
    assert folder.is_dir()
    assert folder.parent == home / "gradgen" / "compiled"
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


def test_the_environment_has_its_way(home: Path) -> None:
    os.environ[ASKED] = "elsewhere"
    keep_compiled_programs()
    assert os.environ[ASKED] == "elsewhere"
    assert not list(home.iterdir())


def test_where_nothing_can_be_written_nothing_is_kept(home: Path) -> None:
    (home / "gradgen").write_text("a file")
    keep_compiled_programs()
    assert ASKED not in os.environ


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    for age in range(10):
        file = tmp_path / str(age)
        file.write_bytes(bytes(10))
        os.utime(file, (1000 - age, 1000 - age))
    forget_oldest(tmp_path, 100)
    assert len(list(tmp_path.iterdir())) == 10
    forget_oldest(tmp_path, 99)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", "2", "3"]
