"""``smart-retail watch``: a camera's visitors by gender and age, without PyTorch."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

from smart_retail.arguments import command_parser, parse
from smart_retail.edge.detector import YUNET
from smart_retail.edge.predict_command import add_network, open_predictor
from smart_retail.edge.source import is_live
from smart_retail.edge.visitors import AGE_BOUNDS
from smart_retail.edge.watch import GOOD_FRAMES, WATCH_PX, wanted_tasks, watch
from smart_retail.edge.watch_events import FrameEvent, NoteEvent, WindowEvent
from smart_retail.edge.watch_output import Recorder, Screen, WindowTable, drawn
from smart_retail.errors import ConfigError
from smart_retail.failures import WRONG

SIGNALLED = 128
"""Exit codes after a signal, as shells count."""


def watch_source(args: Sequence[str]) -> int:
    """Count the visitors of a source; ``args`` are the words after ``watch``.

    Returns:
        Exit code: 0 at the end of a file, or when a live source is stopped by Ctrl-C or SIGTERM; 130 or 143 when a file
        was not seen to its end; 2 where rows of the CSV could not be written.

    Raises:
        ConfigError: the source or a setting cannot be used.
        DataError: the source has no frame.
    """
    parser = command_parser(
        "watch",
        "Count the people before a camera or in a video, by gender and age. Everybody is counted once; who leaves and "
        "comes back is counted again, since nobody is recognised. No picture is kept unless --record asks for it. "
        "Ctrl-C and SIGTERM end with the count so far.",
    )
    parser.add_argument("source", type=str, help="camera (0), stream (rtsp://..., http://...), video, folder of frames")
    add_network(parser)
    parser.add_argument("--detector", type=str, default=YUNET, help=f"{YUNET}, or a YuNet model file")
    parser.add_argument("--detector_size", type=int, default=WATCH_PX, help="longest side of the frame that it sees")
    parser.add_argument("--tasks", nargs="+", type=str, help="what is told of people; all but emotions unless given")
    parser.add_argument("--every", type=float, default=60.0, help="seconds of a window of the count")
    parser.add_argument("--csv", type=Path, help="file that each window's groups are appended to")
    parser.add_argument("--json", type=bool, default=False, help="events as JSON, one a line, instead of text")
    parser.add_argument("--show", type=bool, default=False, help="a window with the faces and what is said of them")
    parser.add_argument("--record", type=Path, help="video of the same, .mp4 or .avi: it shows people, mind the law")
    parser.add_argument("--blur", type=bool, default=False, help="cover the faces in --show and --record")
    parser.add_argument("--max_fps", type=float, help="frames a second that are looked at, at most")
    parser.add_argument("--good_frames", type=int, default=GOOD_FRAMES, help="in which somebody must be seen well")
    parser.add_argument("--patience", type=float, default=1.5, help="seconds for which a face may be missing")
    parser.add_argument("--age_groups", type=list[int], default=list(AGE_BOUNDS), help="ages at which groups begin")
    options = parse(parser, args)
    if options.blur and not (options.show or options.record):
        raise ConfigError("--blur covers faces in what --show and --record draw; give one of them")
    live = is_live(options.source)
    predictor = open_predictor(options)
    table = None
    if options.csv:
        table = WindowTable(options.csv, (task.name for task in wanted_tasks(predictor.contract.tasks, options.tasks)))
    recorder = Recorder(options.record) if options.record else None
    screen = Screen(f"smart-retail watch {options.source}") if options.show else None
    with _stopping() as (stop, signals):
        events = watch(
            options.source,
            detector=options.detector,
            detector_size=options.detector_size,
            predictor=predictor,
            tasks=options.tasks,
            every=options.every,
            good_frames=options.good_frames,
            patience=options.patience,
            age_groups=options.age_groups,
            max_fps=options.max_fps,
            frames=bool(screen or recorder),
            stop=stop,
        )
        try:
            for event in events:
                if isinstance(event, FrameEvent):
                    picture = drawn(event, blur=options.blur)
                    if recorder:
                        _note(recorder.add(picture, event.seconds))
                    if screen and screen.show(picture):
                        stop.set()
                    continue
                if table and isinstance(event, WindowEvent) and event.kind == "window":
                    _note(table.add(event))
                if options.json:
                    _tell(json.dumps(event.to_dict()), sys.stdout)
                elif isinstance(event, WindowEvent):
                    _tell(in_words(event), sys.stdout)
                if isinstance(event, NoteEvent):
                    _note(event.message)
        finally:
            if recorder:
                recorder.close()
            lost = table.lost() if table else None
            _note(lost)
    return WRONG if lost else SIGNALLED + signals[0] if signals and not live else 0


@contextmanager
def _stopping() -> Iterator[tuple[threading.Event, list[int]]]:
    """Yield an event that Ctrl-C and SIGTERM set, and the signals that came; the second one interrupts at once."""
    stop, came = threading.Event(), list[int]()

    def hear(number: int, _: FrameType | None) -> None:
        came.append(number)
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def in_words(window: WindowEvent) -> str:
    """Return a window, or the total, as a line or several of text."""
    count = window.visitors.total()
    people = f"{count} {'visitor' if count == 1 else 'visitors'}"
    groups = "".join(f"\n  {' '.join(dict.fromkeys(group)):24}{n:5}" for group, n in sorted(window.visitors.items()))
    rate = window.judged / window.watched if window.watched else 0.0
    dropped = window.came - window.judged
    lines = [
        f"{window.start} to {window.end}: {people}; {rate:.1f} frames a second, {dropped} of {window.came} dropped"
    ]
    if window.not_judged:
        reasons = ", ".join(f"{reason} {n}" for reason, n in window.not_judged.most_common())
        groups += f"\n  not judged: {reasons}"
    if window.spread:
        words = (f"{task} {value:.2f}" for task, value in window.spread.items())
        groups += f"\n  spread within a visitor (years; share of frames with another answer): {', '.join(words)}"
    if window.kind == "end":
        lines[0] = f"in all, {lines[0]}"
    return lines[0] + groups


def _note(message: str | None) -> None:
    if message:
        _tell(message, sys.stderr)


def _tell(text: str, out: TextIO) -> None:
    """Print; where a log's disk is full, the count goes on, and the text waits in the stream's own buffer."""
    try:
        print(text, file=out, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        pass  # the command's last flush says so, if there is no room by then
