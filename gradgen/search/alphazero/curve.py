"""The training curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from gradgen.errors import GradgenError
from gradgen.files import write_atomically
from gradgen.search.alphazero.run import LogLine


def draw(
    lines: Sequence[LogLine], baselines: Mapping[str, float], objective: str, path: Path
) -> None:
    """Draw self-play, the policy alone and random orders over games, with baselines across.

    The format is that of the path's ending. Raises GradgenError without matplotlib.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise GradgenError(
            "a picture needs matplotlib",
            hint='pip install "gradgen-jax[plot]"',
        ) from None
    mpl.rcParams["svg.hashsalt"] = "gradgen"
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    games = [line.episodes for line in lines]
    axes.plot(games, [line.mean for line in lines], label="self-play, mean", color="C0")
    axes.plot(games, [line.greedy for line in lines], label="policy alone", color="C1", lw=1.0)
    axes.plot(games, [line.best for line in lines], label="best order seen", color="C2")
    axes.plot(
        games, [line.random_best for line in lines], label="best random order", color="0.5", ls=":"
    )
    for name, cost in baselines.items():
        axes.axhline(cost, color="0.7", lw=0.8, zorder=0)
        axes.annotate(
            name, (1.0, cost), xycoords=("axes fraction", "data"), va="center", fontsize=8,
            xytext=(4, 0), textcoords="offset points",
        )  # fmt: skip
    axes.set_xlabel("games")
    axes.set_ylabel(f"multiplications ({objective})")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    content = BytesIO()
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(content, format=path.suffix.removeprefix("."), metadata=metadata)
    write_atomically(str(path), content.getvalue())
