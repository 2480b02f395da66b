"""The real data sets' on-disk formats with their quirks, in small."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smart_retail.tasks import EMOTIONS
from tests.helpers.pictures import drawn_face, truncate, write_face, write_image

MALFORMED_UTKFACE = (
    "39_1_20170116174525125.jpg.chip.jpg",
    "61_1_20170109142408075.jpg.chip.jpg",
    "61_1_20170109150557335.jpg.chip.jpg",
    "53__0_20170116184028385.jpg.chip.jpg",
)
"""A field is missing."""
ODD_UTKFACE = (
    "14_0_0_2017011022340900.jpg.chip.jpg",
    "28_1_2_201701161846515488.jpg.chip.jpg",
    "38_0_1_201701162330572788.jpg.chip.jpg",
    "24_0_1_20170116220224657 .jpg.chip.jpg",
    "55_0_0_20160116232725357jpg.chip.jpg",
    "44_1_4_20170116235150272.pg.chip.jpg",
)
"""Only the time stamp or the ending is odd."""


def write_fer2013(
    root: Path, per_class: int = 3, *, private: bool = True, disgust: int = 2, duplicates: int = 1, broken: int = 0
) -> Path:
    """Write Kaggle's FER2013: grey 48 px JPEGs, class folders, the official split in the names.

    Besides: ``disgust`` training faces of a class that is not ours, one black training image, the
    first ``duplicates`` happy training faces once more among the happy PublicTest ones, and ``broken``
    truncated training files.
    """
    number = 0
    parts = [("train", "Training"), ("test", "PublicTest"), *([("test", "PrivateTest")] if private else [])]
    for half, prefix in parts:
        for emotion, name in enumerate(EMOTIONS):
            for _ in range(per_class):
                write_face(root / half / name / f"{prefix}_{number}.jpg", number, grey=True, emotion=emotion)
                number += 1
    for i in range(disgust):
        write_face(root / "train" / "disgust" / f"Training_{900 + i}.jpg", 900 + i, grey=True)
    write_image(root / "train" / "sad" / "Training_990.jpg", np.zeros((48, 48), np.uint8))
    for i, path in enumerate(sorted((root / "train" / "happy").iterdir())[:duplicates]):
        shutil.copy(path, root / "test" / "happy" / f"PublicTest_{800 + i}.jpg")
    for i in range(broken):
        truncate(write_face(root / "train" / "fear" / f"Training_{700 + i}.jpg", 700 + i, grey=True))
    return root


def write_utkface(root: Path, count: int = 8, *, contradictory: int = 1) -> Path:
    """Write Kaggle's UTKFace: labels in the names, odd names, and every face again in the copies.

    ``contradictory`` faces appear once more with an age ten years higher.
    """
    folder = root / "UTKFace"
    for i in range(count):
        age, gender, race = 5 + 7 * i % 90, i % 2, i % 5
        path = write_face(folder / f"{age}_{gender}_{race}_2017{i:013d}.jpg.chip.jpg", 2000 + i, 64, age=age)
        if i < contradictory:
            shutil.copy(path, folder / f"{age + 10}_{gender}_{race}_2018{i:013d}.jpg.chip.jpg")
    for i, name in enumerate(MALFORMED_UTKFACE + ODD_UTKFACE):
        write_face(folder / name, 2500 + i, 64)
    shutil.copytree(folder, root / "utkface_aligned_cropped" / "UTKFace")
    for copy in ("crop_part1", "utkface_aligned_cropped/crop_part1"):
        (root / copy).mkdir(parents=True)
        for path in sorted(folder.iterdir())[: count // 2]:
            shutil.copy(path, root / copy / path.name)
    return root


def face_points(left_eye: Sequence[float], right_eye: Sequence[float], mouth: Sequence[float]) -> np.ndarray:
    """Return (49, 2) landmarks whose eye and mouth points are centred where told, the rest anywhere."""
    points = np.random.default_rng(0).uniform(1, 90, (49, 2))
    for rows, centre, radius in (
        (slice(19, 25), left_eye, 3),
        (slice(25, 31), right_eye, 3),
        (slice(31, 49), mouth, 6),
    ):
        turn = np.arange(rows.stop - rows.start) / (rows.stop - rows.start) * 2 * np.pi
        points[rows] = np.asarray(centre) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return points


def write_points(path: Path, points: np.ndarray) -> Path:
    """Write landmarks, one ``x y`` a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{x:.6f} {y:.6f}\n" for x, y in points))
    return path


