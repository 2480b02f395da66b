"""``smart-retail benchmark watch``: what a frame costs, how many cameras a core carries, how steady answers are."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import cv2
import numpy as np

from smart_retail.arguments import as_list, check_above, command_parser, parse
from smart_retail.edge.detector import YUNET, Detection, Detector, open_detector
from smart_retail.edge.frames import Frame, Source, shown
from smart_retail.edge.predict_command import add_bundle
from smart_retail.edge.prediction import Prediction
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.pretrained import find_bundle
from smart_retail.edge.processor import device
from smart_retail.edge.source import open_source
from smart_retail.edge.watch import FAINT_SCORE, WATCH_PX, watch
from smart_retail.edge.watch_events import FrameEvent, WindowEvent
from smart_retail.errors import DataError

PARTS = ("reading", "detector", "network", "rest")
WARM_UP_FRAMES = 5
RATES = (5, 10, 15)
"""Frames a second of a camera for which the table says how many of them a core carries."""
HEAD = ("detector px", "frame", "frames", "faces", "judged", *PARTS, "all", "frames/s", "visitors", "spread")


@dataclass(frozen=True)
class Cost:
    """What the frames of a source cost, in milliseconds of processor time of one thread, as means over them.

    Attributes:
        detector_size: longest side that the detector was given, in pixels.
        width: of the frames in pixels.
        height: of them.
        frames: that were looked at, after a few to warm up.
        faces: that were found in a frame.
        judged: of those, how many the network was asked about.
        reading: decoding, also of frames that were not looked at.
        detector: finding faces.
        network: judging them.
        rest: motion of the camera, looks, crops, sharpness, tracks, counting.
        visitors: who were counted.
        spread: within a visitor, see ``WindowEvent``.
    """

    detector_size: int
    width: int
    height: int
    frames: int
    faces: float
    judged: float
    reading: float
    detector: float
    network: float
    rest: float
    visitors: int
    spread: dict[str, float]

    @property
    def all(self) -> float:
        """A frame in milliseconds."""
        return self.reading + self.detector + self.network + self.rest

    @property
    def frames_per_second(self) -> float:
        """How many such frames one core carries in a second."""
        return 1000 / self.all

    def to_dict(self) -> dict[str, Any]:
        """Return all values, with the sum and what follows from it."""
        return asdict(self) | {"all": self.all, "frames_per_second": self.frames_per_second}


class Clock:
    """Seconds of this thread, by part. Decoders and live cameras have threads of their own."""

    def __init__(self) -> None:
        """Start at 0."""
        self.parts, self.judged = defaultdict[str, float](float), 0
        self.start()

    def start(self) -> None:
        """Forget what came before."""
        self.parts.clear()
        self.judged, self.begun = 0, (time.thread_time(), time.process_time())

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time within to a part."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.parts[part] += time.thread_time() - start

    def stop(self) -> dict[str, float]:
        """Return the seconds of each part since the start."""
        mine, whole = time.thread_time() - self.begun[0], time.process_time() - self.begun[1]
        # Detector and network run in this thread: all that other threads did is decoding.
        reading = self.parts["reading"] + max(0.0, whole - mine)
        return {**self.parts, "reading": reading, "rest": mine - sum(self.parts.values())}


class TimedSource:
    """A source whose reading is timed."""

    def __init__(self, source: Source, clock: Clock, frames: int) -> None:
        """Take a source, and how many of its frames are wanted."""
        self.source, self.clock, self.wanted, self.live = source, clock, frames, source.live

    def __iter__(self) -> Iterator[Frame | str | float]:
        """Yield what the source yields, until the frames are enough."""
        items = iter(self.source)
        while self.wanted:
            with self.clock("reading"):
                item = next(items, None)
            if item is None:
                return
            self.wanted -= isinstance(item, Frame)
            yield item

    def close(self) -> None:
        """Close the source."""
        self.source.close()


class TimedDetector:
    """A detector that is timed."""

    def __init__(self, detector: Detector, clock: Clock) -> None:
        """Take a detector."""
        self.detector, self.clock = detector, clock

    def detect(self, image: np.ndarray, /) -> Sequence[Detection]:
        """Return what it finds."""
        with self.clock("detector"):
            return self.detector.detect(image)


class TimedPredictor(Predictor):
    """A Predictor that is timed, once it has a ``clock``."""

    clock: Clock

    def predict_crops(self, crops: np.ndarray) -> list[Prediction]:
        """Judge crops, and count them."""
        self.clock.judged += len(crops)
        with self.clock("network"):
            return super().predict_crops(crops)


def benchmark_watch(args: Sequence[str]) -> None:
    """Time ``watch`` on a source; ``args`` are the words after ``benchmark watch``.

    Raises:
        ConfigError: the source or a setting cannot be used.
        DataError: the source has too few frames.
    """
    parser = command_parser(
        "benchmark watch",
        "What a frame of a camera or a video costs, on one thread: reading (decoding), detector, network and the rest "
        "apart, in milliseconds of processor time, which other work on the machine hardly lengthens; how many such "
        "frames one core carries in a second, how many visitors were counted, and how steady the answers are within a "
        "visitor. No label is needed. Several sizes of the detector, to compare them: '[640, 960]'.",
    )
    parser.add_argument("source", type=str, help="camera (0), stream (rtsp://..., http://...), video, folder of frames")
    add_bundle(parser)
    parser.add_argument("--detector", type=str, default=YUNET, help=f"{YUNET}, or a YuNet model file")
    parser.add_argument(
        "--detector_size", type=int | list[int], default=WATCH_PX, help="longest side of what it sees; each is timed"
    )
    parser.add_argument("--tasks", nargs="+", type=str, help="what is told of people; all but emotions unless given")
    parser.add_argument(
        "--precision", type=Literal["int8", "fp32"], help="the faster one on this processor, unless named"
    )
    parser.add_argument("--max_fps", type=float, help="frames a second that are looked at, at most; all are decoded")
    parser.add_argument("--frames", type=int, default=500, help="that are looked at; fewer where the source ends")
    parser.add_argument("--format", type=Literal["table", "json"], default="table", help="of the figures")
    options = parse(parser, args)
    check_above(1, frames=options.frames)
    predictor = TimedPredictor.from_bundle(find_bundle(options.bundle), precision=options.precision)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        costs = [
            measure(
                open_source(options.source, max_fps=options.max_fps),
                open_detector(options.detector, min_score=FAINT_SCORE, size=size),
                predictor,
                size,
                options.frames,
                options.tasks,
            )
            for size in as_list(options.detector_size)
        ]
    finally:
        cv2.setNumThreads(threads)
    if options.format == "json":
        values = {"device": device(), "source": shown(options.source), "precision": predictor.path.name}
        print(json.dumps(values | {"timings": [cost.to_dict() for cost in costs]}))
    else:
        _print_table(costs)


def measure(
    source: Source,
    detector: Detector,
    predictor: TimedPredictor,
    size: int,
    frames: int,
    tasks: Sequence[str] | None = None,
) -> Cost:
    """Watch a source and time it.

    Args:
        source: opened; it is closed at the end.
        detector: what finds faces, with one thread.
        predictor: with one thread.
        size: longest side that the detector sees, to be told.
        frames: to look at.
        tasks: see ``watch``.

    Raises:
        DataError: there are no frames beyond those to warm up.
    """
    clock = predictor.clock = Clock()
    timed = TimedSource(source, clock, WARM_UP_FRAMES + frames)
    seen, faces, visitors, spread = 0, 0, 0, dict[str, float]()
    height = width = 0
    for event in watch(timed, detector=TimedDetector(detector, clock), predictor=predictor, tasks=tasks, frames=True):
        if isinstance(event, FrameEvent):
            seen += 1
            if seen <= WARM_UP_FRAMES:
                clock.start()
                continue
            faces += len(event.faces)
            height, width = event.image.shape[:2]
        elif isinstance(event, WindowEvent) and event.kind == "end":
            visitors, spread = event.visitors.total(), event.spread
    spent, counted = clock.stop(), seen - WARM_UP_FRAMES
    if counted < 1:
        raise DataError(f"{seen} frames are too few: {WARM_UP_FRAMES} warm up, and then time is taken")
    parts = {part: 1000 * spent.get(part, 0.0) / counted for part in PARTS}
    each = {"faces": faces / counted, "judged": clock.judged / counted}
    return Cost(size, width, height, counted, **each, **parts, visitors=visitors, spread=spread)


def _print_table(costs: Sequence[Cost]) -> None:
    where = device()
    dot = "with" if where["int8_dot_product"] else "without"
    print(f"{where['processor']}, {dot} INT8 dot products; one thread, processor time, means of a frame in ms")
    rows: list[tuple[str, ...]] = [HEAD]
    for cost in costs:
        spread = ", ".join(f"{task} {value:.2f}" for task, value in cost.spread.items())
        parts = (f"{getattr(cost, part):.1f}" for part in (*PARTS, "all"))
        counts = (f"{cost.faces:.1f}", f"{cost.judged:.1f}", *parts, f"{cost.frames_per_second:.1f}")
        size = f"{cost.width} x {cost.height}"
        rows.append((f"{cost.detector_size}", size, f"{cost.frames}", *counts, f"{cost.visitors}", spread or "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print("spread: within a visitor, standard deviation of years and share of frames that name another class")
    for cost in costs:
        cameras = ", ".join(f"{int(cost.frames_per_second / rate)} at {rate}" for rate in RATES)
        print(f"with {cost.detector_size} px one core carries so many of these cameras: {cameras} frames a second")
