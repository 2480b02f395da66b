"""What a report says: each section from tables of predictions and of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from smart_retail.evaluation.calibration import COVERAGE, calibration, reliability
from smart_retail.evaluation.compare import verdict
from smart_retail.evaluation.fairness import gaps
from smart_retail.evaluation.figures import dots, embed, error_by_age, reliability_curves, robustness_curves
from smart_retail.evaluation.metrics import FEW, answered, class_confusion
from smart_retail.evaluation.mistakes import COUNT, mistakes
from smart_retail.evaluation.predictions import CLASSES, LABELS
from smart_retail.evaluation.report import Picture, Promise, Report, Section, Table
from smart_retail.evaluation.robustness import KINDS, METRICS
from smart_retail.evaluation.wording import FEW_WORDS, NAMES, PROMISED, cell, file_size, number, p_value, signed
from smart_retail.plots import age_scatter, confusion_figure

LIMITS = (
    "Labels are what annotators saw: the look of a gender in two classes, of an age, of an expression. They say "
    "nothing of who somebody is or how they feel, and a part of them is wrong.",
    "The figures hold for faces like these. Cameras, light, people and crops differ elsewhere: measure there first.",
    "Intervals are bootstraps that resample clusters of duplicates: they tell how other faces of the same kind would "
    "change a figure, not how another training would.",
    f"Groups of fewer than {FEW} faces are named without a figure. The worst of many groups looks worse than it is.",
    "Validation faces chose the checkpoint and tuned what could be tuned. Only test faces, looked at once, tell how "
    "good a network is.",
)


@dataclass(frozen=True)
class Findings:
    """Everything that was computed for a report.

    Attributes:
        tables: of predictions; the first one's network is reported, the others are compared with it.
        figures: of all, see ``metrics.tabulate``, with a column ``model``.
        comparison: see ``compare.compare_all``; empty for one network.
        robustness: see ``robustness.robustness``; empty if not measured.
        thumbnails: of the worst mistakes, by key.
    """

    tables: Sequence[pd.DataFrame]
    figures: pd.DataFrame
    comparison: pd.DataFrame
    robustness: pd.DataFrame
    thumbnails: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the network that is reported."""
        return str(self.tables[0].attrs["model"])

    def of(self, part: str) -> pd.DataFrame:
        """Return the reported network's figures of one part."""
        rows = self.figures[(self.figures["model"] == self.name) & (self.figures["part"] == part)]
        return rows.drop(columns="model")


def build(found: Findings) -> Report:
    """Return the report of the first network, with all that there is to say."""
    table = found.tables[0]
    counts = ", ".join(f"{name} {count:,}" for name, count in table["dataset"].value_counts(sort=False).items())
    split = table.attrs.get("split")
    about = [f"{len(table):,} faces of the {split} part ({counts})." if split else f"{len(table):,} faces ({counts})."]
    if split == "val":
        about.append("Validation faces: training was steered by them, so that test faces may turn out a little worse.")
    if fingerprint := table.attrs.get("data_fingerprint"):
        about.append(f"Data fingerprint {fingerprint}.")
    if table.attrs.get("trained_on") not in (None, "", fingerprint):
        about.append("The network was trained on other data or another split: it may have seen some of these faces.")
    sections = [
        _data_sets(found),
        _models(found),
        _kinds(found),
        _groups(found),
        _sure(found),
        _worse_pictures(found),
        _bundle(table.attrs.get("bundle")),
        _mistakes(found),
        Section("Limits", (), LIMITS),
    ]
    return Report(f"Report: {found.name}", about, _promises(found), [s for s in sections if s])


