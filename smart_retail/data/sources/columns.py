"""Which column of somebody's table is which of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smart_retail.data.crops import LANDMARKS
from smart_retail.data.sources.place_columns import BOX, FORMS, ONE_COLUMN, Places, find_places, key_of, point_of
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import Task

PATHS: tuple[str, ...] = (
    "filepath",
    "file",
    "filename",
    "imagepath",
    "imgpath",
    "image",
    "img",
    "imagefile",
    "imgfile",
    "imagename",
)
PATHS += ("imgname", "picture", "picturepath", "photo", "photopath", "facepath", "facefile", "relativepath", "relpath")
WORDS = {
    "path": PATHS,
    "split": ("splits", "partition", "subset", "usage", "set", "phase"),
    "race": ("ethnicity",),
    "gender": ("sex",),
    "age": ("ageyears", "ageinyears", "agegroup", "agerange", "agebucket", "ageclass"),
    "emotion": ("expression", "facialexpression"),
}
"""Our columns, and what they may be called besides; as ``key_of`` writes names."""
RANGES = {"low": ("min", "from", "lower", "lo"), "high": ("max", "to", "upper", "hi")}
HAS = {"male": "male", "ismale": "male", "female": "female", "isfemale": "female"}
"""Columns that say of one gender whether it is so."""
NEAR = 0.75
NAMED = 20
"""Columns that a message names."""


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns.

    Attributes:
        ours: our name to the table's, for paths, splits, race and labels.
        gender_of: the gender whose yes or no the column of genders holds; "" where it holds genders.
        places: those that tell where faces lie.
        notes: what a person should know: columns under other names, and columns that are not used.
        wrong: why the table cannot be read.
    """

    ours: Mapping[str, str]
    gender_of: str
    places: Places
    notes: list[str]
    wrong: list[str]


def find_columns(
    names: Sequence[str], spelling: Sequence[str], tasks: Sequence[Task], given: Mapping[str, str | None], file: Path
) -> Columns:
    """Find our columns in a table.

    Args:
        names: of the table's columns, in lower case.
        spelling: the same as the table writes them.
        tasks: whose labels are wanted.
        given: by a config: name in the table to ours (or the other way round), or to None for what is not to be used.
        file: the table, for messages.

    Raises:
        ConfigError: ``given`` names what there is not.
        DataError: there is no column of paths, or several, or no label, or only a part of a box.
    """
    wanted = _wanted(tasks)
    goes_by = _renamed(names, spelling, wanted, given, file)
    known: dict[str, str] = {}  # key of the name that a column goes by, to its name in the table
    for theirs in sorted(goes_by, key=lambda name: goes_by[name] == name):  # those that the config names first
        known.setdefault(key_of(goes_by[theirs]), theirs)
    found: dict[str, str] = {}
    for ours, words in wanted.items():
        there = [key for key in (key_of(ours), *words) if key in known]
        if ours == "path" and len(there) > 1 and there[0] != "path":
            several = " and ".join(known[key] for key in there)
            one = f"columns: {{{known[there[0]]}: path}}"
            raise DataError(f"{file}: {several} could each be the column of paths; say which one is: {one}")
        if there:
            found[ours] = known.pop(there[0])
    gender_of = ""
    if "gender" in wanted and "gender" not in found and (key := next((key for key in HAS if key in known), "")):
        found["gender"], gender_of = known.pop(key), HAS[key]
    shown = dict(zip(names, spelling, strict=True))
    places = find_places(known)
    left = [name for name in goes_by if name not in {*found.values(), *places.columns}]
    lost = sorted(set(wanted) - set(found), key=list(wanted).index)
    hints = {name: _near(goes_by[name], lost) for name in left}
    wrong = _wrong(found, places, tasks, {shown[name]: hint for name, hint in hints.items()})
    if "path" not in found:
        raise DataError(f"{file}: {'; '.join(wrong)}")
    read = [f"{shown[theirs]} as {ours}" for ours, theirs in found.items() if goes_by[theirs] != ours]
    if places.columns and places.columns not in (BOX, tuple(LANDMARKS)):
        read += [f"{', '.join(shown[name] for name in names)} as {what}" for what, names in places.told]
    notes = [f"read {'; '.join(read)}"] if read else []
    if left:
        told = [f"{shown[name]}{f' (near it: {hints[name]})' if hints[name] else ''}" for name in left[:NAMED]]
        notes.append(f"columns that are not used: {', '.join(told)}{', ...' if len(left) > NAMED else ''}")
    return Columns(found, gender_of, places, notes, wrong)


