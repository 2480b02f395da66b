"""Draws the figures of the pages and of README: `python docs/figures/draw.py [NAME ...]`.

All of them are of drawn faces. `faces` needs what `make demo` leaves, and its bundle:
`smart-retail export --checkpoint lightning_logs/demo/version_0 --output bundle --precision fp32`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon
from matplotlib.text import Text
from PIL import Image

from smart_retail import Predictor, draw
from smart_retail.contract import Contract
from smart_retail.data.crops import square_from_landmarks
from smart_retail.data.sources.drawing import FaceSpec, draw_face
from smart_retail.edge.annotate import outline
from smart_retail.edge.detector import Detection
from smart_retail.evaluation.metrics import labelled, predicted_classes
from smart_retail.models.network import FaceNet
from smart_retail.plots import confusion, confusion_figure, pixels
from smart_retail.tasks import EMOTION

HERE = Path(__file__).parent
INK, EDGE = "#1d2733", "#5b6b7b"
PLAIN, CORE, SHIP = ("#f4f6f8", EDGE), ("#e3eefb", "#2766b0"), ("#e8f5e9", "#2e7d46")
BLUE, RED = "#1b6ca8", "#d1495b"
UPRIGHT, EYES = "upright: what a network is fed", "by the eyes alone"


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of so many inches whose axes count in hundredths of an inch, from the upper left corner."""
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100 * width), ylim=(100 * height, 0))
    axes.set_axis_off()
    return figure, axes


def box(
    axes: Axes, left: float, top: float, width: float, title: str, note: str, kind: tuple[str, str] = PLAIN
) -> None:
    """Draw a box of one line and a smaller one.

    Raises:
        ValueError: a line is wider than the box.
    """
    face, edge = kind
    style = {"boxstyle": "round,pad=0,rounding_size=8", "facecolor": face, "edgecolor": edge, "linewidth": 1.2}
    axes.add_patch(FancyBboxPatch((left, top), width, 60, **style))
    for text, size, down in ((title, 9.5, 24), (note, 8, 44)):
        drawn = axes.text(left + width / 2, top + down, text, size=size, color=INK, ha="center", va="center")
        if extent(axes, drawn) > width - 8:
            raise ValueError(f"{text!r} is wider than its box")


def extent(axes: Axes, text: Text) -> float:
    """Return the width of a text in units of its axes."""
    width_px = text.get_window_extent(FigureCanvasAgg(axes.figure).get_renderer()).width
    return float(width_px / axes.figure.dpi * 100)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0) -> None:
    """Draw an arrow."""
    style = {"arrowstyle": "-|>", "mutation_scale": 12, "color": EDGE, "linewidth": 1.3, "shrinkA": 2, "shrinkB": 2}
    axes.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", **style))


def data_flow() -> Figure:
    """The way of the data, from files on disk to a bundle that predicts."""
    figure, axes = canvas(9.6, 3.8)
    box(axes, 20, 30, 140, "Sources", "one file a data set")
    box(axes, 210, 30, 160, "FaceIndex", "duplicates, splits, leaks")
    box(axes, 420, 30, 160, "FaceDataModule", "crops, augmentation")
    box(axes, 630, 30, 150, "FaceBatch", "image, labels, masks")
    box(axes, 630, 150, 150, "FaceNet", "backbone and heads", CORE)
    box(axes, 420, 150, 160, "FaceAttributeModule", "masked losses, metrics", CORE)
    box(axes, 210, 150, 160, "Callbacks", "average, checkpoints")
    box(axes, 20, 150, 140, "TensorBoard", "curves and figures")
    box(axes, 810, 150, 130, "Teachers", "frozen, every face")
    box(axes, 210, 290, 160, "Export", "fused, compared, ONNX", SHIP)
    box(axes, 420, 290, 160, "INT8 and its gate", "calibrated or trained", SHIP)
    box(axes, 630, 290, 150, "Bundle", "two graphs, manifest", SHIP)
    box(axes, 810, 290, 130, "Predictor", "no PyTorch", SHIP)
    for x in (160, 370, 580):
        arrow(axes, (x, 60), (x + 50, 60))
    arrow(axes, (705, 90), (705, 150))
    for x in (630, 420, 210):
        arrow(axes, (x, 180), (x - 50, 180))
    arrow(axes, (810, 180), (780, 180))
    arrow(axes, (290, 210), (290, 290))
    for x, gap in ((370, 50), (580, 50), (780, 30)):
        arrow(axes, (x, 320), (x + gap, 320))
    axes.text(300, 252, "best network", size=8.5, color=INK, va="center")
    axes.text(875, 136, "what they predict", size=8.5, color=INK, ha="center", va="center")
    return figure