def _promises(found: Findings) -> list[Promise]:
    overall, by_set = found.of("all").set_index("metric"), found.of("data set")
    promises = []
    for metric, mark in PROMISED.items():
        if metric not in overall.index:
            continue
        row: Any = overall.loc[metric]
        years = metric == "age_mae"
        reached = bool(row["value"] < mark if years else row["value"] > mark)
        words = "reached" if reached else "not reached"
        if row["low"] <= mark <= row["high"]:
            words += ", but the interval contains the mark"
        unit = " years" if years else " %"
        parts = by_set[by_set["metric"] == metric]
        promises.append(
            Promise(
                name=NAMES[metric].partition(",")[0] + (", mean error" if years else ""),
                value=number(row["value"], metric) + unit,
                interval=f"{number(row['low'], metric)} to {number(row['high'], metric)}"
                if pd.notna(row["low"])
                else "",
                goal=f"below {mark} years" if years else f"above {100 * mark:.0f} %",
                verdict=words,
                reached=reached,
                parts=[f"{r['group']}: {cell(r, metric)}, {r['faces']:,} faces" for _, r in parts.iterrows()],
            )
        )
    return promises


def _grid(rows: pd.DataFrame, title: str = "", *, folded: bool = False) -> Table:
    metrics = [metric for metric in NAMES if metric in set(rows["metric"])]
    cells = []
    for group, values in rows.groupby("group", sort=False):
        by_metric = values.set_index("metric")
        row = [cell(by_metric.loc[m], m) if m in by_metric.index else "" for m in metrics]
        cells.append([str(group), f"{by_metric['faces'].max():,}", *row])
    return Table(["", "labels, at most", *(NAMES[m] for m in metrics)], cells, title, folded)


def _data_sets(found: Findings) -> Section:
    tables = [_grid(found.of("data set"))]
    text = ["With 95% intervals."]
    for part, title in (("ages", "Adults"), ("twins", "Faces with a twin")):
        if len(rows := found.of(part)):
            tables.append(_grid(rows, title))
    twins = (found.tables[0]["twin"] != "").sum()
    if twins:
        trained = (found.tables[0]["twin"] == "in training").sum()
        text.append(
            f"{twins:,} faces have a twin, the same picture or nearly so, in the training data: {trained:,} of these "
            f"twins were trained on, {twins - trained:,} were set aside."
        )
    return Section("Data sets", (), text, tables)


def _models(found: Findings) -> Section | None:
    if found.comparison.empty:
        return None
    tables = []
    lines = []
    for model, rows in found.comparison.groupby("model", sort=False):
        cells = []
        for _, row in rows.iterrows():
            metric = row["metric"]
            few = pd.isna(row["difference"])
            change = (
                f"{signed(row['difference'], metric)} ({signed(row['low'], metric)} to {signed(row['high'], metric)})"
            )
            group = "all faces" if row["group"] == "all" else row["group"]
            values = [number(row[name], metric) for name in ("first", "second")]
            cells.append(
                [
                    f"{group}: {NAMES[metric]}",
                    *values,
                    FEW_WORDS if few else change,
                    p_value(row["p"]),
                    verdict(row),
                    f"{row['faces']:,}",
                ]
            )
        header = ["", found.name, str(model), "difference", "McNemar's p", f"{model} is", "faces"]
        tables.append(Table(header, cells, f"{model} beside {found.name}"))
        overall = rows[(rows["group"] == "all") & rows["metric"].isin(PROMISED)]
        words = [
            f"{NAMES[r['metric']].partition(',')[0]} {verdict(r)} ({signed(r['difference'], r['metric'])})"
            for _, r in overall.iterrows()
        ]
        lines.append(f"{model} against {found.name}: {', '.join(words)}.")
    text = [
        "On the faces that both judged. Differences (second minus first, in points or years) are paired, with 95% "
        "intervals that resample clusters of duplicates. McNemar's exact test takes faces as independent.",
    ]
    return Section("Models side by side", lines, text, tables)