def write_all_age_faces(root: Path, count: int = 8) -> Path:
    """Write Kaggle's All-Age-Faces: serial number and age in the name, landmarks, the authors' lists.

    The first half is female (serial numbers to 07380), the second male; their lists write the
    opposite code of ours. Besides: ``07000A30.jpg`` without landmarks, ``07001A31.jpg`` with one
    landmark too few, ``07002A32.jpg`` with words for numbers, and a file that is no face.
    """
    base = root / "All-Age-Faces Dataset"
    images, points = base / "original images", base / "key points"
    lists: dict[str, list[str]] = {"train": [], "val": []}
    for i in range(count):
        female = i < count // 2
        serial = i if female else 7381 + i
        name = f"{serial:05d}A{10 + 5 * i % 70:02d}"
        frame = np.full((96, 128, 3), 90, np.uint8)
        frame[16:80, 32:96] = drawn_face(4000 + i, 64, gender=int(female))
        write_image(images / f"{name}.jpg", frame)
        write_points(points / f"{name}.txt", face_points((54, 46), (74, 46), (64, 64)))
        lists["train" if i % 2 else "val"].append(f"{name}.jpg {0 if female else 1}")
    good = face_points((54, 46), (74, 46), (64, 64))
    for i, name in enumerate(("07000A30", "07001A31", "07002A32")):
        write_face(images / f"{name}.jpg", 4500 + i, 64)
    write_points(points / "07001A31.txt", good[:48])
    (points / "07002A32.txt").write_text("x y\n" * 49)
    (images / "Thumbs.db").write_bytes(b"no picture")
    (base / "image sets").mkdir()
    for split, lines in lists.items():
        (base / "image sets" / f"{split}.txt").write_text("\n".join(lines) + "\n")
    (base / "aglined faces").mkdir()
    return root


FAIRFACE_AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
FAIRFACE_RACES = ("White", "East Asian", "Latino_Hispanic", "Black", "Indian", "Middle Eastern", "Southeast Asian")


def write_fairface(root: Path, train: int = 9, val: int = 4, *, folder: str = "", side: int = 224) -> Path:
    """Write the authors' FairFace: two lists, images below ``train`` and ``val``, a training file that is missing.

    Men and women take turns. The images lie in ``folder`` below ``root`` and have ``side`` pixels.
    """
    for split, count in (("train", train), ("val", val)):
        lines = ["file,age,gender,race,service_test"]
        for i in range(count):
            age, race = FAIRFACE_AGES[i % len(FAIRFACE_AGES)], FAIRFACE_RACES[i % len(FAIRFACE_RACES)]
            write_face(root / folder / split / f"{i + 1}.jpg", 7000 + 100 * (split == "val") + i, side, gender=i % 2)
            lines.append(f"{split}/{i + 1}.jpg,{age},{'Female' if i % 2 else 'Male'},{race},{i % 3 == 0}")
        if split == "train":
            lines.append(f"train/{train + 1}.jpg,20-29,Male,White,False")
        (root / f"fairface_label_{split}.csv").write_text("\n".join(lines) + "\n")
    return root


def write_class_folders(root: Path, counts: Mapping[str, int]) -> Path:
    """Write a folder for each class with so many drawn faces."""
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            write_face(root / name / f"{i}.jpg", 8000 + 50 * number + i)
    return root


def write_table(folder: Path, text: str, pictures: Sequence[str] = ()) -> Path:
    """Write ``faces.csv`` and a drawn face for each of ``pictures``."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(pictures):
        write_face(folder / name, 6000 + i, 64)
    table = folder / "faces.csv"
    table.write_text(text)
    return table
