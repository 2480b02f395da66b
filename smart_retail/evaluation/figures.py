"""Figures of a report, each small enough to be read on a phone."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from smart_retail.evaluation.report import Picture
from smart_retail.evaluation.wording import goals, in_years, metric_name
from smart_retail.tasks import Task

WIDTH_INCHES = 4.6
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8a5fbf", "#c98a00", "#3a3a3a", "#00a3a3")


def embed(figure: Figure, caption: str, *, points: bool = False) -> Picture:
    """Return a figure as a data URI: SVG, or PNG where thousands of points would make SVG heavy."""
    buffer, kind = BytesIO(), "png" if points else "svg"
    # Names of clip paths are random, and files dated, unless a salt and a date are set.
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format=kind, dpi=160, metadata=None if points else {"Date": None})
    mime = "image/png" if points else "image/svg+xml"
    return Picture(f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}", caption)


def _axes(height_inches: float, **settings: Any) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="tight")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set(**settings)
    return figure, axes


def _reach(rows: pd.DataFrame, value: str, factor: float = 1) -> np.ndarray:
    """Return (2, N): how far the interval of each row reaches below and above its value."""
    return np.asarray(factor * np.abs(rows[["low", "high"]].to_numpy().T - rows[value].to_numpy()))


def error_by_decade(rows: pd.DataFrame, task: Task) -> Figure:
    """Draw mean error and bias by decade of the labelled years, with their intervals; rows of the part ``decade``."""
    figure, axes = _axes(3.2, xlabel=f"labelled {task.name}, years", ylabel="years")
    labels = {"mae": "mean error", "bias": "bias (above 0: predicted too high)"}
    for kind, colour in zip(labels, COLOURS, strict=False):
        line = rows[rows["metric"] == f"{task.name}_{kind}"]
        middle = line["group"].str.split(" ").str[0].astype(int) + 5
        style: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 4, "capsize": 3}
        axes.errorbar(middle, line["value"], yerr=_reach(line, "value"), label=labels[kind], **style)
    axes.axhline(0, color="black", linewidth=0.8)
    if goal := goals([task]).get(task.metric):
        axes.axhline(goal, color="grey", linewidth=0.8, linestyle="--", label="goal")
    axes.legend(fontsize=8, frameon=False)
    return figure


def group_values(figures: pd.DataFrame, metric: str, tasks: Sequence[Task]) -> Figure:
    """Draw the value of a metric with its interval for each group (a row each), the first on top."""
    rows, goal = figures.iloc[::-1], goals(tasks).get(metric)
    figure, axes = _axes(0.9 + 0.27 * len(rows), ylim=(-0.7, len(rows) - 0.3))
    factor, places = 1 if in_years(metric) else 100, np.arange(len(rows))
    style: dict[str, Any] = {"fmt": "o", "color": COLOURS[0], "markersize": 5, "capsize": 3}
    axes.errorbar(factor * rows["value"], places, xerr=_reach(rows, "value", factor), **style)
    if goal:
        axes.axvline(factor * goal, color="grey", linewidth=0.8, linestyle="--")
    axes.set_yticks(places, [f"{g} ({n:,})" for g, n in zip(rows["group"], rows["faces"], strict=True)])
    axes.set_xlabel(metric_name(metric, tasks) + " (dashed: goal)" * bool(goal))
    return figure


def reliability_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how often the network is right against how sure it is, a line a task; see ``calibration.reliability``."""
    figure, axes = _axes(3.6, xlabel="confidence, %", ylabel="accuracy, %", xlim=(0, 102), ylim=(0, 102))
    axes.plot([0, 100], [0, 100], color="black", linewidth=0.8)
    for (name, rows), colour in zip(curves.items(), COLOURS, strict=False):
        style: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 4, "capsize": 2, "label": name}
        axes.errorbar(100 * rows["confidence"], 100 * rows["accuracy"], yerr=_reach(rows, "accuracy", 100), **style)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def robustness_curves(rows: pd.DataFrame, metric: str, tasks: Sequence[Task]) -> Figure:
    """Draw a metric of one network against severity, a line a kind; the band is the interval of untouched faces."""
    figure, axes = _axes(3.6, xlabel="severity", ylabel=metric_name(metric, tasks))
    factor, clean = 1 if in_years(metric) else 100, rows[rows["severity"] == 0].iloc[0]
    axes.axhspan(factor * clean["low"], factor * clean["high"], color="grey", alpha=0.2, linewidth=0)
    for place, (kind, line) in enumerate(rows[rows["severity"] > 0].groupby("kind", sort=False)):
        values = factor * np.array([clean["value"], *line["value"]])
        style: dict[str, Any] = {"color": COLOURS[place % 7], "linestyle": ("-", "--", ":")[place // 7 % 3]}
        axes.plot(values, **style, marker="osD^vPX"[place % 7], markersize=4, label=kind)
    axes.set_xticks(range(5), ["as is", "1", "2", "3", "4"])
    figure.legend(fontsize=8, frameon=False, loc="outside upper center", ncols=4)
    figure.set_layout_engine("constrained")
    return figure