def _kinds(found: Findings) -> Section:
    table, figures, tables = found.tables[0], [], []
    for task in ("emotion", "gender"):
        counts = class_confusion(table, task)
        if counts.to_numpy().sum():
            drawn = confusion_figure(counts.to_numpy(), list(counts.columns), task)
            drawn.set_size_inches(5, 4.6)
            figures.append(Picture(embed(drawn), f"{task}: what was said of each label, share of the row"))
            cells = [[str(name), *(f"{count:,}" for count in row)] for name, row in counts.iterrows()]
            title = f"{task.capitalize()}: labels down, said across".replace("Emotion:", "Emotions:")
            tables.append(Table(["", *counts.columns], cells, title, folded=True))
    aged = answered(table, "age")
    if len(aged):
        codes, names = pd.factorize(aged["dataset"])
        drawn = age_scatter(aged["age"].to_numpy(), aged["age_said"].to_numpy(), codes, list(names))
        figures.append(Picture(embed(drawn, points=True), "predicted against labelled age; lines at 0, 5 and 10 years"))
        decades = found.of("decade")
        drawn = error_by_age(decades)
        figures.append(
            Picture(embed(drawn), "error by decade of age: children and the old are where such networks fail")
        )
        tables.append(_grid(decades, "By decade of age", folded=True))
    return Section("What is taken for what", (), (), tables, figures)


def _groups(found: Findings) -> Section | None:
    rows = gaps(found.tables[0])
    if rows.empty:
        return None
    gist, text, cells = [], [], []
    for _, row in rows.iterrows():
        metric = row["metric"]
        gap = f"{signed(row['gap'], metric)} ({signed(row['low'], metric)} to {signed(row['high'], metric)})"
        worst, best = (f"{row[end]}: {number(row[f'{end}_value'], metric)}" for end in ("worst", "best"))
        cells.append([f"{NAMES[metric]}, by {row['factor']}", worst, best, gap, str(row["groups"])])
    for metric in rows["metric"].unique():
        row = rows[rows["metric"] == metric].iloc[-1]
        unit = "years" if metric == "age_mae" else "points"
        worst, best = (f"{row[end]} ({number(row[f'{end}_value'], metric)})" for end in ("worst", "best"))
        gap = signed(abs(row["gap"]), metric).lstrip("+")
        name = NAMES[metric].partition(",")[0].capitalize()
        gist.append(f"{name} is worst for {worst} and best for {best}: a gap of {gap} {unit}.")
    left = rows["left_out"][rows["left_out"] != ""]
    if len(left):
        text.append(f"Without a figure, since they have fewer than {FEW} faces: {left.iloc[-1]}.")
    tables = [Table(["", "worst", "best", "gap (95%)", "groups"], cells, "Gaps")]
    figures = []
    marginal = found.of("group")
    for metric in ("gender_acc", "age_mae"):
        if (marginal["metric"] == metric).any():
            figures.append(
                Picture(embed(dots(marginal[marginal["metric"] == metric], metric)), f"{NAMES[metric]}, by group")
            )
    tables.append(_grid(found.of("race, gender, age"), "Race, gender and age together", folded=True))
    return Section("Groups", gist, text, tables, figures)


