"""The sections with details: confusions, groups, confidence, robustness, mistakes."""

from __future__ import annotations

import pandas as pd

from smart_retail.data.corruptions import KINDS
from smart_retail.evaluation.calibration import COVERAGE, calibration, reliability
from smart_retail.evaluation.compare import GROUPED, gaps
from smart_retail.evaluation.figures import embed, error_by_decade, group_values, reliability_curves, robustness_curves
from smart_retail.evaluation.metrics import MIN_GROUP_FACES, labelled, predicted_classes, years_of
from smart_retail.evaluation.mistakes import COUNT
from smart_retail.evaluation.report import Picture, Row, Section, Table
from smart_retail.evaluation.results import Results
from smart_retail.evaluation.wording import cell, in_years, metric_name, number, units
from smart_retail.plots import MAX_CLASSES_TOLD, age_scatter, confusion, confusion_figure
from smart_retail.tasks import Task

MAX_NAMED = 6
"""Groups that a sentence lists; more are left to a table."""
MIN_FIGURE_FACES = 10
"""Faces below which a table says all, and a figure of them would mislead."""


def confusions(results: Results) -> Section:
    """Tell what is taken for what: classes, years, decades."""
    figures, tables = [], []
    for task in sorted(results.tasks, key=lambda task: not task.is_classes):
        known = labelled(results.tables[0], task)
        if task.is_classes and len(known):
            counts = confusion(known[task.name].to_numpy(int), predicted_classes(known, task), len(task.classes))
            if len(known) >= MIN_FIGURE_FACES:
                drawn = confusion_figure(counts, task.classes, task.name)
                drawn.set_size_inches(5, 4.6)
                caption = f"{task.name}: what was predicted for each label, share of the row"
                figures.append(embed(drawn, caption))
            if len(task.classes) <= MAX_CLASSES_TOLD:
                cells = [[name, *map("{:,}".format, row)] for name, row in zip(task.classes, counts, strict=True)]
                title = f"{task.name.capitalize()}: labels down, predictions across"
                tables.append(Table(["", *task.classes], cells, title, folded=True))
        elif len(known) >= MIN_FIGURE_FACES:
            figures += _years(results, task, known)
    if (years := years_of(results.tasks)) and results.of("decade")["value"].notna().any():
        tables.append(results.table("decade", f"By decade of {years}", folded=True))
    return Section("What is taken for what", tables=tables, figures=figures)


def _years(results: Results, task: Task, known: pd.DataFrame) -> list[Picture]:
    codes, names = pd.factorize(known["dataset"])
    years = known[task.name].to_numpy(), known[f"{task.name}_pred"].to_numpy()
    caption = f"predicted against labelled {task.name}; lines at 0, 5 and 10 years"
    figures = [embed(age_scatter(*years, codes, list(names), task.name), caption, points=True)]
    decades = results.of("decade").dropna(subset="value")
    if task.name == years_of(results.tasks) and decades["group"].nunique() > 1:
        figures.append(embed(error_by_decade(decades, task), f"error and bias by decade of {task.name}"))
    return figures


def groups(results: Results) -> Section | None:
    """Tell the worst and the best group, and how far they lie apart."""
    marginal, together, tasks = results.of("group"), results.of("race, gender, age"), results.tasks
    if marginal.empty:
        return None
    found = gaps(results.tables[0])
    summary, text, figures = {}, [], []
    cells: list[Row] = []
    for _, row in found.iterrows():
        metric = row["metric"]
        ends = [f"{row[end]}: {number(row[f'{end}_value'], metric)}" for end in ("worst", "best")]
        name, gap = f"{metric_name(metric, tasks)}, by {row['factor']}", cell(row, metric, "gap", sign="+")
        cells.append([name, *ends, gap, str(row["groups"])])
        worst, best = (f"{row[end]} ({units(row[f'{end}_value'], metric)})" for end in ("worst", "best"))
        size = number(abs(row["gap"]), metric) + (" years" if in_years(metric) else " points")
        name = metric_name(metric, tasks, unit=False).capitalize()
        summary[metric] = f"{name}: worst for {worst}, best for {best}, a gap of {size}."  # of the last factor
    for part, which in ((marginal, "by race, gender or age"), (together, "of race, gender and age together")):
        few = part[part["value"].isna()].groupby("group", sort=False)["faces"].max()
        if len(few):
            named = ", ".join(f"{name} ({count})" for name, count in few.items())
            named = named if len(few) <= MAX_NAMED else f"{len(few)} groups {which}, named in figures.csv"
            text.append(f"Without a figure, since they have fewer than {MIN_GROUP_FACES} faces: {named}.")
    tables = [Table(["", "worst", "best", "gap (95%)", "groups"], cells, "Gaps")] if cells else []
    if together["value"].notna().any():
        tables.append(results.table("race, gender, age", "Race, gender and age together", folded=True))
    for task in (task for task in tasks if task.name in GROUPED):
        shown = marginal[(marginal["metric"] == task.metric) & marginal["value"].notna()]
        if len(shown) > 1:
            caption = f"{metric_name(task.metric, tasks)}, by group"
            figures.append(embed(group_values(shown, task.metric, tasks), caption))
    return Section("Groups", [*summary.values()], text, tables, figures)


