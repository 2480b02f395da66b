"""What is learnt of a face: the tasks, their classes and their order. Class names and ranges stand here alone."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from smart_retail.errors import ConfigError

GENDERS = ("male", "female")
EMOTIONS = ("angry", "fear", "happy", "neutral", "sad", "surprise")
AGE_MIN = 0.0
"""Youngest age in years that a label or an output can have."""
AGE_MAX = 100.0
"""Oldest age in years; older labels are clipped to it and counted."""
CUMULATIVE_YEARS = 5.0
"""Error in years up to which an age counts as near: the cumulative score CS(5)."""
HALF_YEAR = 0.5
"""A whole year, as in a range of ages, is from half a year before to half a year after."""
SPLITS = ("train", "val", "test")
MAX_CLASSES = 1000
TAKEN = {
    *(
        "path",
        "file",
        "image",
        "filename",
        "picture",
        "key",
        "dataset",
        "official",
        "split",
        "race",
        "pose",
        "duplicate",
    ),
    *("cluster", "exact", "excluded", "leaks", "digest", "dhash", "ahash", "error"),
    *("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "mouth_x", "mouth_y", "crop_x", "crop_y", "crop_side"),
    *("left", "top", "right", "bottom", "x", "y", "side", "angle"),
    *("face", "detector_score", "guesses"),
    *("loss", "score", "features", "overall", "training"),
}
"""Names that columns, figures or PyTorch have already."""


@dataclass(frozen=True)
class Task:
    """One thing to learn of a face.

    Attributes:
        name: of its column in tables, of its output, of its figures.
        kind: ``classes``, of which a face has one, or ``years``, a number.
        classes: their names, in the order of the logits; none for years.
        opinions: further columns with the same classes that the answers are measured against, and never trained on.
    """

    name: str
    kind: Literal["classes", "years"] = "classes"
    classes: tuple[str, ...] = ()
    opinions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check names and classes."""
        for name in (self.name, *self.opinions):
            if not (isinstance(name, str) and name.isidentifier()) or name.startswith("_") or keyword.iskeyword(name):
                raise ConfigError(f"task {name!r}: use letters, digits and underscores, a letter first")
            if name != name.lower():
                raise ConfigError(f"task {name!r}: write it in lower case, as columns of tables are read")
            if name in TAKEN:
                raise ConfigError(f"task {name!r}: this name is taken; choose another")
        if self.kind not in ("classes", "years"):
            raise ConfigError(f"task {self.name}: kind {self.kind!r} is none of classes, years")
        if self.kind == "years" and (self.classes or self.opinions):
            raise ConfigError(f"task {self.name}: years have no classes")
        if self.kind == "classes":
            self._check_classes()

    def _check_classes(self) -> None:
        if not 2 <= len(self.classes) <= MAX_CLASSES:
            raise ConfigError(
                f"task {self.name}: {len(self.classes)} classes, not 2 to {MAX_CLASSES}; "
                "name them as {classes: [no, yes]}"
            )
        for name in self.classes:
            # YAML reads `no` and `yes` as false and true.
            if not isinstance(name, str) or not name.isprintable() or not name or name != name.strip().lower():
                raise ConfigError(
                    f"task {self.name}: class {name!r} is no name in lower case (in YAML, 'yes', 'no' and numbers "
                    "need quotation marks)"
                )
        if numbers := [name for name in self.classes if name.removesuffix(".0").isdecimal()]:
            # A table may give a class by its number.
            raise ConfigError(f"task {self.name}: class {numbers[0]!r} is a number; give it a name")
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"task {self.name}: two of its classes have one name: {', '.join(self.classes)}")

    @property
    def is_classes(self) -> bool:
        """Whether a face has one of several classes."""
        return self.kind == "classes"

    @property
    def width(self) -> int:
        """Number of probabilities that tell what is said of a face: one a class, or one a year."""
        return len(self.classes) if self.is_classes else int(AGE_MAX - AGE_MIN) + 1

    @property
    def metric(self) -> str:
        """Name of the figure that tells most: accuracy of classes, mean absolute error of years."""
        return f"{self.name}_acc" if self.is_classes else f"{self.name}_mae"

    @property
    def range_columns(self) -> tuple[str, str]:
        """Columns with the ends of years that are a range, both inside."""
        return f"{self.name}_low", f"{self.name}_high"

    @property
    def vote_columns(self) -> tuple[str, ...]:
        """Columns with the shares of people's votes, a class each."""
        return tuple(f"{self.name}_votes_{name}" for name in self.classes)

    @property
    def range_labels(self) -> str:
        """Name of labels that are ranges of years, see ``data.labels``."""
        return f"{self.name}_range"

    @property
    def vote_labels(self) -> str:
        """Name of labels that are votes."""
        return f"{self.name}_votes"

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, fit for JSON and for safe checkpoints."""
        if not self.is_classes:
            return {"name": self.name, "kind": self.kind}
        return {"name": self.name, "kind": self.kind, "classes": list(self.classes), "opinions": list(self.opinions)}


GENDER = Task("gender", classes=GENDERS)
AGE = Task("age", "years")
OPINIONS = {"emotion_crowd": "crowd's majority", "emotion_original": "FER2013's labels"}
"""Columns that emotions are also measured against, and whose opinion that is."""
EMOTION = Task("emotion", classes=EMOTIONS, opinions=tuple(OPINIONS))
TASKS = (GENDER, AGE, EMOTION)
"""What is learnt where no config says otherwise."""


def task_of(values: Mapping[str, Any]) -> Task:
    """Read what ``Task.to_dict`` wrote.

    Raises:
        ConfigError: it is no task.
    """
    if not isinstance(values, Mapping) or not {"name"} <= set(values) <= {"name", "kind", "classes", "opinions"}:
        raise ConfigError(f"{str(values)[:80]!r} is no task")
    classes, opinions = values.get("classes", ()), values.get("opinions", ())
    if not isinstance(classes, list | tuple) or not isinstance(opinions, list | tuple):
        raise ConfigError(f"task {str(values['name'])[:40]!r}: classes and opinions are lists of names")
    return Task(values["name"], values.get("kind", "classes"), tuple(classes), tuple(opinions))


def tasks_of(settings: Mapping[str, Any] | None) -> tuple[Task, ...]:
    """Return the default tasks with those of a config: ``{glasses: {classes: [none, sunglasses]}, emotion: null}``.

    Args:
        settings: name of a task to its ``classes`` (and ``opinions``), or to ``{kind: years}``; null leaves a default
            task out.

    Raises:
        ConfigError: a task cannot be, or none is left.
    """
    found = {task.name: task for task in TASKS}
    for name, values in (settings or {}).items():
        if values is None:
            if found.pop(name, None) is None:
                raise ConfigError(f"data.tasks.{name} is null, but there is no such task to leave out")
            continue
        if not isinstance(values, Mapping):
            raise ConfigError(f"data.tasks.{name} is {str(values)[:80]!r}; write {{classes: [no, yes]}}")
        found[name] = task_of({"name": name, **values})
    return checked(found.values())


def chosen(tasks: Sequence[Task], names: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks of these names, in their own order.

    Raises:
        ConfigError: some do not exist, or none is named.
    """
    names = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in dict.fromkeys(names) if name not in {task.name for task in tasks}]
    if unknown or not names:
        known = ", ".join(task.name for task in tasks)
        raise ConfigError(f"--tasks {' '.join(map(str, unknown)) or 'without a name'}: this network knows {known}")
    return tuple(task for task in tasks if task.name in names)


def checked(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Return tasks that can be learnt together.

    Raises:
        ConfigError: there is none, or two share a name.
    """
    tasks = tuple(tasks)
    names = [task.name for task in tasks]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"tasks {', '.join(names) or 'none'}: there must be one at least, each of its own name")
    for task in tasks:
        ends = {*task.range_columns, *task.vote_columns}
        if odd := {*ends, f"{task.name}_balanced"} & set(names):
            raise ConfigError(f"task {min(odd)}: a column or figure of that name belongs to {task.name}")
    owners: dict[str, Task] = {}
    for task in tasks:
        for column in (task.name, *task.opinions):
            other = owners.setdefault(column, task)
            if other.classes != task.classes:
                raise ConfigError(f"tasks {other.name} and {task.name} have other classes for one column, {column}")
    # A column with a head of its own is measured there, and no opinion any more.
    return tuple(replace(task, opinions=tuple(o for o in task.opinions if o not in names)) for task in tasks)