def face(gender: int, age: float, emotion: int, seed: int, side: int = 192) -> np.ndarray:
    """Return a (side, side, 3) uint8 RGB drawing of nobody."""
    return draw_face(FaceSpec(gender, age, emotion), np.random.default_rng(seed), side)


def masks() -> Figure:
    """Four faces of a batch with the labels that each has."""
    rows = [
        (face(1, 28, 2, 3), "UTKFace", ("female", "28", "")),
        (
            cv2.cvtColor(cv2.cvtColor(face(0, 40, 3, 8), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
            "FER2013",
            ("", "", "neutral"),
        ),
        (face(0, 62, 3, 4), "FairFace", ("male", "60-69", "")),
        (face(0, 8, 5, 5), "a table of yours", ("male", "", "surprise")),
    ]
    figure, axes = canvas(7.2, 4.5)
    columns = (230, 370, 510)
    for x, title in zip(columns, ("gender", "age", "emotion"), strict=True):
        axes.text(x + 60, 24, title, size=11, color=INK, ha="center", va="center", weight="bold")
    for y, (picture, source, labels) in zip(range(44, 400, 84), rows, strict=False):
        axes.imshow(picture, extent=(20, 92, y + 72, y), aspect="auto", interpolation="antialiased")
        axes.text(104, y + 36, source, size=9, color=INK, va="center")
        for x, label in zip(columns, labels, strict=True):
            kind = CORE if label else ("#ffffff", "#c3ccd4")
            style = {"boxstyle": "round,pad=0,rounding_size=6", "facecolor": kind[0], "edgecolor": kind[1]}
            axes.add_patch(FancyBboxPatch((x, y + 14), 120, 44, linestyle="-" if label else "--", **style))
            axes.text(
                x + 60, y + 36, label or "no label", size=9.5, color=INK if label else EDGE, ha="center", va="center"
            )
    axes.text(104, 408, "loss: mean over", size=9, color=INK, va="center")
    for x, count in zip(columns, (3, 2, 2), strict=True):
        axes.text(x + 60, 408, f"{count} labels", size=9.5, color=INK, ha="center", va="center", weight="bold")
    axes.set(xlim=(0, 720), ylim=(450, 0))
    return figure


def crop() -> Figure:
    """The squares of a frontal head and of the same head turned, whose eyes have come together."""
    figure = Figure(figsize=(7.2, 3.6), facecolor="white", layout="tight")
    scene = np.full((300, 300, 3), 232, np.uint8)
    for place, (title, narrow) in enumerate((("frontal", 1.0), ("turned by about 60 degrees", 0.5)), 1):
        picture = scene.copy()
        head = cv2.resize(face(1, 28, 3, 3, 180), (round(180 * narrow), 180), interpolation=cv2.INTER_AREA)
        left = (300 - head.shape[1]) // 2
        picture[60:240, left : left + head.shape[1]] = head
        left_eye, right_eye, mouth = (
            np.array([left + 180 * narrow * x, 60 + 180 * y]) for x, y in ((0.33, 0.39), (0.67, 0.39), (0.5, 0.73))
        )
        axes = figure.add_subplot(1, 2, place)
        axes.imshow(picture)
        axes.set_axis_off()
        axes.set_title(title, size=10, color=INK)
        for rule, colour, label in (("eyes", RED, EYES), ("upright", BLUE, UPRIGHT)):
            square = square_from_landmarks(left_eye, right_eye, mouth, Contract(crop=rule))
            if place == 2 or rule == "upright":
                axes.add_patch(Polygon(outline(square), fill=False, edgecolor=colour, linewidth=2, label=label))
        axes.plot(*np.array([left_eye, right_eye, mouth]).T, "o", color="white", markeredgecolor=INK, markersize=5)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.set_layout_engine("constrained")
    return figure


@torch.no_grad()
def identity_start() -> Figure:
    """How much a change of one percent of the input has grown after each block of MobileOne-S2, before any training."""
    figure = Figure(figsize=(6.4, 3.2), facecolor="white", layout="tight")
    axes = figure.add_subplot(xlabel="block", ylabel="change, share of the features", yscale="log")
    drawn = np.stack([face(i % 2, 10 + 2 * i, i % 6, i, 64) for i in range(32)])
    images = (torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.225
    changed = images + 0.01 * images.std() * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    for start, colour, label in ((False, RED, "timm's start"), (True, BLUE, "identity start")):
        torch.manual_seed(0)
        network = FaceNet("mobileone_s2", identity_start=start).train()
        found: list[torch.Tensor] = []
        for block in network.modules():
            if isinstance(getattr(block, "identity", None), torch.nn.BatchNorm2d):
                block.register_forward_hook(lambda _, __, out, kept=found: kept.append(out))
        network(torch.cat([images, changed]))
        growth = [float((out[:32] - out[32:]).norm() / out[:32].norm()) for out in found]
        axes.plot(range(1, len(growth) + 1), growth, color=colour, marker="o", markersize=3, label=label)
    axes.axhline(0.01, color="grey", linewidth=0.8, linestyle="--", label="change of the input")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    return figure


class Known:
    """A detector that was told where the faces are."""

    def __init__(self, boxes: Sequence[tuple[float, float, float, float]]) -> None:
        """Take left, top, right and bottom of each."""
        self.boxes = boxes

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Return them."""
        return [Detection(box, score=1.0) for box in self.boxes]


def faces() -> np.ndarray:
    """Eight drawn faces with what the network of the demo says of them, and what it takes for what beside."""
    people = [(1, 28, 2), (0, 62, 3), (0, 8, 5), (1, 45, 0), (0, 33, 4), (1, 70, 2), (1, 17, 1), (0, 24, 3)]
    picture, boxes, side = np.full((560, 900, 3), 244, np.uint8), [], 170
    for number, labels in enumerate(people):
        left, top = 30 + 220 * (number % 4), 84 + 275 * (number // 4)
        picture[top : top + side, left : left + side] = face(*labels, seed=number + 3, side=side)
        boxes.append((left, top, left + side, top + side))
    found = Predictor.from_bundle("bundle").predict_image(picture, Known(boxes))
    judged = labelled(pd.read_parquet("lightning_logs/demo/version_0/report/predictions.parquet"), EMOTION)
    counts = confusion(judged["emotion"].to_numpy(int), predicted_classes(judged, EMOTION), len(EMOTION.classes))
    matrix = pixels(confusion_figure(counts, EMOTION.classes, EMOTION.name), dpi=82)
    top = (len(picture) - len(matrix)) // 2
    beside = np.pad(matrix, ((top, len(picture) - len(matrix) - top), (0, 0), (0, 0)), constant_values=255)
    return np.hstack([draw(picture, found), beside])


def save(name: str, figure: Figure | np.ndarray) -> None:
    """Write a figure beside this file, the same bytes for the same figure."""
    if isinstance(figure, np.ndarray):
        Image.fromarray(figure).quantize(256, dither=Image.Dither.NONE).save(HERE / f"{name}.png", optimize=True)
        return
    with mpl.rc_context({"svg.hashsalt": "docs"}):
        figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})


FIGURES: dict[str, Callable[[], Figure | np.ndarray]] = {
    "data-flow": data_flow,
    "masks": masks,
    "crop": crop,
    "identity-start": identity_start,
    "faces": faces,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or FIGURES:
        save(name, FIGURES[name]())
