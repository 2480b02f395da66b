"""The sections with details: kinds of mistakes, groups, confidence, worse pictures."""

from __future__ import annotations

import pandas as pd

from smart_retail.data.corruptions import KINDS
from smart_retail.evaluation.calibration import COVERAGE, calibration, reliability
from smart_retail.evaluation.fairness import LEADING, gaps
from smart_retail.evaluation.figures import dots, embed, error_by_age, reliability_curves, robustness_curves
from smart_retail.evaluation.findings import Findings, grid
from smart_retail.evaluation.metrics import MIN_GROUP_FACES, Question, answered, class_confusion, years_of
from smart_retail.evaluation.mistakes import COUNT, mistakes
from smart_retail.evaluation.predictions import tasks_of_table
from smart_retail.evaluation.report import Picture, Section, Table
from smart_retail.evaluation.wording import cell, in_years, metric_name, number, signed, units
from smart_retail.plots import MAX_CLASSES_TOLD, age_scatter, confusion_figure

MAX_NAMED = 6
"""Groups that a sentence lists; more are left to a table."""


def kinds(found: Findings) -> Section:
    """Tell what is taken for what: confusions, ages, decades."""
    table, figures, tables = found.tables[0], [], []
    tasks = tasks_of_table(table)
    for task in (task for task in tasks if task.is_classes):
        counts = class_confusion(table, task)
        if counts.to_numpy().sum():
            drawn = confusion_figure(counts.to_numpy(), task.classes, task.name)
            drawn.set_size_inches(5, 4.6)
            figures.append(Picture(embed(drawn), f"{task.name}: what was predicted for each label, share of the row"))
            cells = [[str(name), *(f"{count:,}" for count in row)] for name, row in counts.iterrows()]
            title = f"{task.name.capitalize()}: labels down, predictions across"
            if len(task.classes) <= MAX_CLASSES_TOLD:
                tables.append(Table(["", *counts.columns], cells, title, folded=True))
    for task in (task for task in tasks if not task.is_classes):
        aged = answered(table, Question(task, task.name))
        if aged.empty:
            continue
        codes, names = pd.factorize(aged["dataset"])
        drawn = age_scatter(aged[task.name].to_numpy(), aged[f"{task.name}_pred"].to_numpy(), codes, list(names))
        figures.append(
            Picture(embed(drawn, points=True), f"predicted against labelled {task.name}; lines at 0, 5 and 10 years")
        )
        if task.name != years_of(tasks):
            continue
        decades = found.of("decade")
        drawn = error_by_age(decades, task.name)
        figures.append(Picture(embed(drawn), "error and bias by decade of age"))
        tables.append(grid(decades, "By decade of age", folded=True))
    return Section("What is taken for what", (), (), tables, figures)


def groups(found: Findings) -> Section | None:
    """Tell the worst and the best group, and how far they lie apart."""
    marginal, together = found.of("group"), found.of("race, gender, age")
    if marginal.empty:
        return None
    rows = gaps(found.tables[0])
    gist, text, cells = [], [], []
    for _, row in rows.iterrows():
        metric = row["metric"]
        gap = f"{signed(row['gap'], metric)} ({signed(row['low'], metric)} to {signed(row['high'], metric)})"
        worst, best = (f"{row[end]}: {number(row[f'{end}_value'], metric)}" for end in ("worst", "best"))
        cells.append([f"{metric_name(metric)}, by {row['factor']}", worst, best, gap, str(row["groups"])])
    for metric in rows["metric"].unique():
        row = rows[rows["metric"] == metric].iloc[-1]
        unit = "years" if in_years(metric) else "points"
        worst, best = (f"{row[end]} ({units(row[f'{end}_value'], metric)})" for end in ("worst", "best"))
        gap = signed(abs(row["gap"]), metric).lstrip("+")
        name = metric_name(metric).partition(",")[0].capitalize()
        gist.append(f"{name} is worst for {worst} and best for {best}: a gap of {gap} {unit}.")
    for part in (marginal, together):
        few = part[part["value"].isna()].groupby("group", sort=False)["faces"].max()
        named = ", ".join(f"{name} ({count})" for name, count in few.items())
        if len(few):
            words = (
                named
                if len(few) <= MAX_NAMED
                else f"{len(few)} of race, gender and age together, named in the last table"
            )
            text.append(f"Without a figure, since they have fewer than {MIN_GROUP_FACES} faces: {words}.")
    tables = [Table(["", "worst", "best", "gap (95%)", "groups"], cells, "Gaps")] if cells else []
    tables.append(grid(together, "Race, gender and age together", folded=True))
    figures = []
    for metric in LEADING:
        shown = marginal[(marginal["metric"] == metric) & marginal["value"].notna()]
        if len(shown):
            figures.append(Picture(embed(dots(shown, metric)), f"{metric_name(metric)}, by group"))
    return Section("Groups", gist, text, tables, figures)