def _sure(found: Findings) -> Section | None:
    table = found.tables[0]
    rows = calibration(table)
    if rows.empty:
        return None
    curves = {task: reliability(table, task) for task in CLASSES if task in set(rows["task"])}
    manners, text, cells = [], [], []
    for _, row in rows.iterrows():
        before, after = (f"{100 * row[name]:.1f}" for name in ("error", "error_after"))
        if row["task"] == "age":
            cells.append(
                [
                    f"age: share inside a {COVERAGE:.0%} interval by the stated deviation, %",
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
        warm = row["temperature"]
        manner = "too sure" if warm > 1.05 else "not sure enough" if warm < 0.95 else "about as sure as it is right"
        manners.append(f"of {row['task']} {manner} (expected calibration error {before}%)")
    gist = [f"The network is {', '.join(manners)}."] if manners else []
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


def _worse_pictures(found: Findings) -> Section | None:
    rows = found.robustness
    if rows.empty:
        return None
    tables, figures, falls = [], [], []
    for model, inside in rows.groupby("model", sort=False):
        clean = inside[inside["severity"] == 0].set_index("metric")
        metrics = [metric for metric in METRICS if metric in clean.index]
        cells = [["as it is", "", *(cell(clean.loc[m], m) for m in metrics)]]
        for (kind, _), values in inside[inside["severity"] > 0].groupby(["kind", "severity"], sort=False):
            by_metric = values.set_index("metric")
            amount = f"{by_metric['amount'].iloc[0]:g} {KINDS[str(kind)].unit}"
            cells.append([str(kind), amount, *(cell(by_metric.loc[m], m) for m in metrics)])
        tables.append(
            Table(["", "how much", *(NAMES[m] for m in metrics)], cells, f"{model}: every severity", folded=True)
        )
    first = rows[rows["model"] == rows["model"].iloc[0]]
    for metric in METRICS:
        line = first[first["metric"] == metric]
        if line.empty:
            continue
        figures.append(Picture(embed(robustness_curves(line, metric)), f"{NAMES[metric]}, against severity"))
        hard = line[line["severity"] > 0].sort_values("value", ascending=metric != "age_mae", kind="stable").iloc[0]
        clean_value = line[line["severity"] == 0]["value"].iloc[0]
        falls.append(
            f"{NAMES[metric]} {number(clean_value, metric)} to {number(hard['value'], metric)} "
            f"({hard['kind']}, {hard['amount']:g} {KINDS[hard['kind']].unit})"
        )
    gist = [f"Worse pictures cost at the most: {'; '.join(falls)}."]
    steps = "; ".join(f"{kind}: {', '.join(f'{a:g}' for a in k.amounts)} {k.unit}" for kind, k in KINDS.items())
    text = [f"{first['faces'].max():,} faces at most, drawn from all. Severities 1 to 4: {steps}."]
    return Section("Worse pictures", gist, text, tables, figures)


def _bundle(told: dict[str, Any] | None) -> Section | None:
    if not told:
        return None
    cells = []
    timings = told["latency"].get("variants", {})
    for precision, variant in told["variants"].items():
        timing = timings.get(precision, {})
        parity = variant.get("parity")
        cells.append(
            [
                precision.upper() + (" (judged here)" if precision == told["precision"] else ""),
                file_size(variant["bytes"]) if "bytes" in variant else "",
                f"{timing['median_ms']:.2f}" if "median_ms" in timing else "",
                f"{parity:.1e}" if isinstance(parity, float) else "",
            ]
        )
    text = []
    if timings:
        device = told["latency"].get("device", {}).get("processor", "a device not recorded")
        text.append(f"Latency: one face, one thread, median, on {device}, when the bundle was made.")
    if told["drop"]:
        drops = ", ".join(
            f"{task} {d['drop']:+.2f} ({d['low']:+.2f} to {d['high']:+.2f}) {'years' if task == 'age' else 'points'}"
            for task, d in told["drop"].items()
        )
        text.append(f"What INT8 lost against FP32 on the validation faces of the export: {drops}.")
    header = ["", "size", "latency, ms", "deviation from PyTorch"]
    return Section("The bundle", (), text, [Table(header, cells)])


def _mistakes(found: Findings) -> Section | None:
    tables, faces = [], []
    for task in LABELS:
        rows = mistakes(found.tables[0], task)
        if rows.empty:
            continue
        cells = rows[["key", "label", "said"]].astype(str).to_numpy().tolist()
        tables.append(Table(["file", "label", "said"], cells, task.capitalize()))
        faces += [
            Picture(found.thumbnails[key], f"{task}: {label}, said {said}")
            for key, label, said in cells
            if key in found.thumbnails
        ]
    if not tables:
        return None
    text = [f"The {COUNT} largest errors of age, and the {COUNT} surest wrong classes. Many of them are wrong labels."]
    if faces:
        text.append("The pictures show people: hand this page on only where they may be shown.")
    return Section("Worst mistakes", (), text, tables, (), faces)
