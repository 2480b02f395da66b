"""Which column of somebody's table is which of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from smart_retail.data.crops import LANDMARKS
from smart_retail.data.image_files import USUAL
from smart_retail.data.sources.place_columns import (
    BOX,
    FORMS,
    ONE_COLUMN,
    POINT_LISTS,
    Places,
    find_places,
    key_of,
    point_of,
)
from smart_retail.data.sources.vocabulary import SYNONYMS
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import Task

PATHS = (
    "filepath file filename imagepath imgpath image img imagefile imgfile imagename imgname picture picturepath photo "
    "photopath facepath facefile relativepath relpath"
)
GROUPS = ("agegroup", "agerange", "agebucket", "ageclass", "agelabel")
"""Columns of ages whose numbers may be those of groups."""
WORDS = {
    "path": tuple(PATHS.split()),
    "split": ("splits", "partition", "subset", "usage", "set", "phase"),
    "race": ("ethnicity",),
    "gender": ("sex",),
    "age": ("ageyears", "ageinyears", "years", *GROUPS[:-2]),  # the last two stand behind the name of any task
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
        genders: gender to the column that says yes or no of it, where no column holds genders.
        groups: the column of ages, if its numbers may well be those of groups; else "".
        places: those that tell where faces lie.
        notes: what a person should know: columns under other names, and columns that are not used.
        wrong: why the table cannot be read.
    """

    ours: Mapping[str, str]
    genders: Mapping[str, str]
    groups: str
    places: Places
    notes: list[str]
    wrong: list[str]


def find_columns(
    table: pd.DataFrame, file: Path, tasks: Sequence[Task] = (), given: Mapping[str, str | None] | None = None
) -> Columns:
    """Find our columns in a table.

    Args:
        table: as ``read_table`` returns it.
        file: where it was read from, for messages.
        tasks: whose labels are wanted; none for the paths and places alone.
        given: by a config: name in the table to ours (or the other way round), or to None for what is not to be used.

    Raises:
        ConfigError: ``given`` names what there is not.
        DataError: there is no column of paths, or several.
    """
    shown = dict(zip(table.columns, table.attrs["spelling"], strict=True))
    wanted = _wanted(tasks)
    goes_by = _renamed(shown, wanted, given or {}, file)
    known: dict[str, str] = {}  # key of the name that a column goes by, to its name in the table
    for theirs in sorted(goes_by, key=lambda name: goes_by[name] == name):  # those that the config names first
        known.setdefault(key_of(goes_by[theirs]), theirs)
    found: dict[str, str] = {}
    for ours, words in wanted.items():
        there = [key for key in (key_of(ours), *words) if key in known]
        if ours == "path" and len(there) > 1 and there[0] != "path":
            several = " and ".join(known[key] for key in there)
            one = f"`columns: {{{known[there[0]]}: path}}`, or call it `path`"
            raise DataError(f"{file}: {several} could each be the column of paths; say which one is: {one}")
        if there:
            found[ours] = known.pop(there[0])
    genders: dict[str, str] = {}
    if "gender" in wanted and "gender" not in found:
        for key, gender in HAS.items():
            if key in known:
                genders.setdefault(gender, known.pop(key))
        if genders:
            found["gender"] = next(iter(genders.values()))
    places = find_places(known)
    left = [name for name in goes_by if name not in {*found.values(), *genders.values(), *places.columns}]
    lost = [name for name in wanted if name not in found]
    unused = {shown[name]: _near(goes_by[name], lost) for name in left}
    read = [f"{shown[theirs]} as {ours}" for ours, theirs in found.items() if goes_by[theirs] != ours]
    if places.columns not in ((), BOX, tuple(LANDMARKS)):
        read += [f"{', '.join(shown[name] for name in names)} as {what}" for what, names in places.told]
    notes = [f"read {'; '.join(read)}"] if read else []
    notes += [f"columns that are not used: {_some(unused)}"] if unused else []
    wrong = _wrong(found, places, tasks, unused)
    if "path" not in found:
        raise DataError(f"{file}: {'; '.join(wrong)}")
    age = found.get("age", "")
    groups = age if key_of(goes_by.get(age, "")) in GROUPS else ""
    return Columns(found, genders, groups, places, notes, wrong)


