"""A report as data: sections of text, tables and figures, written as Markdown and as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader

from smart_retail.evaluation.wording import Cell

Row = Sequence[str | Cell]


class Table(NamedTuple):
    """A table; the first column names the row, and the page shows a folded one on request."""

    header: Sequence[str]
    rows: Sequence[Row]
    title: str = ""
    folded: bool = False


class Picture(NamedTuple):
    """A figure, or a face: a data URI, and what it shows."""

    source: str
    caption: str


class Section(NamedTuple):
    """One question and its answer.

    ``summary`` also stands at the top of the report, a ``brief`` section in the terminal too; figures, and faces (on
    request only), are left to the page.
    """

    title: str
    summary: Sequence[str] = ()
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = ()
    faces: Sequence[Picture] = ()
    brief: bool = False

    @property
    def anchor(self) -> str:
        """Return a name for links."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


class Goal(NamedTuple):
    """A headline figure with its unit, what it is to reach, whether it does, and the same by data set."""

    name: str
    figure: Cell
    mark: str
    reached: bool
    verdict: str
    parts: Sequence[str] = ()


class Report(NamedTuple):
    """A whole report: what was evaluated, on what, the headline figures, and the rest."""

    title: str
    about: Sequence[str]
    goals: Sequence[Goal]
    sections: Sequence[Section]

    @property
    def summary(self) -> list[str]:
        """What stands out."""
        return [sentence for section in self.sections for sentence in section.summary]


def markdown(report: Report, *, brief: bool = False) -> str:
    """Return the report without its figures; for a terminal the brief sections alone."""
    sections = [section for section in report.sections if section.brief or not brief]
    return _render("report.md.j2", Environment(finalize=_flat), report=report, sections=sections)


def page(report: Report) -> str:
    """Return one HTML page that needs nothing else."""
    return _render("report.html.j2", Environment(autoescape=True), report=report)


def _render(template: str, environment: Environment, **values: object) -> str:
    environment.trim_blocks = environment.lstrip_blocks = environment.keep_trailing_newline = True
    environment.loader = PackageLoader("smart_retail.evaluation", "")
    return environment.get_template(template).render(**values)


def _flat(value: object) -> str:
    """Names come from files: a line break, a tag, or the end of a cell must not become markup."""
    return " ".join(str(value).split()).replace("<", "&lt;").replace("|", "/")
