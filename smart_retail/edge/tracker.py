"""Which face of a frame is which of the frames before: place, motion and look. Nobody is recognised who left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from smart_retail.data.crops import Square, crop_square, surroundings
from smart_retail.edge.camera_motion import STILL, moved
from smart_retail.errors import ConfigError

MAX_DISTANCE = 0.7
"""In sides of the face, from where a track is expected: heads beside each other are at least one and a half apart."""
MAX_BLIND_DISTANCE = 0.3
"""The same where no look tells, as for a face that the frame's edge cuts off, where one may come as another leaves. Of
1,094 steps of a track from one frame to the next (15 a second, a camera that pans) none was above 0.17."""
MAX_SPEED = 6.0
"""Sides a second that may be added to it: a walker's head of 20 cm moves by 1.2 m/s."""
MAX_REACH = 1.5
MAX_ZOOM = math.log(1.7)
LOOK_PX, LOOK_WIDTH = 16, 1.5
"""A look is two pictures of so many pixels a side: the face, and half as much again, with hair and collar."""
SAME = 0.65
"""Least correlation of two looks. Of 205 real faces that were shifted, turned by 4 degrees, zoomed by 7%, lit otherwise
and found again by YuNet, one was below (the median is 0.97), and of the pairs of different people 1% were above."""
SURELY_SAME = 0.7
"""From which correlation on an older track gets a face before younger ones do, see ``SETTLED_FRAMES``."""
CLEAR, REFRESH, REFRESH_UNCLEAR = 0.75, 0.3, 0.05
"""From which correlation on a look is surely of the face itself, not of somebody in front of it, and the share of the
newest look in what is remembered, then and otherwise."""
GAP_SECONDS, GAP_FRAMES = 0.25, 1.5
"""A gap this long is a short one, in seconds or, where frames are rare, in frames."""
SETTLED_FRAMES = 5
"""A track of fewer frames ends after a short gap, and gets what no older one surely is: half hidden, a face may look
like a new one. Who is merely like somebody (``SAME``) belongs to whom they are like most: strangers may be, too."""
SETTLE_SECONDS = 0.15
"""A velocity is an average over about this time: a detector's squares tremble."""


@dataclass
class Track:
    """A face over time.

    Attributes:
        number: counts up from 0 and is never used again.
        square: where it is, or would be by now.
        velocity: (2,) sides a second, beyond the camera's own motion.
        seen: seconds at which it was seen last.
        frames: in which it was seen.
        look: of the face, or None.
    """

    number: int
    square: Square
    seen: float
    frames: int = 1
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    look: np.ndarray | None = None