def _wanted(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Return the names of our columns with the keys of other names."""
    found = {name: list(WORDS[name]) for name in ("path", "split", "race")}
    for task in tasks:
        key = key_of(task.name)
        found[task.name] = [*WORDS.get(task.name, ()), f"{key}label", f"{key}class"]
        found |= {name: [] for name in (*task.opinions, *task.vote_columns)}
        if not task.is_classes:
            for words, column in zip(RANGES.values(), task.range_columns, strict=True):
                found[column] = [made for word in words for made in (f"{key}{word}", f"{word}{key}")]
    return found


def _renamed(
    shown: Mapping[str, str], wanted: Iterable[str], given: Mapping[str, str | None], file: Path
) -> dict[str, str]:
    """Return the name that each column goes by, of those that are to be used.

    Raises:
        ConfigError: ``given`` names no column of the table, or none of ours, or one of ours twice.
    """
    goes_by = {name: name for name in shown}
    keys = {key_of(name): name for name in reversed([*shown])}
    named: dict[str, str] = {}
    for left, right in given.items():
        theirs, ours = keys.get(key_of(str(left))), None if right is None else str(right)
        if theirs is None and ours is not None and key_of(ours) in keys and _is_ours(str(left), wanted):
            theirs, ours = keys[key_of(ours)], str(left)  # it is meant the other way round
        if theirs is None:
            near = difflib.get_close_matches(str(left).lower(), shown, 1, NEAR)
            hint = f"near it: {near[0]}" if near else f"it has {_some(shown.values())}"
            raise ConfigError(f"columns: {file} has no column {left}; {hint}")
        if ours is None:
            goes_by.pop(theirs, None)
            continue
        if not _is_ours(ours, wanted):
            hint = _near(ours, [*wanted, *BOX])
            hint = f"near it: {hint}" if hint else f"there are {_some([*wanted, *BOX, 'bbox', *LANDMARKS])}"
            raise ConfigError(f"columns: {left} is to be {ours}, which is no column of ours; {hint}")
        if named.setdefault(key_of(ours), theirs) != theirs:
            raise ConfigError(f"columns: {named[key_of(ours)]} and {theirs} are both to be {ours}; name one")
        goes_by[theirs] = ours
    return goes_by


def _is_ours(name: str, wanted: Iterable[str]) -> bool:
    key = key_of(name)
    return key in {*map(key_of, wanted), *HAS, *ONE_COLUMN}.union(*FORMS) or point_of(key) is not None


def _near(name: str, ours: Sequence[str]) -> str:
    """Return the column of ours that a name is nearly, or the one of the votes for what it is called; "" if none."""
    key, words = key_of(name), {word: column for column in ours for word in (key_of(column), *WORDS.get(column, ()))}
    for column in ours:
        _, votes, class_name = column.partition("_votes_")
        if votes and len(key) > 2 and key in (key_of(class_name), *SYNONYMS.get(class_name, ())):
            return column
    near = difflib.get_close_matches(key, words, 1, NEAR) if key not in WORDS else []
    return words[near[0]] if near else ""


def _wrong(found: Mapping[str, str], places: Places, tasks: Sequence[Task], left: Mapping[str, str]) -> list[str]:
    """Return why a table with these columns cannot be read; ``left`` are those not used, and what they are near to."""
    there = f"; it has {_some({name: hint for name, hint in left.items() if hint} or left)}" if left else ""
    wrong = []
    if "path" not in found:
        first = "; the first row must name the columns" if any(Path(n).suffix.lower() in USUAL for n in left) else ""
        wrong.append(
            f"no column `path` (or file, image, filename, ...){there}{first}; name it in the source's "
            "`columns: {theirs: path}`"
        )
        if len(left) == 1 and len(next(iter(left)).split()) > 1:
            wrong.append("cells that spaces part are not told apart; write commas, semicolons or tabs between them")
    labels = {name for task in tasks for name in (task.name, *task.range_columns, *task.vote_columns, *task.opinions)}
    if labels and not labels & set(found):
        named = [name for task in tasks for name in (task.name, *(() if task.is_classes else task.range_columns))]
        wrong.append(
            f"none of the label columns {', '.join(named)} is there{there}; name them in the source's "
            "`columns: {theirs: gender}`"
        )
    if labels and (points := [name for name in left if key_of(name) in POINT_LISTS]) and not places.columns:
        wrong.append(
            f"{points[0]} would tell where a face lies, and is not read: write {', '.join(LANDMARKS)} in columns of "
            f"their own; where the files are face crops, `columns: {{{points[0]}: null}}`"
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


def _some(names: Iterable[str]) -> str:
    """Return names for a message; a mapping tells what each is near to."""
    hints = names if isinstance(names, Mapping) else {}
    told = [f"{name} (near it: {hints[name]})" if hints.get(name) else name for name in names]
    return ", ".join(told[:NAMED])[:300] + (", ..." if len(told) > NAMED else "")
