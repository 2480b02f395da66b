"""Figures of faces and predictions: for TensorBoard, notebooks and reports.

Every function returns a ``matplotlib.figure.Figure`` of its own, without pyplot: its global state
leaks figures in a long run, and is not safe in threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from smart_retail.contract import Contract
from smart_retail.data.datamodule import denormalise
from smart_retail.data.dataset import FaceBatch
from smart_retail.data.labels import Labels
from smart_retail.tasks import AGE_MAX, Task

NO_LABEL = "?"
LETTERS = 22
"""Of a caption that fit below a face; a longer one is smaller, so that it does not run into the next."""
MAX_CLASSES_TOLD = 25
"""Classes up to which a confusion matrix has a share in each cell."""
MAX_SIDE_INCHES = 20
WRONG_BY = (5, 10)
"""Years beside the diagonal that an age scatter marks."""


def pixels(figure: Figure, dpi: int = 100) -> np.ndarray:
    """Return a figure as (H, W, 3) uint8 RGB."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def face_grid(images: np.ndarray, captions: Sequence[str], columns: int = 8) -> Figure:
    """Draw faces in rows, each with its caption below.

    Args:
        images: (N, S, S, 3) uint8 RGB.
        captions: one a face.
        columns: faces in a row.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.4 * columns, 1.65 * rows), layout="tight")
    size = 8 * min(1, LETTERS / max(map(len, captions), default=1))
    for place, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(image)
        axes.set_title(caption, fontsize=size, y=-0.2)
        axes.set_axis_off()
    return figure


def captions(labels: Labels, tasks: Sequence[Task]) -> list[str]:
    """Return the labels of each face in words.

    An age that is a range has its ends, a class without a majority the most voted one and its share, and what is
    not labelled at all a question mark.
    """
    rows = [_words(labels, task) for task in tasks]
    return [", ".join(words) for words in zip(*rows, strict=True)]


def _words(labels: Labels, task: Task) -> list[str]:
    known = labels[task.name].tolist()
    if task.is_classes:
        votes = labels[task.vote_labels].tolist() if task.vote_labels in labels else [[0.0]] * len(known)
        return [task.classes[i] if i >= 0 else _most_voted(v, task) for i, v in zip(known, votes, strict=True)]
    ends = labels[task.range_labels].tolist() if task.range_labels in labels else [(-1.0, -1.0)] * len(known)
    return [f"{years:.0f}" if years >= 0 else _age_range(*e) for years, e in zip(known, ends, strict=True)]


def _age_range(low: float, high: float) -> str:
    if high < 0:
        return NO_LABEL
    return f"{low:.0f}-{high:.0f}" if high < AGE_MAX else f"{low:.0f}+"


def _most_voted(votes: list[float], task: Task) -> str:
    share = max(votes)
    return f"{task.classes[votes.index(share)]} {share:.0%}" if share > 0 else NO_LABEL


def batch_grid(batch: FaceBatch, contract: Contract, count: int = 32) -> Figure:
    """Draw the first faces of a batch, as the network sees them, with their labels.

    Args:
        batch: from a loader, or normalised as the network gets it.
        contract: how it was normalised.
        count: faces to draw.
    """
    images = batch.image[:count]
    if images.dtype != torch.uint8:
        images = denormalise(images, contract)
    return face_grid(images.permute(0, 2, 3, 1).cpu().numpy(), captions(batch.labels, contract.tasks)[:count])


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Return (classes, classes) counts: a row a label, a column a prediction."""
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def confusion_figure(counts: np.ndarray, names: Sequence[str], task: str) -> Figure:
    """Draw a confusion matrix; colours and percentages are shares of each row.

    Args:
        counts: (C, C), a row a label.
        names: of the classes.
        task: for the title.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(2.2 + 0.7 * len(names), MAX_SIDE_INCHES)
    figure = Figure(figsize=(side + 0.4, side), layout="tight")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), [f"{n} ({c:,})" for n, c in zip(names, counts.sum(axis=1), strict=True)])
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled")
    for (row, column), share in np.ndenumerate(shares) if len(names) <= MAX_CLASSES_TOLD else ():
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=9)
    right = np.trace(counts) / max(counts.sum(), 1)
    axes.set_title(f"{task}: {right:.1%} of {counts.sum():,} right", fontsize=10)
    return figure


def age_scatter(
    labels: np.ndarray, years: np.ndarray, groups: np.ndarray, names: Sequence[str] = (), task: str = "age"
) -> Figure:
    """Draw predicted against labelled years, one colour a data set.

    Args:
        labels: (N,) years.
        years: (N,) predicted.
        groups: (N,) number of each face's data set.
        names: of the data sets; faces of one without a name share a colour.
        task: what the years are.
    """
    figure = Figure(figsize=(5.2, 5.2), layout="tight")
    axes = figure.add_subplot()
    ends, side = np.array([0, AGE_MAX]), 5 if len(labels) > 300 else 20
    for by, alpha in zip((0, *WRONG_BY), (0.8, 0.5, 0.25), strict=True):
        for sign in {by, -by}:
            axes.plot(ends, ends + sign, color="black", linewidth=0.8, alpha=alpha)
    for group in np.unique(groups):
        inside = groups == group
        error = np.abs(years[inside] - labels[inside]).mean()
        name = names[group] if group < len(names) else "faces"
        # Labels are whole years: a third of a year to each side shows how many lie on a line.
        shaken = labels[inside] + np.random.default_rng(0).uniform(-0.33, 0.33, inside.sum())
        axes.scatter(shaken, years[inside], s=side, alpha=0.4, label=f"{name}: {error:.1f} years off", linewidths=0)
    axes.set(xlim=ends, ylim=ends, xlabel=f"labelled {task}", ylabel=f"predicted {task}", aspect="equal")
    axes.set_title(f"{task}: {np.abs(years - labels).mean():.1f} years off, {len(labels):,} faces", fontsize=10)
    axes.legend(loc="upper left", fontsize=8, markerscale=3)
    return figure
