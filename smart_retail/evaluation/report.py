"""A report as data: sections of text, tables and figures, written as Markdown and as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from jinja2 import Environment, Template

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row.

    Attributes:
        header: of the columns.
        rows: their cells.
        title: above it.
        folded: the page shows it on request.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure, or a face.

    Attributes:
        source: a data URI.
        caption: what it shows; also read out in its place.
    """

    source: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One question and its answer.

    Attributes:
        title: of the section.
        gist: sentences that also stand at the top of the report.
        text: more sentences, a paragraph each.
        tables: in their order.
        figures: of the page; Markdown has none.
        faces: small pictures of people, on request only.
    """

    title: str
    gist: Sequence[str] = ()
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = ()
    faces: Sequence[Picture] = ()

    @property
    def anchor(self) -> str:
        """Return a name for links."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


@dataclass(frozen=True)
class Goal:
    """A headline number.

    Attributes:
        name: of the metric.
        value: with its unit.
        interval: 95%.
        mark: what is to be reached.
        verdict: in words.
        reached: whether.
        parts: the same by data set.
    """

    name: str
    value: str
    interval: str
    mark: str
    verdict: str
    reached: bool
    parts: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        title: what was judged.
        about: on what.
        goals: headline numbers.
        sections: the rest.
    """

    title: str
    about: Sequence[str]
    goals: Sequence[Goal]
    sections: Sequence[Section] = field(default_factory=list)

    @property
    def gist(self) -> list[str]:
        """What stands out."""
        return [sentence for section in self.sections for sentence in section.gist]


def markdown(report: Report) -> str:
    """Return the report without its figures."""
    lines = [f"# {_flat(report.title)}", "", *map(_flat, report.about), "", "## Goals", ""]
    for p in report.goals:
        lines.append(f"- {p.name}: **{p.value}{f' ({p.interval})' if p.interval else ''}**; goal {p.mark}: {p.verdict}")
    if report.gist:
        lines += ["", "## In short", "", *(f"- {_flat(sentence)}" for sentence in report.gist)]
    for section in report.sections:
        lines += ["", f"## {section.title}"]
        lines += [line for text in section.text for line in ("", _flat(text))]
        for table in section.tables:
            lines += ["", *([f"**{_flat(table.title)}**", ""] if table.title else [])]
            lines.append(f"| {' | '.join(map(_bar, table.header))} |")
            lines.append("|---|" + "---:|" * (len(table.header) - 1))
            lines += [f"| {' | '.join(map(_bar, row))} |" for row in table.rows]
    return "\n".join(lines) + "\n"


def page(report: Report) -> str:
    """Return one HTML page that needs nothing else."""
    return _template().render(report=report)


@cache
def _template() -> Template:
    text = files("smart_retail.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def _flat(text: str) -> str:
    """Names come from files: a line break or a tag must not become markup."""
    return " ".join(text.split()).replace("<", "&lt;")


def _bar(text: str) -> str:
    # A bar would end the cell.
    return _flat(text).replace("|", "/")
