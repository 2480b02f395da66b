"""Videos of so many real faces a frame: ``python -m tests.helpers.camera_load DATA FAIRFACE DETECTOR FOLDER``.

Written are ``720-0.mp4`` to ``1080-10.mp4``: people who stand in a drawn shop and sway, 4 seconds at 15 frames a second
with the noise of a sensor, and ``720-5.mp4`` has five faces in each frame. Never commit them: they show people.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from smart_retail.data.images import read_image
from smart_retail.edge.detector import FaceDetector
from tests.helpers.crowd_video import HEIGHT, RATE, WIDTH, paste, people, shop

COUNTS, HEIGHTS = (0, 1, 2, 5, 10), (720, 1080)
FRAMES = 4 * RATE
COLUMNS = 5
SMALLEST, LARGEST = 130, 280
"""Heights of the photos in 1280 x 720, of which the network's square is about half."""


def write(path: Path, photos: Sequence[np.ndarray], height: int) -> None:
    """Write a video of all the photos, at (16 / 9 height, height) pixels."""
    random = np.random.default_rng(0)
    wall, scale = shop(random)[:HEIGHT, :WIDTH], height / HEIGHT
    size, heights = (round(WIDTH * scale), height), random.uniform(SMALLEST, LARGEST, len(photos))
    noise = [random.normal(0, 4, (*size[::-1], 3)).astype(np.int16) for _ in range(4)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, size)
    for i in range(FRAMES):
        scene = cv2.resize(wall, size)
        for n, photo in enumerate(photos):
            x = (n % COLUMNS + 0.5) * WIDTH / COLUMNS + 8 * np.sin(0.2 * i + n)
            y = HEIGHT / 4 + (n // COLUMNS) * HEIGHT / 2 + 4 * np.cos(0.3 * i + n)
            paste(scene, photo, scale * x, scale * y, scale * heights[n])
        noisy = np.clip(cv2.add(scene.astype(np.int16), noise[i % 4]), 0, 255).astype(np.uint8)
        writer.write(cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR))
    writer.release()


if __name__ == "__main__":
    data, fairface, model, folder = map(Path, sys.argv[1:5])
    chosen = people(data, fairface, FaceDetector(model, min_score=0.6), seed=18)
    photos = [read_image(person.file) for person in chosen]
    folder.mkdir(parents=True, exist_ok=True)
    for height in HEIGHTS:
        for count in COUNTS:
            write(folder / f"{height}-{count}.mp4", photos[:count], height)
