"""A folder a class: the layout in which RAF-DB, AffectNet and many others lie on Kaggle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smart_retail.data.image_files import HEIC, look
from smart_retail.data.sources.ages import parse_age
from smart_retail.data.sources.base import Listing, Source, make_listing
from smart_retail.data.sources.table import check_name
from smart_retail.data.sources.vocabulary import MEANING, PARTS
from smart_retail.errors import ConfigError, DataError, printable
from smart_retail.tasks import TASKS, Task


@dataclass
class FaceFolder(Source):
    """Face crops in a folder for each class, maybe below ``train``, ``val`` and ``test``, which become the split.

    Without ``classes`` the folders that are called as our classes are taken, whatever their case, and common other
    words (happiness, anger, woman); for ages the folders that are a number of years or a range ("20-29"). All
    others, as disgust and contempt, are counted out by name, and so are files that are no images or lie elsewhere
    than directly in the folder of a class.

    Args:
        root: folder of the classes, or of train and test.
        task: what the folders tell: emotion, gender, age, or a task of one's own.
        classes: name of a folder to the name of its class, for folders that are numbers; others are counted out.
        name: name of the data set in tables and metrics.
        terms: under what terms the images may be used; goes into the model card.
    """

    root: str
    task: str
    classes: Mapping[str | int, str | int] | None = None
    name: str = "folder"
    terms: str = "not stated"

    def __post_init__(self) -> None:
        """Check the name."""
        check_name(self.name)

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces. See ``Source.load``."""
        task = self._task(tasks)
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise DataError(f"root {root} is not a folder; set the source's `root` to the one of the class folders")
        top = _folders(root)
        parts = [(PARTS[part.name.lower()], part) for part in top if part.name.lower() in PARTS]
        holders = [root, *(part for _, part in parts)]  # of folders, and not of faces
        skipped = Counter({"in no class folder": sum(_files(folder) for folder in holders)})
        if parts:
            skipped.update({f"folder {printable(f.name)}": _count(f) for f in top if f.name.lower() not in PARTS})
        folders = [(split, folder) for split, part in parts or [("", root)] for folder in _folders(part)]
        labels = {folder.name: self._label_of(folder.name, task) for _, folder in folders}
        lost = {str(name) for name in self.classes or {}} - set(labels)
        if lost or not any(labels.values()):
            found = printable(", ".join(sorted(labels)))[:300] or "none"
            what = (
                f"no folder {printable(', '.join(sorted(lost)))} of `classes`"
                if lost
                else "no folder is one of our classes"
            )
            raise DataError(
                f"{root}: {what}; folders there: {found}; our classes: {_choice(task)}. Name them in the "
                "source's `classes`: {folder: class}, and in `root` the folder that holds them"
            )
        rows: list[dict[str, Any]] = []
        for split, folder in folders:
            label = labels[folder.name]
            if label is None:
                skipped[f"class {printable(folder.name)} is none of ours"] += _count(folder)
                continue
            for path in sorted(folder.iterdir()):
                if path.is_dir():
                    skipped["in a folder inside a class folder"] += _count(path)
                    continue
                if why := look(path):
                    skipped[HEIC if why == HEIC else "no image file"] += 1
                    continue
                key = f"{self.name}/{path.relative_to(root).as_posix()}"
                rows.append({"path": str(path), "key": key, "official": split} | label)
        return make_listing(self.name, rows, +skipped, f"{self.name}: {self.terms}", tasks)

    def _task(self, tasks: Sequence[Task]) -> Task:
        """Return the task that the folders tell.

        Raises:
            ConfigError: the network has none of that name, or a class is none of its own.
        """
        named = {task.name: task for task in tasks}
        if self.task not in named:
            raise ConfigError(f"FaceFolder task {self.task!r} is none of {', '.join(named)} (data.tasks)")
        for folder, name in (self.classes or {}).items():
            if _label(str(name), named[self.task]) is None:
                raise ConfigError(
                    f"FaceFolder classes: {folder} is {name!r}, which is none of {_choice(named[self.task])}"
                )
        return named[self.task]

    def _label_of(self, folder: str, task: Task) -> dict[str, Any] | None:
        """Return the columns that a folder's name stands for, None for a class that is none of ours."""
        if self.classes is None:
            return _label(folder, task)
        given = {str(name): str(of) for name, of in self.classes.items()}
        return _label(given[folder], task) if folder in given else None


def _label(name: str, task: Task) -> dict[str, Any] | None:
    """Return the columns that the name of a class stands for."""
    if not task.is_classes:
        try:
            return dict(zip((task.name, *task.range_columns), parse_age(name), strict=True))
        except ValueError:
            return None
    word = name.strip().lower()
    meaning = word if word in task.classes else MEANING.get(word, "")
    return {task.name: meaning} if meaning in task.classes else None


def _choice(task: Task) -> str:
    return ", ".join(task.classes) if task.is_classes else "ages as 25, 20-29, 70+"


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.iterdir())


def _count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))
