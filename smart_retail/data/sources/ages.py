"""Ages as data sets write them: a number of years or a range, in words or in signs."""

from __future__ import annotations

import re

from smart_retail.tasks import AGE_MAX, AGE_MIN

OLDEST = 130
"""Years beyond which a number is no age of a person."""
YEARS = r"([0-9]{1,3})(?:\.0+)?"
RANGE = re.compile(rf"[(\[]?\s*{YEARS}\s*(?:-|\u2013|\u2014|,|to)\s*{YEARS}\s*[)\]]?")
FROM = re.compile(
    rf"(?:more than|over|from|>=?|\u2265)\s*{YEARS}|{YEARS}\s*(?:\+|(?:and|or) (?:over|older|more|above))"
)
UNDER = re.compile(rf"(?:less than|younger than|under|below|<)\s*{YEARS}")
Age = tuple[float | None, float | None, float | None]
"""Years exactly, or None and the youngest and oldest whole year of a range."""


def parse_age(text: str) -> Age:
    """Read an age: "25", "20-29", "(25, 32)", "3 to 5", "70+", "more than 70", "60 and over", "under 3".

    An open end is the oldest (or youngest) age of a label. "More than 70" begins at 70: it is the class after
    "60-69" of FairFace. A range of one year is exact.

    Raises:
        ValueError: the text is no age; the message says what is wrong with it.
    """
    text = " ".join(text.lower().split())
    if (match := RANGE.fullmatch(text)) is not None:
        return age_range(float(match[1]), float(match[2]))
    if (match := FROM.fullmatch(text)) is not None:
        low = float(match[1] or match[2])
        return age_range(low, max(low, AGE_MAX))
    if (match := UNDER.fullmatch(text)) is not None:
        return age_range(AGE_MIN, float(match[1]) - 1)
    try:
        age = float(text)
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is not a number of years, nor a range such as 20-29 or 70+") from error
    if not AGE_MIN <= age <= OLDEST:  # not a number fails the comparison too
        raise ValueError(f"{age:g} is outside 0 to {OLDEST} years")
    return age, None, None


def age_range(low: float, high: float) -> Age:
    """Return a range of whole years, both inside.

    Raises:
        ValueError: it is none, or reaches beyond the age of a person.
    """
    if not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{low:g} to {high:g} is no range of whole years")
    if low > high:
        raise ValueError(f"{low:g} to {high:g} is no range: the youngest must stand first")
    if low < AGE_MIN or high > OLDEST:
        raise ValueError(f"{low:g} to {high:g} is outside 0 to {OLDEST} years")
    return (low, None, None) if low == high else (None, low, high)