def confidence(found: Findings) -> Section | None:
    """Tell how often the network is right when it is how sure."""
    table = found.tables[0]
    rows = calibration(table)
    if rows.empty:
        return None
    measured = set(rows["task"])
    curves = {t.name: reliability(table, t) for t in tasks_of_table(table) if t.is_classes and t.name in measured}
    manners, text, cells = [], [], []
    for _, row in rows.iterrows():
        before, after = (f"{100 * row[name]:.1f}" for name in ("error", "error_after"))
        if pd.isna(row["surplus"]):  # of years
            cells.append(
                [
                    f"{row['task']}: share inside a {COVERAGE:.0%} interval by the stated deviation, %",
                    before,
                    f"{row['temperature']:.2f} (width)",
                    after,
                    f"{row['faces']:,}",
                ]
            )
            continue
        cells.append(
            [
                f"{row['task']}: expected calibration error, %",
                before,
                f"{row['temperature']:.2f}",
                after,
                f"{row['faces']:,}",
            ]
        )
        manner = "surer than right" if row["surplus"] > 0 else "less sure than right"
        points = f"{100 * abs(row['surplus']):.1f} points"
        manners.append(f"{row['task']} {points} {manner} on average (expected calibration error {before}%)")
    gist = [f"How sure it is: {'; '.join(manners)}."] if manners else []
    text.append(
        "A temperature would mend it as far as shown; it is fitted on one half of these faces and judged on the other."
    )
    if bundle := table.attrs.get("bundle"):
        warm = ", ".join(f"{task} {value:.2f}" for task, value in bundle["temperatures"].items() if value != 1)
        text.append(
            f"The bundle applies temperatures already: {warm}." if warm else "The bundle applies no temperatures."
        )
    figures = (
        [Picture(embed(reliability_curves(curves)), "how often right against how sure; on the line is ideal")]
        if curves
        else []
    )
    return Section(
        "How sure it is", gist, text, [Table(["", "as it is", "temperature", "with it", "faces"], cells)], figures
    )


def worse_pictures(found: Findings) -> Section | None:
    """Tell what is left of the metrics as pictures get worse."""
    rows = found.robustness
    if rows.empty:
        return None
    tables, figures, falls = [], [], []
    for model, inside in rows.groupby("model", sort=False):
        clean = inside[inside["severity"] == 0].set_index("metric")
        metrics = list(clean.index)
        cells = [["as it is", "", *(cell(clean.loc[m], m) for m in metrics)]]
        for (kind, _), values in inside[inside["severity"] > 0].groupby(["kind", "severity"], sort=False):
            by_metric = values.set_index("metric")
            amount = KINDS[str(kind)].words.format(by_metric["amount"].iloc[0])
            cells.append([str(kind), amount, *(cell(by_metric.loc[m], m) for m in metrics)])
        tables.append(
            Table(["", "how much", *(metric_name(m) for m in metrics)], cells, f"{model}: every severity", folded=True)
        )
    first = rows[rows["model"] == found.name]
    for metric in map(str, first["metric"].unique()):
        line = first[first["metric"] == metric]
        figures.append(Picture(embed(robustness_curves(line, metric)), f"{metric_name(metric)}, against severity"))
        hard = line[line["severity"] > 0].sort_values("value", ascending=not in_years(metric), kind="stable").iloc[0]
        clean_value = line[line["severity"] == 0]["value"].iloc[0]
        fall = f"{units(clean_value, metric)} to {units(hard['value'], metric)}"
        amount = KINDS[hard["kind"]].words.format(hard["amount"])
        falls.append(f"{metric_name(metric).partition(',')[0]} {fall} ({hard['kind']}, {amount})")
    gist = [f"Worse pictures cost most: {'; '.join(falls)}."] if falls else []
    text = [f"{rows['faces'].max():,} faces at most, drawn from all. The table tells how much each severity is."]
    return Section("Worse pictures", gist, text, tables, figures)


def worst_mistakes(found: Findings) -> Section | None:
    """Name the faces to look at first."""
    tables, faces = [], []
    for task in tasks_of_table(found.tables[0]):
        rows = mistakes(found.tables[0], task)
        if rows.empty:
            continue
        cells = rows[["key", "label", "predicted"]].astype(str).to_numpy().tolist()
        tables.append(Table(["file", "label", "predicted"], cells, task.name.capitalize()))
        faces += [
            Picture(found.thumbnails[key], f"{task.name}: {label}, predicted {said}")
            for key, label, said in cells
            if key in found.thumbnails
        ]
    if not tables:
        return None
    text = [f"The {COUNT} largest errors of age, and the {COUNT} surest wrong classes. Many of them are wrong labels."]
    if faces:
        text.append("The pictures show people: hand this page on only where they may be shown.")
    return Section("Worst mistakes", (), text, tables, (), faces)