class Tracker:
    """Follows faces through a video with a camera that may pan and zoom.

    Squares are matched to tracks in two passes, as in ByteTrack (Zhang et al. 2022): first those that the detector is
    sure of, then the others, which carry a track on but start none. Nothing of a track is kept when it has ended.
    """

    def __init__(self, *, patience: float = 1.5) -> None:
        """Set how long a face may be missing.

        Args:
            patience: seconds, in which somebody may be hidden or look away.
        """
        if not patience >= 0:
            raise ConfigError(f"patience {patience} must be 0 seconds or more")
        self.patience = patience
        self.tracks: dict[int, Track] = {}
        self.time, self.gap = -math.inf, GAP_SECONDS
        self.next = 0

    def update(
        self,
        squares: Sequence[Square],
        seconds: float,
        *,
        sure: Sequence[bool] | None = None,
        looks: Sequence[np.ndarray | None] | None = None,
        motion: np.ndarray = STILL,
    ) -> list[int | None]:
        """Take up one frame; ``tracks`` holds those that go on.

        Args:
            squares: of its faces.
            seconds: time of the frame; must not go back.
            sure: whether the detector is sure of each; all unless given.
            looks: of each, see ``look``; None for one whose place alone tells.
            motion: of the camera since the last frame, see ``CameraMotion``.

        Returns:
            Number of the track of each face, in their order; None for one that belongs to no track and starts none.
        """
        elapsed = max(0.0, seconds - self.time) if self.tracks else 0.0
        self.time, self.gap = seconds, min(self.patience, max(GAP_SECONDS, GAP_FRAMES * elapsed))
        for track in self.tracks.values():
            x, y = track.velocity * track.square.side * elapsed
            track.square = moved(track.square, motion)
            track.square = track.square._replace(x=track.square.x + x, y=track.square.y + y)
        self.tracks = {
            number: track
            for number, track in self.tracks.items()
            if seconds - track.seen <= (self.patience if track.frames >= SETTLED_FRAMES else self.gap)
        }
        sure = [True] * len(squares) if sure is None else sure
        found: dict[int, int] = {}
        for settled, wanted in ((True, True), (True, False), (False, True), (False, False)):
            alike = SURELY_SAME if settled else SAME
            candidates = [
                (cost, i, number)
                for i, square in enumerate(squares)
                if sure[i] == wanted and i not in found
                for number, track in self.tracks.items()
                if number not in found.values() and (track.frames >= SETTLED_FRAMES or not settled)
                if (cost := self._cost(track, square, looks[i] if looks else None, alike)) is not None
            ]
            for _, i, number in sorted(candidates):
                if i not in found and number not in found.values():
                    found[i] = number
        for i, square in enumerate(squares):
            if i in found:
                self._move(self.tracks[found[i]], square, looks[i] if looks else None)
            elif sure[i]:
                found[i], self.next = self.next, self.next + 1
                self.tracks[found[i]] = Track(found[i], square, seconds, look=looks[i] if looks else None)
        return [found.get(i) for i in range(len(squares))]

    def _cost(self, track: Track, square: Square, seen: np.ndarray | None, alike: float) -> float | None:
        """Return how unlike a face and a track are; None if they cannot be the same, or look less alike."""
        gap = self.time - track.seen
        side = (track.square.side + square.side) / 2
        distance = math.hypot(track.square.x - square.x, track.square.y - square.y) / side
        zoom = abs(math.log(track.square.side / square.side))
        if distance > min(MAX_REACH, MAX_DISTANCE + MAX_SPEED * max(0.0, gap - GAP_SECONDS)) or zoom > MAX_ZOOM:
            return None
        if seen is None or track.look is None:
            blind = seen is not None or track.look is not None
            return None if blind and (gap > self.gap or distance > MAX_BLIND_DISTANCE) else distance + zoom
        same = float((seen * track.look).sum())
        return distance + zoom + 1 - same if same >= alike else None

    def _move(self, track: Track, square: Square, seen: np.ndarray | None) -> None:
        gap = self.time - track.seen
        if gap > 0:
            missed = np.array([square.x - track.square.x, square.y - track.square.y]) / track.square.side / gap
            track.velocity = track.velocity + (1 - math.exp(-gap / SETTLE_SECONDS)) * missed
        if seen is not None:
            track.look = seen if track.look is None else _refreshed(track.look, seen)
        track.square, track.seen, track.frames = square, self.time, track.frames + 1


def _refreshed(old: np.ndarray, seen: np.ndarray) -> np.ndarray:
    share = REFRESH if float((seen * old).sum()) >= CLEAR else REFRESH_UNCLEAR
    kept = (1 - share) * old + share * seen
    return np.asarray(kept / max(float(np.linalg.norm(kept)), 1e-6))


def look(image: np.ndarray, square: Square) -> np.ndarray | None:
    """Return what a face looks like, as a few numbers whose product with another's, summed, is a correlation.

    Enough to tell two people in the same place from one frame to the next, and too little to recognise anybody.

    Args:
        image: (H, W, 3) uint8.
        square: of the face.

    Returns:
        (2, 16, 16, 3) float32 of norm 1; None for a face that is cut off by the picture's edge, which looks otherwise
        with every step.
    """
    half, (height, width) = square.side / 2, image.shape[:2]
    if min(square.x, square.y, width - square.x, height - square.y) < half:
        return None
    crop = crop_square(*surroundings(image, square._replace(side=LOOK_WIDTH * square.side)), 3 * LOOK_PX)
    inner = slice(LOOK_PX // 2, -(LOOK_PX // 2))
    # Every pixel is a mean of several, or the look would tremble with the detector's square.
    both = [cv2.resize(c, (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA) for c in (crop[inner, inner], crop)]
    small = np.stack(both).astype(np.float32)
    small -= small.mean(axis=(1, 2, 3), keepdims=True)
    small /= np.maximum(np.sqrt((small**2).sum(axis=(1, 2, 3), keepdims=True)), 1e-6)
    return small / np.float32(len(both) ** 0.5)
