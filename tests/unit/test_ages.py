import pytest

from smart_retail.data.sources.ages import parse_age


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("20-29", 20, 29),
        ("(25, 32)", 25, 32),
        ("25 - 32", 25, 32),
        ("20\u201329", 20, 29),
        ("3 to 5", 3, 5),
        ("[0, 2]", 0, 2),
        ("0-2", 0, 2),
        ("70+", 70, 100),
        ("more than 70", 70, 100),
        ("More  Than 70", 70, 100),
        ("60 and over", 60, 100),
        ("60 or older", 60, 100),
        (">= 60", 60, 100),
        ("110+", 110, 110),
        ("under 3", 0, 2),
        ("<18", 0, 17),
        ("12 and under", 0, 12),
        ("<= 12", 0, 12),
        ("20_29", 20, 29),
        ("20s", 20, 29),
        ("between 20 and 29", 20, 29),
        ("60 plus", 60, 100),
        ("20-29 years", 20, 29),
        ("[20, 30)", 20, 29),
        ("(20.0, 30.0]", 21, 30),
    ],
)
def test_a_range_is_read(text, low, high):
    assert parse_age(text) == ((low, None, None) if low == high else (None, low, high))


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("25", 25),
        ("4.5", 4.5),
        (" 7 ", 7),
        ("25 years old", 25),
        ("25 y.o.", 25),
        ("6 months", 0.5),
        ("25.0", 25),
        ("(25, 25)", 25),
    ],
)
def test_a_number_or_a_range_of_one_year_is_exact(text, age):
    assert parse_age(text) == (age, None, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("29-20", "the youngest must stand first"),
        ("200-300", "outside 0 to 130"),
        ("131", "outside 0 to 130"),
        ("-3", "outside 0 to 130"),
        ("nan", "outside 0 to 130"),
        ("131+", "outside 0 to 130"),
        ("under 0", "no range"),
        ("", "not a number of years"),
        ("young", "not a number of years"),
        ("20-", "not a number of years"),
        ("20-29-39", "not a number of years"),
        ("4,5", "may be 4.5 years or 4 to 5"),
        ("09-Mar", "a spreadsheet makes one of a range"),
        ("3-Sep", "is a date"),
        ("Oct-19", "is a date"),
        ("9. M\u00e4rz", "is a date"),
        ("03.09.2026", "is a date"),
        ("9/3/26", "is a date"),
        ("2026-03-09 00:00:00", "is a date"),
        ("45725", "counts days"),
        ("\u0663-\u0665", "not a number of years"),
    ],
)
def test_nonsense_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse_age(text)
