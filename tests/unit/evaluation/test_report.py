import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from smart_retail.data.corruptions import KINDS
from smart_retail.errors import ConfigError
from smart_retail.evaluation.compare import compare_all
from smart_retail.evaluation.findings import Findings
from smart_retail.evaluation.metrics import MIN_GROUP_FACES, tabulate
from smart_retail.evaluation.mistakes import mistakes
from smart_retail.evaluation.model_spec import name_models
from smart_retail.evaluation.report import markdown, page
from smart_retail.evaluation.robustness import COLUMNS
from smart_retail.evaluation.sections import build
from smart_retail.export.measure import latency as latency_of
from smart_retail.tasks import AGE, EMOTION, GENDER
from tests.helpers.predictions import predictions

EVIL = 'x"><script>alert(1)</script>|y\nz.jpg'


def worse_pictures(name):
    steps = [("", 0, np.nan), *((k, i + 1, a) for k, kind in KINDS.items() for i, a in enumerate(kind.amounts))]
    rows = [(name, *step, m, 0.5 - step[1] / 10, 0.1, 0.6, 50) for step in steps for m in ("gender_acc", "age_mae")]
    return pd.DataFrame(rows, columns=COLUMNS)


def report(*tables, thumbnails=()):
    figures = pd.concat([tabulate(t).assign(model=t.attrs["model"]) for t in tables])
    comparison = compare_all(tables) if len(tables) > 1 else pd.DataFrame()
    return build(Findings(tables, figures, comparison, worse_pictures(tables[0].attrs["model"]), dict(thumbnails)))


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
    assert re.search(r"gender accuracy: .* goal above 90 %: reached", text)
    assert "goal above 75 %: not reached" in markdown(report(predictions(right=0.5)))
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
    found = build(Findings((ours, theirs), figures, compare_all((ours, theirs)), measured))
    gist = next(section.gist for section in found.sections if section.title == "Worse pictures")
    assert "gender accuracy 50.0% to 10.0%" in gist[0]


def test_very_few_faces_make_a_report_too():
    assert "too few" in markdown(report(predictions(3)))


def test_the_worst_mistakes_come_first():
    table = predictions(50, right=1.0)
    table.loc[7, "age_pred"] = 0.0 if table.loc[7, "age"] > 50 else 100.0
    assert mistakes(table, AGE).iloc[0]["key"] == "7.jpg"
    table.loc[9, ["p_gender_male", "p_gender_female"]] = [0.01, 0.99] if table.loc[9, "gender"] == 0 else [0.99, 0.01]
    found = mistakes(table, GENDER)
    assert found["key"].tolist() == ["9.jpg"] and "99% sure" in found["predicted"].iloc[0]
    assert mistakes(table, EMOTION).empty


def test_models_have_names_that_tell_them_apart(tmp_path):
    words = [
        "logs/cpu/version_0/checkpoints/best.ckpt",
        "old=a/bundle",
        "a/teacher.safetensors",
        "b/teacher.safetensors",
    ]
    assert [m.name for m in name_models(words)] == ["cpu/version_0/best", "old", "teacher", "teacher (2)"]
    odd = tmp_path / "a=b.csv"
    odd.write_text("")
    assert name_models([str(odd)])[0].path == odd
    with pytest.raises(ConfigError, match="two models are called x"):
        name_models(["x=a", "x=b"])
