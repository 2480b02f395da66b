import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from smart_retail.data.corruptions import KINDS
from smart_retail.errors import ConfigError
from smart_retail.evaluation.compare import compare_all
from smart_retail.evaluation.metrics import MIN_GROUP_FACES, tabulate
from smart_retail.evaluation.mistakes import worst_mistakes
from smart_retail.evaluation.networks import model_specs
from smart_retail.evaluation.predictions import tasks_of_table
from smart_retail.evaluation.report import markdown, page
from smart_retail.evaluation.results import Results
from smart_retail.evaluation.robustness import COLUMNS
from smart_retail.evaluation.sections import build
from smart_retail.export.measure import latency as latency_of
from smart_retail.tasks import AGE, EMOTION, GENDER, Task
from tests.helpers.predictions import predictions

EVIL = 'x"><script>alert(1)</script>|y\nz.jpg'


def worse_pictures(name):
    steps = [("", 0, np.nan), *((k, i + 1, a) for k, kind in KINDS.items() for i, a in enumerate(kind.amounts))]
    rows = [(name, *step, m, 0.5 - step[1] / 10, 0.1, 0.6, 50) for step in steps for m in ("gender_acc", "age_mae")]
    return pd.DataFrame(rows, columns=COLUMNS)


def report(*tables, thumbnails=()):
    figures = pd.concat([tabulate(t).assign(model=t.attrs["model"]) for t in tables])
    comparison = compare_all(tables) if len(tables) > 1 else pd.DataFrame()
    worse, mistakes = worse_pictures(tables[0].attrs["model"]), worst_mistakes(tables[0], tasks_of_table(tables[0]))
    return build(Results(tables, figures, comparison, worse, mistakes, dict(thumbnails)))


def bundled(table):
    latency = latency_of({"fp32": lambda crops: {}}, np.empty(0))
    latency["variants"]["fp32"] = dict.fromkeys(latency["variants"]["fp32"], 3.21)
    told = {"precision": "int8", "variants": {"fp32": {"bytes": 23e6, "parity": 1e-5}, "int8": {"bytes": 6e6}}}
    drop = {"age": {"drop": 0.1, "low": 0.0, "high": 0.2, "unit": "years"}}
    table.attrs["bundle"] = told | {"latency": latency, "drop": drop, "temperatures": {"gender": 1.5, "emotion": 1.0}}
    return table


@pytest.fixture(scope="module")
def full():
    ours, theirs = bundled(predictions(300)), predictions(300, seed=3)
    ours.loc[0, "key"] = theirs.loc[0, "key"] = EVIL
    ours.loc[0, "age_pred"] = 100.0
    ours.loc[: MIN_GROUP_FACES - 2, "race"] = "Black"
    ours.loc[:9, "duplicate"] = "set aside"
    theirs.attrs["model"] = "<b>theirs</b>"
    return report(ours, theirs, thumbnails={EVIL: "data:image/jpeg;base64,AAAA"})


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(full):
    reader = Reader()
    reader.feed(page(full))
    assert not reader.open
    assert all(source.startswith(("data:image/", "#")) for source in reader.sources)
    assert not {"script", "link", "iframe"} & set(reader.tags)
    anchors = {source[1:] for source in reader.sources if source.startswith("#")}
    assert anchors == set(re.findall(r'<section id="([^"]+)"', page(full)))


def test_names_from_files_become_no_markup(full):
    for text in (page(full), markdown(full)):
        assert "<script" not in text and "<b>theirs" not in text
    lines = markdown(full).splitlines()
    row = next(line for line in lines if "alert(1)" in line)
    assert row.count("|") == 4


def test_every_section_is_there(full):
    titles = [section.title for section in full.sections]
    assert titles == [
        "Data sets",
        "Models side by side",
        "What is taken for what",
        "Groups",
        "How sure it is",
        "Worse pictures",
        "The bundle",
        "Worst mistakes",
        "Limits",
    ]
    text = markdown(full)
    for words in (
        "duplicate set aside from training",
        "McNemar",
        "fewer than 30 faces: Black (29)",
        "3.21",
        "1.0e-05",
        "6.0 MB",
        "gender 1.50",
    ):
        assert words in text, words


