"""Simulates models with their own steps and draws what they do (matplotlib: the extra `bench`)."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from drives import DRIVES, Drive

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "_static" / "gallery"
COLOURS = ("#1f4e79", "#b5542b", "#3c7d5b")


def simulate(drive: Drive, module: ModuleType, function: str) -> tuple[np.ndarray, Any, Any, Any]:
    """Times, inputs, states and outputs of a model, in float64, one row for each step."""
    import jax
    import jax.numpy as jnp

    times = drive.dt * np.arange(round(drive.duration / drive.dt))
    inputs = drive.inputs(times)
    start = drive.start
    if drive.state_class is not None:
        start = getattr(module, drive.state_class)(**start)
    step = getattr(module, function)

    def body(state: Any, given: Any) -> tuple[Any, Any]:
        state, outputs = drive.call(step, state, given)
        return state, (state, outputs)

    with jax.enable_x64(True):
        given = tuple(jnp.asarray(values) for values in inputs.values())
        first = jax.tree.map(jnp.asarray, start)
        states, outputs = jax.lax.scan(body, first, given)[1]
        return times, inputs, *jax.tree.map(np.asarray, (states, outputs))


def draw(model: str, function: str, folder: Path = FOLDER) -> None:
    """Write the picture of one model."""
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drive = DRIVES[model]
    module = _load(ROOT / "models" / f"{model}.py")
    times, inputs, states, outputs = simulate(drive, module, function)
    panels = drive.panels(states, outputs)
    shown = {label: values for label, values in inputs.items() if np.any(values) and label != "r"}
    heights = [2.2, *(1.0 for _ in range(len(panels) - 1)), *(0.6 for _ in shown)]
    style = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(
            len(heights),
            figsize=(7.0, 0.7 + 0.65 * sum(heights)),
            sharex=True,
            height_ratios=heights,
            layout="constrained",
            squeeze=False,
        )
        rows = list(axes[:, 0])
        for row, (label, values) in zip(rows, panels.items(), strict=False):
            _panel(row, times, values, label)
        if drive.spikes is not None:
            _ticks(rows[0], times, drive.spikes(states, outputs))
        for row, (label, values) in zip(rows[len(panels) :], shown.items(), strict=True):
            row.plot(times, values, color="#777777", linewidth=0.8, drawstyle="steps-post")
            row.set_ylabel(label, rotation=0, ha="right", va="center")
        rows[-1].set_xlabel(f"time ({drive.unit})" if drive.unit == "ms" else drive.unit)
        rows[-1].set_xlim(0.0, drive.duration)
        figure.align_ylabels(rows)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=110)
        pyplot.close(figure)
    # a palette of a few colours makes the file a third as large
    palette = Image.open(drawn).convert("RGB").quantize(48, Image.Quantize.MAXCOVERAGE)
    palette.save(folder / f"{model}.png", optimize=True)


def _panel(row: Axes, times: np.ndarray, values: np.ndarray, label: str) -> None:
    """One quantity over time, or several that share an axis."""
    columns = np.asarray(values).reshape(len(times), -1).T
    names = label.split(", ") if len(columns) > 1 else [label]
    for name, column, colour in zip(names, columns, COLOURS, strict=False):
        row.plot(times, column, color=colour, linewidth=0.9, label=name)
    if len(columns) > 1:
        row.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 0.9),
            ncols=len(columns),
            frameon=False,
            borderpad=0.0,
        )
    row.set_ylabel(label, rotation=0, ha="right", va="center")
    row.margins(y=0.12)


def _ticks(row: Axes, times: np.ndarray, spikes: np.ndarray) -> None:
    """The spikes, as ticks along the upper edge of the panel."""
    at = times[np.asarray(spikes) > 0.5]
    if len(at) == 0:
        return
    height = np.full(at.shape, 1.03)
    row.plot(at, height, "|k", transform=row.get_xaxis_transform(), clip_on=False, markersize=6)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gallery_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
