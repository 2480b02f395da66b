"""A video of real people who come and leave, made of still photos.

``python -m tests.helpers.crowd_video DATA FAIRFACE DETECTOR OUT.mp4 [SEED]`` writes it.

The first eight are photos that a camera pans and zooms over, one after the other with hard cuts, so that a face stands
where another one stood a frame before; some begin or end cut off by the frame's edge. The other ten walk through a
drawn shop, up to four at a time and one behind the other, while the camera pans and zooms; the last two take turns
at one place. Never commit what it writes: it shows people.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from smart_retail.data.crops import TURNED_RATIO
from smart_retail.data.images import read_image
from smart_retail.edge.detector import FaceDetector

WIDTH, HEIGHT, SHRUNK, RATE = 1280, 720, 0.75, 15
"""The scene is drawn for 1280 by 720 pixels, and seen in 960 by 540, 15 times a second."""
SIZE = (round(SHRUNK * WIDTH), round(SHRUNK * HEIGHT))
PEOPLE, YOUNGEST = 18, 10
LAST_WOMAN = 7380
"""Serial numbers of All-Age-Faces up to this one are women."""
STILLS, STILL_SECONDS = 8, 2.5
WALKERS, WALK_SECONDS, EVERY_SECONDS = 8, 8.0, 2.5
TURNS_SECONDS = 4.0


class Person(NamedTuple):
    """A photo of one person and its labels: gender, and youngest and oldest years."""

    file: Path
    gender: str
    ages: tuple[int, int]


def people(data: Path, fairface: Path, detector: FaceDetector, seed: int) -> list[Person]:
    """Return eight people of FairFace (natural photos) and ten of All-Age-Faces, half of each gender, of all ages.

    Chosen by chance among photos with one face that does not look aside; what the network says of them plays no part.
    """
    random = np.random.default_rng(seed)
    natural: list[Person] = []
    with (fairface / "labels.csv").open() as table:
        for row in csv.DictReader(table):
            low, high = (int(n) for n in row["age"].replace("70+", "70-99").replace("more than 70", "70-99").split("-"))
            natural.append(Person(fairface / row["file"], row["gender"], (low, high)))
    portraits = [
        Person(file, "female" if int(file.name[:5]) <= LAST_WOMAN else "male", (int(file.name[6:8]),) * 2)
        for file in sorted((data / "all-age-face-dataset/All-Age-Faces Dataset/original images").glob("*A*.jpg"))
    ]
    chosen = []
    for kind, count in ((natural, STILLS), (portraits, PEOPLE - STILLS)):
        order = [kind[i] for i in random.permutation(len(kind)) if kind[i].ages[0] >= YOUNGEST]
        women, men = (iter([p for p in order if p.gender == gender]) for gender in ("female", "male"))
        each = [islice((p for p in some if _is_plain(p, detector)), count // 2) for some in (women, men)]
        chosen += chain(*zip(*each, strict=True))
    return chosen


def _is_plain(person: Person, detector: FaceDetector) -> bool:
    faces = detector.detect(read_image(person.file))
    if len(faces) != 1 or faces[0].landmarks is None:
        return False
    left, right, mouth = map(np.asarray, faces[0].landmarks)
    return bool(np.hypot(*((left + right) / 2 - mouth)) < TURNED_RATIO * np.hypot(*(left - right)))


def stills(persons: list[Person]) -> Iterator[np.ndarray]:
    """Yield the frames of a camera that pans and zooms over photos."""
    for number, person in enumerate(persons):
        photo = read_image(person.file)
        fit = HEIGHT / photo.shape[0]
        for i in range(round(STILL_SECONDS * RATE)):
            t = i / (STILL_SECONDS * RATE)
            zoom = fit * (0.8 + 0.5 * (t if number % 2 else 1 - t))
            # Every third photo starts or ends half out of the frame.
            away = {1: 1 - t, 2: t}.get(number % 3, 0.15 * np.sin(6 * t)) ** 3
            x = photo.shape[1] / 2 + (-1) ** number * away * 0.75 * WIDTH / zoom
            y = photo.shape[0] / 2 + 10 * np.cos(5 * t + number)
            view = np.array([[zoom, 0, WIDTH / 2 - zoom * x], [0, zoom, HEIGHT / 2 - zoom * y]])
            blank = np.full((*SIZE[::-1], 3), 60 + 10 * number, np.uint8)
            yield cv2.warpAffine(photo, SHRUNK * view, SIZE, blank, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT)


def shop(random: np.random.Generator) -> np.ndarray:
    """Return a drawn wall of shelves, larger than the frame."""
    wall = np.full((HEIGHT + 400, WIDTH + 800, 3), 170, np.uint8)
    for y in range(20, wall.shape[0], 110):
        for x in range(0, wall.shape[1], 60):
            size = random.integers(25, 55)
            colour = tuple(int(c) for c in random.integers(30, 230, 3))
            cv2.rectangle(wall, (x, y + 80 - int(size)), (x + int(size), y + 80), colour, -1)
        cv2.rectangle(wall, (0, y + 82), (wall.shape[1], y + 90), (90, 70, 50), -1)
    return wall


def paste(scene: np.ndarray, photo: np.ndarray, x: float, y: float, size: float) -> None:
    """Put a photo's middle, cut out as an ellipse, into a scene at a centre and a height in pixels."""
    scale = size / photo.shape[0]
    mask = np.zeros(photo.shape[:2], np.uint8)
    tall, wide = photo.shape[:2]
    cv2.ellipse(mask, (wide // 2, tall // 2), (wide * 46 // 100, tall // 2), 0, 0, 360, 255, -1)
    place = np.array([[scale, 0, x - scale * photo.shape[1] / 2], [0, scale, y - size / 2]])
    whole = scene.shape[1::-1]
    put, soft = cv2.warpAffine(photo, place, whole), cv2.warpAffine(cv2.blur(mask, (9, 9)), place, whole)
    left, top, width, height = cv2.boundingRect(soft)
    part = np.s_[top : top + height, left : left + width]
    share = soft[part][..., None].astype(np.float32) / 255
    scene[part] = (scene[part] * (1 - share) + put[part] * share).astype(np.uint8)


def walkers(persons: list[Person]) -> Iterator[np.ndarray]:
    """Yield the frames of people who walk through a shop, and of two who take turns at one place."""
    random = np.random.default_rng(5)
    wall, photos = shop(random), [read_image(p.file) for p in persons]
    heights = random.uniform(170, 300, WALKERS)
    last = (WALKERS - 1) * EVERY_SECONDS + WALK_SECONDS
    for i in range(round((last + 2 * TURNS_SECONDS) * RATE)):
        t, scene = i / RATE, wall.copy()
        # Who is nearer, and larger, walks in front.
        for n in np.argsort(heights):
            gone = (t - n * EVERY_SECONDS) / WALK_SECONDS
            if 0 <= gone <= 1:
                across = gone if n % 2 else 1 - gone
                bob = 6 * np.sin(9 * t + n)
                paste(scene, photos[n], 250 + across * (WIDTH + 300), 480 + 40 * (n % 3) + bob, heights[n])
        if t >= last:
            turn = int((t - last) // TURNS_SECONDS)
            paste(scene, photos[WALKERS + turn], 1000 + 4 * np.sin(3 * t), 500 + 3 * np.cos(4 * t), 260)
        zoom, x, y = 1 + 0.12 * np.sin(0.5 * t), 1040 + 110 * np.sin(0.7 * t), 560 + 25 * np.cos(0.9 * t)
        view = np.array([[zoom, 0, WIDTH / 2 - zoom * x], [0, zoom, HEIGHT / 2 - zoom * y]])
        yield cv2.warpAffine(scene, SHRUNK * view, SIZE, flags=cv2.INTER_LINEAR)


def write_video(data: Path, fairface: Path, model: Path, output: Path, seed: int = 18) -> list[Person]:
    """Write the video, and beside it the labels of its people in the order in which they come, as JSON."""
    random, persons = np.random.default_rng(0), people(data, fairface, FaceDetector(model, min_score=0.6), seed)
    writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), RATE, SIZE)
    noise = [random.normal(0, 4, (*SIZE[::-1], 3)).astype(np.int16) for _ in range(4)]
    for i, frame in enumerate(chain(stills(persons[:STILLS]), walkers(persons[STILLS:]))):
        noisy = cv2.add(frame.astype(np.int16), noise[i % 4])
        writer.write(cv2.cvtColor(np.clip(noisy, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR))
    writer.release()
    labels = [{"file": p.file.name, "gender": p.gender, "ages": p.ages} for p in persons]
    output.with_suffix(".json").write_text(json.dumps(labels))
    return persons


if __name__ == "__main__":
    write_video(*map(Path, sys.argv[1:5]), *map(int, sys.argv[5:]))
