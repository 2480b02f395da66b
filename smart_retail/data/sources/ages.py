"""Ages as data sets write them: a number of years or a range, in words or in signs."""

from __future__ import annotations

import re

from smart_retail.tasks import AGE_MAX, AGE_MIN

OLDEST = 130
"""Years beyond which a number is no age of a person."""
YEARS = r"([0-9]{1,3})(?:\.0+)?"
UNIT = re.compile(r"\s*(?:years?|yrs?|y\.?o\.?|y/o|y)(?:[ -]olds?)?\.?$")
MONTHS = re.compile(r"([0-9]{1,3}) ?(?:months?|mo)(?: old)?")
DECADE = re.compile(r"([0-9]{0,2}0)'?s")
RANGE = re.compile(rf"(?:from |between )?([(\[]?)\s*{YEARS}\s*(-|\u2013|\u2014|~|_|,|to|and)\s*{YEARS}\s*([)\]]?)")
FROM = re.compile(
    rf"(?:more than|older than|over|above|from|>=?|\u2265)\s*{YEARS}|"
    rf"{YEARS}\s*(?:\+|plus|(?:and|or) (?:over|older|more|above|up))"
)
UNDER = re.compile(
    rf"(?:less than|younger than|under|below|<)\s*{YEARS}|{YEARS}\s*(?:and|or) (?:under|younger|less|below)"
)
UP_TO = re.compile(rf"(?:up to|<=|\u2264)\s*{YEARS}")
COMMA = re.compile(r"([0-9]{1,3}),([0-9]+)")
MONTH = (
    r"(?:jan|feb|fev|f\u00e9v|mar|m\u00e4r|mrz|apr|avr|abr|may|mai|mag|jun|jui|giu|jul|lug|aug|aou|ago|sep|set|oct|okt|"
    r"ott|out|nov|dec|dez|d\u00e9c|dic)[a-z\u00e9\u00fb]*\.?"
)
"""How months begin, in the languages of most spreadsheets."""
DATE = re.compile(
    rf"[0-9]{{1,2}}\.?[- /]?{MONTH}(?:[- /]?[0-9]{{2,4}})?|{MONTH}[- /]?[0-9]{{1,4}}|"
    r"(?:[0-9]{4}[-./][0-9]{1,2}[-./][0-9]{1,2}|[0-9]{1,2}[-./][0-9]{1,2}[-./][0-9]{4}|"
    r"[0-9]{1,2}([./])[0-9]{1,2}\1[0-9]{2}|[0-9]{1,2}/[0-9]{1,2})(?:[t ][0-9:.z]+)?"
)
SERIAL = range(36_526, 73_051)
"""What spreadsheets call the days from 2000 to 2099."""
Age = tuple[float | None, float | None, float | None]
"""Years exactly, or None and the youngest and oldest whole year of a range."""


def parse_age(text: str) -> Age:
    """Read an age: "25", "20-29", "(25, 32)", "3 to 5", "20s", "70+", "more than 70", "60 and over", "under 3".

    An open end is the oldest (or youngest) age of a label. "More than 70" begins at 70: it is the class after
    "60-69" of FairFace. A range of one year is exact. Both ends of a range count, but where one bracket is round and
    the other square: "[20, 30)" ends with 29.

    Raises:
        ValueError: the text is no age; the message says what is wrong with it.
    """
    text = UNIT.sub("", " ".join(text.lower().split()))
    if (match := RANGE.fullmatch(text)) is not None:
        opening, low, by, high, closing = match.groups()
        if by == "," and not opening and COMMA.fullmatch(text):
            raise ValueError(f"may be {low}.{high} years or {low} to {high}: write {low}.{high}, or {low}-{high}")
        open_left, open_right = (opening, closing) == ("(", "]"), (opening, closing) == ("[", ")")
        return age_range(float(low) + open_left, float(high) - open_right)
    if (match := FROM.fullmatch(text)) is not None:
        low = float(match[1] or match[2])
        return age_range(low, max(low, AGE_MAX))
    if (match := UNDER.fullmatch(text)) is not None:
        return age_range(AGE_MIN, float(match[1]) - 1 if match[1] else float(match[2]))
    if (match := UP_TO.fullmatch(text)) is not None:
        return age_range(AGE_MIN, float(match[1]))
    if (match := DECADE.fullmatch(text)) is not None:
        return age_range(float(match[1]), float(match[1]) + 9)
    if (match := MONTHS.fullmatch(text)) is not None:
        return float(match[1]) / 12, None, None
    if DATE.fullmatch(text):
        raise ValueError("is a date: a spreadsheet makes one of a range such as 3-9 (format the column as text)")
    try:
        age = float(text)
    except ValueError as error:
        raise ValueError("is not a number of years, nor a range such as 20-29 or 70+") from error
    if age.is_integer() and int(age) in SERIAL:
        raise ValueError("is how a spreadsheet counts days: it made a date of a range such as 3-9")
    if not AGE_MIN <= age <= OLDEST:  # not a number fails the comparison too
        raise ValueError(f"is outside 0 to {OLDEST} years")
    return age, None, None


def age_range(low: float, high: float) -> Age:
    """Return a range of whole years, both inside.

    Raises:
        ValueError: it is none, or reaches beyond the age of a person.
    """
    if not (low.is_integer() and high.is_integer()):
        raise ValueError("is no range of whole years")
    if low > high:
        raise ValueError("is no range: the youngest must stand first")
    if low < AGE_MIN or high > OLDEST:
        raise ValueError(f"is outside 0 to {OLDEST} years")
    return (low, None, None) if low == high else (None, low, high)


def decimal_commas(words: list[str]) -> bool:
    """Whether the commas of a column's ages stand for decimal points: one of them cannot part a range."""
    pairs = [match.groups() for match in map(COMMA.fullmatch, words) if match]
    return any(len(high) > 3 or int(high) <= int(low) or high != str(int(high)) for low, high in pairs)
