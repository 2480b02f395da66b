"""Who came, in one loop: frames, faces, tracks, the network, counts.

>>> for event in smart_retail.watch("shop.mp4"):
...     if event.kind == "left":
...         print(event.visitor, event.prediction.gender, round(event.prediction.age), event.seconds)

No picture, look or track is kept longer than its visitor is in view, and none is written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from smart_retail.edge.camera_motion import CameraMotion
from smart_retail.edge.detector import YUNET, Detector, open_detector
from smart_retail.edge.frames import Frame, Source
from smart_retail.edge.judgeable import MIN_SCORE, MIN_SHARPNESS, sharpness, weight, why_not
from smart_retail.edge.prediction import Prediction
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.smoother import PASSING
from smart_retail.edge.source import open_source
from smart_retail.edge.tracker import Tracker, look
from smart_retail.edge.visitor_count import VisitorCount
from smart_retail.edge.visitors import AGE_BOUNDS
from smart_retail.edge.watch_events import Event, FrameEvent, NoteEvent, SeenFace
from smart_retail.tasks import Task, chosen

FAINT_SCORE = 0.5
"""From which a find of the detector may carry a track on, see ``Tracker``."""
WATCH_PX = 960
"""Longest side of the frame that the detector sees: half the time of 1280, and the smallest faces that are judged in
1280 x 720 (``MIN_SIDE_PX``) are still found in 99 of 100 pictures. At 640 squares tremble so much that people who cross
are taken for one now and then: ``docs/watch.md``."""
GOOD_FRAMES = 5
"""A false find rarely lasts so long, and the mean of five frames is steadier than one."""
EMOTIONS_NOTE = (
    "emotions are judged: Regulation (EU) 2024/1689, the Artificial Intelligence Act, prohibits inferring emotions at "
    "workplaces, a shop's staff among them (Article 5(1)(f)); elsewhere it is high-risk (Annex III), and the people "
    "must be told (Article 50(3))"
)


def watch(
    source: str | int | Path | Source,
    *,
    detector: str | Path | Detector = YUNET,
    detector_size: int = WATCH_PX,
    predictor: Predictor | None = None,
    tasks: Sequence[str] | None = None,
    every: float = 60.0,
    good_frames: int = GOOD_FRAMES,
    patience: float = 1.5,
    age_groups: Sequence[int] = AGE_BOUNDS,
    max_fps: float | None = None,
    frames: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[Event]:
    """Count the people in a video or before a camera.

    Args:
        source: a camera's number, a device, a stream's address, a video file or a folder of pictures. Every frame of a
            file is seen; of a live source always the latest, and it is opened again when it breaks off. Or whatever
            yields frames, see ``frames.Source``.
        detector: ``yunet``, a YuNet model file, or whatever finds faces.
        detector_size: longest side in pixels to which frames are shrunk for ``yunet``; more finds smaller faces.
        predictor: judges them; the package's own unless given.
        tasks: what of; all but emotions unless given. The others are not asked for.
        every: seconds of a window; those of a live source end with the clock's.
        good_frames: in which somebody must be seen well enough to be counted by group.
        patience: seconds for which a face may be missing and still be the same visitor.
        age_groups: ages at which groups begin.
        max_fps: frames a second at most; all, or as many as can be judged, unless given.
        frames: also yield every frame with its faces.
        stop: once set, ends the loop with the final count.

    Yields:
        ``VisitorEvent``, ``WindowEvent`` (the last is the total), ``NoteEvent``, and ``FrameEvent`` if asked for.

    Raises:
        ConfigError: the source, a setting or the detector cannot be used.
        DataError: the source has no frame.
        BundleError: the network fails.
    """
    find = open_detector(detector, min_score=FAINT_SCORE, size=detector_size)
    predictor = predictor or Predictor.from_pretrained()
    wanted = wanted_tasks(predictor.contract.tasks, tasks)
    if wanted:
        predictor = predictor.only(task.name for task in wanted)
    tracker, motion = Tracker(patience=patience), CameraMotion()
    count = VisitorCount(wanted, age_groups=age_groups, good_frames=good_frames, every=every)
    opened = open_source(source, max_fps=max_fps)
    count.begin(live=opened.live)
    try:
        if any(task.name.startswith(PASSING) for task in wanted):
            yield NoteEvent(count.clock(0.0), EMOTIONS_NOTE)
        for item in opened:
            if isinstance(item, Frame):
                yield from count.advance(item.seconds)
                event = _look_at(item, find, predictor, tracker, motion, count)
                yield from count.changed(tracker.tracks)
                if frames:
                    yield event
            elif isinstance(item, str):
                yield NoteEvent(count.clock(count.now), item)
            else:
                yield from count.advance(item)
            if stop is not None and stop.is_set():
                break
    finally:
        opened.close()
    yield from count.changed(())
    yield from count.finish()


def wanted_tasks(known: Sequence[Task], names: Sequence[str] | None) -> tuple[Task, ...]:
    """Return what is told of people: the tasks of these names, or all but emotions.

    Raises:
        ConfigError: the network knows no such task.
    """
    if names is None:
        return tuple(task for task in known if not task.name.startswith(PASSING))
    return chosen(known, names)


def _look_at(
    frame: Frame, find: Detector, predictor: Predictor, tracker: Tracker, motion: CameraMotion, count: VisitorCount
) -> FrameEvent:
    """Find, follow and judge the faces of one frame."""
    image, contract = frame.image, predictor.contract
    found = find.detect(image)
    squares = [face.square(contract) for face in found]
    numbers = tracker.update(
        squares,
        frame.seconds,
        sure=[face.score >= MIN_SCORE for face in found],
        looks=[look(image, square) for square in squares],
        motion=motion.update(image, squares),
    )
    count.frame(frame)
    reasons = [why_not(face, square, image.shape[:2]) for face, square in zip(found, squares, strict=True)]
    crops = {i: predictor.crop(image, squares[i]) for i, reason in enumerate(reasons) if not reason}
    for i, crop in crops.items():
        reasons[i] = "blurred" if sharpness(crop) < MIN_SHARPNESS else None
    good = [i for i in crops if not reasons[i]]
    judged = predictor.predict_crops(np.stack([crops[i] for i in good])) if good and count.tasks else None
    # A network of emotions alone, which nobody asked for, is not run: people are counted, and nothing is said of them.
    predictions = dict(zip(good, judged or [Prediction({})] * len(good), strict=True))
    for i, prediction in predictions.items():
        reasons[i] = "blank" if any(found.blank for found in prediction.attributes.values()) else None
    faces = []
    for i, number in enumerate(numbers):
        visitor = None if number is None else count.seen(number, reasons[i])
        if visitor is not None and i in predictions and not reasons[i]:
            visitor.add(predictions[i], weight(found[i], squares[i], contract))
        faces.append(SeenFace(squares[i], number, visitor.prediction if visitor else None, reasons[i]))
    hidden = [track.square for number, track in tracker.tracks.items() if number not in numbers]
    return FrameEvent(image, frame.seconds, faces, hidden)