def test_goals_are_held_against_the_figures():
    text = markdown(report(predictions(right=0.95)))
    assert "age, mean error: **3.00 years (3.00 to 3.00)**; goal below 4.0 years: reached" in text
    assert re.search(r"gender accuracy: .* goal above 90%: reached", text)
    assert "goal above 75%: not reached" in markdown(report(predictions(right=0.5)))
    assert "the interval contains the mark" in markdown(report(predictions(40, right=0.9)))


def test_a_report_of_ages_alone_has_ages_alone():
    table = predictions(50)
    table[["gender", "emotion"]] = np.nan
    table["race"] = ""
    found = report(table)
    assert [p.name for p in found.goals] == ["age, mean error"]
    assert "<img" in page(found)


def test_worse_pictures_are_those_of_the_network_that_is_reported():
    ours, theirs = predictions(40), predictions(40, seed=3)
    theirs.attrs["model"] = "theirs"
    figures = pd.concat([tabulate(t).assign(model=t.attrs["model"]) for t in (ours, theirs)])
    measured = pd.concat([worse_pictures("theirs").assign(value=0.2), worse_pictures("ours")])
    found = build(Results((ours, theirs), figures, compare_all((ours, theirs)), measured))
    summary = next(section.summary for section in found.sections if section.title == "Worse pictures")
    assert "gender accuracy 50.0% to 10.0%" in summary[0]


def test_what_few_faces_cannot_tell_is_left_out():
    few, many = report(predictions(3)), report(predictions(300))
    drawn = [
        len(next(section.figures for section in made.sections if section.title == "What is taken for what"))
        for made in (few, many)
    ]
    assert drawn == [0, 4]
    assert "too few" not in markdown(few)
    for title in ("By decade of age", "Race, gender and age together"):
        assert title not in markdown(few) and title in markdown(many)


def test_date_and_network_are_named_where_they_are_known():
    table = predictions(40)
    assert "Network" not in markdown(report(table))
    table.attrs |= {"date": "2026-11-27", "network": "runs/a, 48 px"}
    text = markdown(report(table))
    assert "Network: runs/a, 48 px." in text and "40 faces of the val part (a 40), predicted on 2026-11-27." in text


def test_years_that_are_no_age_are_not_called_so():
    tenure = Task("tenure", "years")
    table = predictions(800, tasks=(tenure,))
    table.loc[:49, ["tenure_low", "tenure_high"]] = [20.0, 29.0]
    table.loc[:49, "tenure"] = np.nan
    made = report(table)
    text = markdown(made._replace(sections=[s for s in made.sections if s.title not in ("Limits", "Worse pictures")]))
    assert not re.search(r"\bages?\b", text, re.IGNORECASE)
    assert "By decade of tenure" in text and "Known as a range (tenure)" in text and not made.goals
    assert "labelled tenure" in next(picture.caption for section in made.sections for picture in section.figures)


def test_the_worst_mistakes_come_first():
    table = predictions(50, right=1.0)
    table.loc[7, "age_pred"] = 0.0 if table.loc[7, "age"] > 50 else 100.0
    assert worst_mistakes(table, [AGE])["Age"].iloc[0]["key"] == "7.jpg"
    table.loc[9, ["p_gender_male", "p_gender_female"]] = [0.01, 0.99] if table.loc[9, "gender"] == 0 else [0.99, 0.01]
    found = worst_mistakes(table, [GENDER])["Gender"]
    assert found["key"].tolist() == ["9.jpg"] and "99% sure" in found["predicted"].iloc[0]
    assert not worst_mistakes(table, [EMOTION])
    table.loc[:1, "age"] = np.nan
    table.loc[:1, ["age_low", "age_high", "age_pred"]] = [[20, 29, 25], [20, 29, 60]]
    (outside,) = worst_mistakes(table, [AGE])["Age, known as a range"].to_numpy().tolist()
    assert outside == ["1.jpg", "20 to 29", "60"]


def test_models_have_names_that_tell_them_apart(tmp_path):
    words = [
        "logs/cpu/version_0/checkpoints/best.ckpt",
        "old=a/bundle",
        "a/teacher.safetensors",
        "b/teacher.safetensors",
    ]
    assert [m.name for m in model_specs(words)] == ["cpu/version_0/best", "old", "teacher", "teacher (2)"]
    odd = tmp_path / "a=b.csv"
    odd.write_text("")
    assert model_specs([str(odd)])[0].path == odd
    with pytest.raises(ConfigError, match="two models are called x"):
        model_specs(["x=a", "x=b"])
