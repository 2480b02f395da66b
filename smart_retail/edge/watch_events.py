"""What ``watch`` tells: somebody came or left, a window of time is over, a source broke off, a frame was seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from smart_retail.data.crops import Square
from smart_retail.edge.prediction import Prediction


@dataclass(frozen=True)
class VisitorEvent:
    """Somebody was counted (``arrived``) or is out of view (``left``); the answer is best when they left.

    Attributes:
        kind: ``arrived`` or ``left``.
        time: of a live source the clock's, with its time zone; else hours, minutes and seconds of the video.
        visitor: number, never used again; nobody who comes back has the one from before.
        prediction: weighted mean over the frames that were good enough.
        good_frames: their number.
        seconds: in view so far.
        spread: how unsteady the network was: standard deviation of years, share of frames that name another class.
    """

    kind: str
    time: str
    visitor: int
    prediction: Prediction
    good_frames: int
    seconds: float
    spread: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, rounded for reading."""
        return {
            "event": self.kind,
            "time": self.time,
            "visitor": self.visitor,
            "seconds": round(self.seconds, 1),
            "good_frames": self.good_frames,
            **self.prediction.to_dict(),
            "spread": {task: round(value, 3) for task, value in self.spread.items()},
        }


@dataclass
class WindowEvent:
    """A window of time is over, or (``end``) everything is.

    Attributes:
        kind: ``window`` or ``end``.
        start: its beginning, see ``VisitorEvent.time``.
        end: its end.
        tasks: what the groups are by.
        visitors: number of people by group; everybody belongs to the window in which they were counted.
        not_judged: of those in the group ``unknown``, how many were so for which reason.
        watched: seconds in which frames came.
        came: frames that the source gave.
        judged: frames that were looked at.
        spread: mean of the spreads of all who left, see ``VisitorEvent``.
    """

    kind: str
    start: str
    end: str
    tasks: tuple[str, ...]
    visitors: Counter[tuple[str, ...]] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    watched: float = 0.0
    came: int = 0
    judged: int = 0
    spread: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, rounded for reading."""
        return {
            "event": self.kind,
            "from": self.start,
            "to": self.end,
            "watched": round(self.watched, 1),
            "frames_came": self.came,
            "frames_judged": self.judged,
            "visitors": [
                dict(zip(self.tasks, group, strict=True)) | {"visitors": n}
                for group, n in sorted(self.visitors.items())
            ],
            "not_judged": dict(self.not_judged),
            "spread": {task: round(value, 3) for task, value in self.spread.items()},
        }


@dataclass(frozen=True)
class NoteEvent:
    """Something to tell: a source broke off or is back, a picture was left out, what the law says."""

    kind: ClassVar[str] = "note"
    time: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {"event": self.kind, "time": self.time, "message": self.message}


@dataclass(frozen=True)
class SeenFace:
    """A face in a frame.

    Attributes:
        square: where it is.
        visitor: number of its track; None for one that the detector is unsure of and that belongs to nobody.
        prediction: mean of its track so far, None before it was judged.
        reason: why it was not judged in this frame; None if it was.
    """

    square: Square
    visitor: int | None
    prediction: Prediction | None
    reason: str | None


@dataclass(frozen=True)
class FrameEvent:
    """A frame, only where ``frames`` asked for them.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        seconds: time of the frame.
        faces: in it.
        hidden: where faces are expected that are not seen just now, for whoever blurs them.
    """

    kind: ClassVar[str] = "frame"
    image: np.ndarray
    seconds: float
    faces: list[SeenFace]
    hidden: list[Square]


Event = VisitorEvent | WindowEvent | NoteEvent | FrameEvent