def confidence(results: Results) -> Section | None:
    """Tell how often the network is right when it is how sure."""
    table = results.tables[0]
    rows = calibration(table)
    if rows.empty:
        return None
    surpluses, cells = [], []
    for _, row in rows.iterrows():
        before, after = (f"{100 * row[name]:.1f}" for name in ("error", "error_after"))
        of_years = pd.isna(row["surplus"])
        name = f"share inside a {COVERAGE:.0%} interval by the stated deviation, %" if of_years else ""
        name = f"{row['task']}: {name or 'expected calibration error, %'}"
        temperature = f"{row['temperature']:.2f}" + " (width)" * of_years
        cells.append([name, before, temperature, after, f"{row['faces']:,}"])
        if not of_years:
            manner = "surer than right" if row["surplus"] > 0 else "less sure than right"
            points = f"{100 * abs(row['surplus']):.1f} points {manner} on average"
            surpluses.append(f"{row['task']} {points} (expected calibration error {before}%)")
    summary = [f"How sure it is: {'; '.join(surpluses)}."] if surpluses else []
    text = [
        "A temperature would mend it as far as shown; it is fitted on one half of these faces and judged on the other."
    ]
    if bundle := table.attrs.get("bundle"):
        fitted = ", ".join(f"{task} {value:.2f}" for task, value in bundle["temperatures"].items() if value != 1)
        text.append(f"The bundle applies {f'temperatures already: {fitted}' if fitted else 'no temperatures'}.")
    curves = {t.name: reliability(table, t) for t in results.tasks if t.is_classes and t.name in set(rows["task"])}
    caption = "how often right against how sure; on the line is ideal"
    figures = [embed(reliability_curves(curves), caption)] if curves else []
    tables = [Table(["", "as it is", "temperature", "with it", "faces"], cells)]
    return Section("How sure it is", summary, text, tables, figures)


def robustness(results: Results) -> Section | None:
    """Tell what is left of the metrics as pictures get worse."""
    rows, tasks = results.robustness, results.tasks
    if rows.empty:
        return None
    tables, figures, losses = [], [], []
    for model, inside in rows.groupby("model", sort=False):
        metrics = [*map(str, inside["metric"].unique())]
        cells: list[Row] = []
        for (kind, _), part in inside.groupby(["kind", "severity"], sort=False):
            by_metric = part.set_index("metric")
            amount = KINDS[str(kind)].words.format(by_metric["amount"].iloc[0]) if kind else ""
            cells.append([str(kind) or "as it is", amount, *(cell(by_metric.loc[m], m) for m in metrics)])
        header = ["", "how much", *(metric_name(m, tasks) for m in metrics)]
        tables.append(Table(header, cells, f"{model}: every severity", folded=True))
    first = rows[rows["model"] == results.name]
    for metric in map(str, first["metric"].unique()):
        line = first[first["metric"] == metric]
        caption = f"{metric_name(metric, tasks)}, against severity"
        figures.append(embed(robustness_curves(line, metric, tasks), caption))
        hardest = line[line["severity"] > 0].sort_values("value", ascending=not in_years(metric), kind="stable").iloc[0]
        values = " to ".join(units(v, metric) for v in (line["value"][line["severity"] == 0].iloc[0], hardest["value"]))
        amount = KINDS[hardest["kind"]].words.format(hardest["amount"])
        losses.append(f"{metric_name(metric, tasks, unit=False)} {values} ({hardest['kind']}, {amount})")
    summary = [f"Worse pictures cost most: {'; '.join(losses)}."] if losses else []
    text = [f"{rows['faces'].max():,} faces at most, drawn from all. The table tells how much each severity is."]
    return Section("Worse pictures", summary, text, tables, figures)


def mistakes(results: Results) -> Section | None:
    """Name the faces to look at first."""
    tables, faces = [], []
    for title, rows in results.mistakes.items():
        cells = rows[["key", "label", "predicted"]].astype(str).to_numpy().tolist()
        tables.append(Table(["file", "label", "predicted"], cells, title))
        for key, label, predicted in cells:
            if key in results.thumbnails:
                faces.append(Picture(results.thumbnails[key], f"{title}: {label}, predicted {predicted}"))
    text = [
        f"The {COUNT} largest errors of years, and the {COUNT} surest wrong classes. Many of them are wrong labels."
    ]
    text += ["The pictures show people: hand this page on only where they may be shown."] * bool(faces)
    return Section("Worst mistakes", (), text, tables, (), faces) if tables else None
