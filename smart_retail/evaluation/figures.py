"""Figures of a report, each small enough to be read on a phone."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from smart_retail.evaluation.wording import GOALS, in_years, metric_name

WIDTH = 4.6
"""Inches."""
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8a5fbf", "#c98a00", "#3a3a3a", "#00a3a3")


def embed(figure: Figure, *, points: bool = False) -> str:
    """Return a figure as a data URI: SVG, or PNG where thousands of points would make SVG heavy."""
    buffer, kind = BytesIO(), "png" if points else "svg"
    # Names of clip paths are random, and files dated, unless told otherwise.
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format=kind, dpi=160, metadata=None if points else {"Date": None})
    mime = "image/png" if points else "image/svg+xml"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _plain(height: float) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="tight")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def error_by_age(figures: pd.DataFrame, task: str) -> Figure:
    """Draw mean error and bias by decade of the labelled age, with their intervals.

    Args:
        figures: rows of the part ``decade``.
        task: of years.
    """
    figure, axes = _plain(3.2)
    for metric, colour, words in (
        (f"{task}_mae", COLOURS[0], "mean error"),
        (f"{task}_bias", COLOURS[1], "bias (above 0: predicted too old)"),
    ):
        rows = figures[(figures["metric"] == metric) & figures["value"].notna()]
        middle = rows["group"].str.split(" ").str[0].astype(int) + 5
        reach = np.abs(rows[["low", "high"]].to_numpy().T - rows["value"].to_numpy())
        axes.errorbar(middle, rows["value"], yerr=reach, color=colour, marker="o", markersize=4, capsize=3, label=words)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axhline(GOALS["age_mae"], color="grey", linewidth=0.8, linestyle="--", label="goal")
    axes.set(xlabel="labelled age, years", ylabel="years")
    axes.legend(fontsize=8, frameon=False)
    return figure


def dots(figures: pd.DataFrame, metric: str) -> Figure:
    """Draw a value with its interval for each group, in the order given, the first on top.

    Args:
        figures: rows of one metric.
        metric: its name.
    """
    rows = figures.iloc[::-1]
    figure, axes = _plain(0.9 + 0.27 * len(rows))
    factor = 1 if in_years(metric) else 100
    values = factor * rows[["value", "low", "high"]].to_numpy()
    places = np.arange(len(rows))
    reach = np.abs(values[:, 1:].T - values[:, 0])
    axes.errorbar(values[:, 0], places, xerr=reach, fmt="o", color=COLOURS[0], markersize=5, capsize=3)
    if metric in GOALS:
        axes.axvline(factor * GOALS[metric], color="grey", linewidth=0.8, linestyle="--")
    axes.set_yticks(places, [f"{g} ({n:,})" for g, n in zip(rows["group"], rows["faces"], strict=True)])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(metric_name(metric) + " (dashed: goal)" * (metric in GOALS))
    return figure


def reliability_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how often the network is right against how sure it is, a line a task; see ``calibration.reliability``."""
    figure, axes = _plain(3.6)
    axes.plot([0, 100], [0, 100], color="black", linewidth=0.8)
    for (name, rows), colour in zip(curves.items(), COLOURS, strict=False):
        reach = 100 * np.abs(rows[["low", "high"]].to_numpy().T - rows["accuracy"].to_numpy())
        axes.errorbar(
            100 * rows["confidence"],
            100 * rows["accuracy"],
            yerr=reach,
            color=colour,
            marker="o",
            markersize=4,
            capsize=2,
            label=name,
        )
    axes.set(xlabel="how sure, %", ylabel="how often right, %", xlim=(0, 102), ylim=(0, 102))
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def robustness_curves(rows: pd.DataFrame, metric: str) -> Figure:
    """Draw a metric against severity, a line a kind of change; the band is the interval of untouched faces.

    Args:
        rows: of one network and one metric, see ``robustness.robustness``.
        metric: its name.
    """
    figure, axes = _plain(3.6)
    factor = 1 if in_years(metric) else 100
    clean = rows[rows["severity"] == 0].iloc[0]
    axes.axhspan(factor * clean["low"], factor * clean["high"], color="grey", alpha=0.2, linewidth=0)
    changed = rows[rows["severity"] > 0]
    for place, (kind, line) in enumerate(changed.groupby("kind", sort=False)):
        values = [clean["value"], *line["value"]]
        marker = "osD^vPX"[place % 7]
        axes.plot(
            range(len(values)),
            factor * np.array(values),
            color=COLOURS[place % 7],
            linestyle=("-", "--", ":")[place // 7 % 3],
            marker=marker,
            markersize=4,
            label=kind,
        )
    axes.set_xticks(range(5), ["as is", "1", "2", "3", "4"])
    axes.set(xlabel="severity", ylabel=metric_name(metric))
    figure.legend(fontsize=8, frameon=False, loc="outside upper center", ncols=4)
    figure.set_layout_engine("constrained")
    return figure
