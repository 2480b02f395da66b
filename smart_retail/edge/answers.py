"""What ``predict`` writes: a table to read, or JSON and CSV with the same names."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TextIO

from smart_retail.edge.prediction import PLACE, Face, Prediction
from smart_retail.errors import BrokenImageError, printable
from smart_retail.tasks import Task


class Answer(NamedTuple):
    """One face of a file, found in it or the file as a whole, or what is wrong with the file."""

    file: str
    result: Face | Prediction | BrokenImageError

    @property
    def prediction(self) -> Prediction | None:
        """What the network answers; None where there is no face."""
        if isinstance(self.result, BrokenImageError):
            return None
        return self.result.prediction if isinstance(self.result, Face) else self.result

    def to_dict(self) -> dict[str, Any]:
        """Return plain types: ``file``, and what a face or a prediction has, or ``error``."""
        known = {"error": str(self.result)} if isinstance(self.result, BrokenImageError) else self.result.to_dict()
        return {"file": self.file} | known


def write_json(files: Sequence[str], answers: Iterable[Answer], tasks: Sequence[Task], out: TextIO) -> int:
    """Write one object a line; the others write the same, and all return the number of faces.

    Args:
        files: all that are asked for.
        answers: of them.
        tasks: of the network.
        out: where to.
    """
    good = 0
    for answer in answers:
        good += answer.prediction is not None
        print(json.dumps(answer.to_dict()), file=out)
    return good


def write_csv(files: Sequence[str], answers: Iterable[Answer], tasks: Sequence[Task], out: TextIO) -> int:
    """Write a row a face; the columns have JSON's names, of which the probabilities of all classes are left out."""
    writer = csv.DictWriter(out, columns(tasks), restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    good = 0
    for answer in answers:
        good += answer.prediction is not None
        row = answer.to_dict()
        writer.writerow(row | ({"guesses": " ".join(row["guesses"])} if "guesses" in row else {}))
    return good


def columns(tasks: Sequence[Task]) -> list[str]:
    """Return the columns of the CSV."""
    parts = [(t.name, f"{t.name}_probability") if t.is_classes else (t.name, *_ends(t)) for t in tasks]
    return ["file", "face", "detector_score", *PLACE, *(name for part in parts for name in part), "guesses", "error"]


def _ends(task: Task) -> tuple[str, str]:
    return f"{task.name}_from", f"{task.name}_to"


def write_table(files: Sequence[str], answers: Iterable[Answer], tasks: Sequence[Task], out: TextIO) -> int:
    """Write aligned columns; a question mark follows what is no better than a guess."""
    width = max(4, min(40, max(len(f) for f in files)))
    widths = [max(len(task.name), *map(len, task.classes)) + 7 if task.is_classes else 17 for task in tasks]
    heads = [f"{task.name}{' interval' * (not task.is_classes)}" for task in tasks]
    print(f"{'file':{width}}  {_cells(heads, widths)}", file=out)
    good = 0
    for answer in answers:
        name = printable(answer.file)
        name = name if len(name) <= width else "..." + name[3 - width :]
        if prediction := answer.prediction:
            good += 1
            text = _cells([_words(prediction, task) for task in tasks], widths)
        else:
            text = printable(str(answer.result).removeprefix(f"{answer.file}: "))  # the name stands in front already
        print(f"{name:{width}}  {text}", file=out)
    return good


def _words(prediction: Prediction, task: Task) -> str:
    found = prediction.attributes[task.name]
    doubt = " ?" if found.is_guess else ""
    if found.probability is not None:
        return f"{found.value} {found.probability:.2f}{doubt}"
    return f"{found.value:3.0f}" + ("  {:.0f} to {:.0f}".format(*found.interval) if found.interval else "") + doubt


def _cells(words: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{word:{width}}" for word, width in zip(words, widths, strict=True)).rstrip()


WRITERS: dict[str, Callable[[Sequence[str], Iterable[Answer], Sequence[Task], TextIO], int]] = {
    "table": write_table,
    "json": write_json,
    "csv": write_csv,
}
"""By the name of the format."""
