"""The files of prices that come with gradgen."""

from __future__ import annotations

from pathlib import Path

PRESETS: dict[str, Path] = {
    name: Path(__file__).with_name(f"{name}.toml") for name in ("energy", "no-divider", "traffic")
}
"""By name; each says where its numbers are from, and what is assumed."""