def path_column(names: Sequence[str], file: Path) -> str:
    """Return the one of a table's columns that names the image files.

    Raises:
        DataError: there is none, or there are several without one called ``path``.
    """
    known = {key_of(name): name for name in reversed(names)}
    there = [known[key] for key in ("path", *PATHS) if key in known]
    if not there:
        raise DataError(f"{file}: no column `path` (or file, image, filename, ...); it has {_some(names)}")
    if len(there) > 1 and there[0] != "path":
        raise DataError(f"{file}: {' and '.join(there)} could each be the column of paths; call one of them `path`")
    return there[0]


def _wanted(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Return the names of our columns with the keys of other names."""
    found: dict[str, list[str]] = {name: list(WORDS[name]) for name in ("path", "split", "race")}
    for task in tasks:
        words = WORDS.get(task.name, ())
        found[task.name] = [*words, *(f"{word}{end}" for word in (key_of(task.name),) for end in ("label", "class"))]
        for name in (*task.opinions, *task.vote_columns):
            found[name] = []
        if not task.is_classes:
            for end, column in zip(RANGES, task.range_columns, strict=True):
                key = key_of(task.name)
                found[column] = [made for word in RANGES[end] for made in (f"{key}{word}", f"{word}{key}")]
    return found


def _renamed(
    names: Sequence[str], spelling: Sequence[str], wanted: Iterable[str], given: Mapping[str, str | None], file: Path
) -> dict[str, str]:
    """Return the name that each column goes by, of those that are to be used.

    Raises:
        ConfigError: ``given`` names no column of the table, or none of ours.
    """
    goes_by = dict(zip(names, names, strict=True))
    keys = {key_of(name): name for name in reversed(names)}
    for left, right in given.items():
        theirs = keys.get(key_of(str(left)))
        ours = None if right is None else str(right)
        if theirs is None and ours is not None and key_of(ours) in keys and _is_ours(str(left), wanted):
            # It is meant the other way round.
            theirs, ours = keys[key_of(ours)], str(left)
        if theirs is None:
            near = difflib.get_close_matches(str(left).lower(), names, 1, NEAR)
            raise ConfigError(
                f"columns: {file} has no column {left}"
                + (f"; near it: {near[0]}" if near else f"; it has {_some(spelling)}")
            )
        if ours is None:
            goes_by.pop(theirs, None)
            continue
        if not _is_ours(ours, wanted):
            near = [name for name in [_near(ours, [*wanted, *BOX])] if name]
            raise ConfigError(
                f"columns: {left} is to be {ours}, which is no column of ours"
                + (f"; near it: {near[0]}" if near else f"; there are {_some([*wanted, *BOX, 'bbox', *LANDMARKS])}")
            )
        goes_by[theirs] = ours
    return goes_by


def _is_ours(name: str, wanted: Iterable[str]) -> bool:
    key = key_of(name)
    places = {part for form in FORMS for part in form} | set(ONE_COLUMN)
    return key in {*map(key_of, wanted), *HAS} | places or point_of(key) is not None


def _near(name: str, ours: Sequence[str]) -> str:
    """Return the column of ours that a name is nearly; "" if none."""
    words = {word: column for column in ours for word in (key_of(column), *WORDS.get(column, ()))}
    near = difflib.get_close_matches(key_of(name), words, 1, NEAR)
    return words[near[0]] if near else ""


def _wrong(found: Mapping[str, str], places: Places, tasks: Sequence[Task], left: Mapping[str, str]) -> list[str]:
    """Return why a table with these columns cannot be read; ``left`` are those not used, and what they are near to."""
    near = [f"{name} (near it: {hint})" for name, hint in left.items() if hint]
    there = f"; it has {', '.join(near) if near else _some(list(left))}" if left else ""
    wrong = []
    if "path" not in found:
        wrong.append(
            f"no column `path` (or file, image, filename, ...){there}; name it in the source's "
            "`columns: {theirs: path}`"
        )
    labels = {name for task in tasks for name in (task.name, *task.range_columns, *task.vote_columns, *task.opinions)}
    if not labels & set(found):
        named = [name for task in tasks for name in (task.name, *(() if task.is_classes else task.range_columns))]
        wrong.append(
            f"none of the label columns {', '.join(named)} is there{there}; name them in the source's "
            "`columns: {theirs: gender}`"
        )
    if places.partial:
        first, names = places.missing[0], ", ".join(places.partial)
        like = difflib.get_close_matches(first, left, 1, 0.6)
        wrong.append(
            f"columns {names} are a part of a face's place, and {', '.join(places.missing)} is missing"
            + (f"; is {like[0]} meant? Then `columns: {{{like[0]}: {first}}}`" if like else "")
            + f"; where they are something else, `columns: {{{', '.join(f'{name}: null' for name in places.partial)}}}`"
        )
    return wrong


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED])[:300] + (", ..." if len(names) > NAMED else "")
