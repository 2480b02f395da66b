"""What a report says: each section from tables of predictions and of figures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from smart_retail.data.crops import TURNED_RATIO
from smart_retail.edge.processor import in_words
from smart_retail.evaluation.compare import verdict
from smart_retail.evaluation.details import confidence, groups, kinds, worse_pictures, worst_mistakes
from smart_retail.evaluation.findings import Findings, grid
from smart_retail.evaluation.metrics import MIN_GROUP_FACES
from smart_retail.evaluation.report import Goal, Report, Section, Table
from smart_retail.evaluation.wording import (
    FEW_WORDS,
    GOALS,
    cell,
    file_size,
    in_years,
    metric_name,
    number,
    p_value,
    signed,
)

LIMITS = (
    "Labels are what annotators saw: the look of a gender in two classes, of an age, of an expression. They say "
    "nothing of who somebody is or how they feel, and a part of them is wrong.",
    "The figures hold for faces like these. Cameras, light, people and crops differ elsewhere: measure there first.",
    "Intervals are bootstraps that resample clusters of duplicates: they tell how other faces of the same kind would "
    "change a figure, not how another training would.",
    f"Groups of fewer than {MIN_GROUP_FACES} faces are named without a figure. The worst of many groups "
    "looks worse than it is.",
    "Validation faces chose the checkpoint and tuned what could be tuned. Only test faces, looked at once, tell how "
    "good a network is.",
)


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
        kinds(found),
        groups(found),
        confidence(found),
        worse_pictures(found),
        _bundle([t.attrs["bundle"] for t in found.tables if "bundle" in t.attrs]),
        worst_mistakes(found),
        Section("Limits", (), LIMITS),
    ]
    return Report(f"Report: {found.name}", about, _goals(found), [s for s in sections if s])


def _goals(found: Findings) -> list[Goal]:
    overall, by_set = found.of("all").set_index("metric"), found.of("data set")
    goals = []
    for metric, mark in GOALS.items():
        if metric not in overall.index or _told(metric, overall):
            continue
        row: Any = overall.loc[metric]
        years = in_years(metric)
        reached = bool(row["value"] < mark if years else row["value"] > mark)
        words = "reached" if reached else "not reached"
        if row["low"] <= mark <= row["high"]:
            words += ", but the interval contains the mark"
        unit = " years" if years else " %"
        parts = by_set[by_set["metric"] == metric]
        goals.append(
            Goal(
                name=metric_name(metric).removesuffix(", %").replace(", mean error in years", ", mean error"),
                value=number(row["value"], metric) + unit,
                interval=f"{number(row['low'], metric)} to {number(row['high'], metric)}"
                if pd.notna(row["low"])
                else "",
                mark=f"below {mark} years" if years else f"above {100 * mark:.0f} %",
                verdict=words,
                reached=reached,
                parts=[f"{r['group']}: {cell(r, metric)}, {r['faces']:,} faces" for _, r in parts.iterrows()],
            )
        )
    return goals


def _told(metric: str, overall: pd.DataFrame) -> bool:
    """Whether the labels that were learnt are FER2013's own: their goal is told already."""
    return metric == "emotion_original_acc" and overall["value"].get("emotion_acc") == overall.loc[metric, "value"]


def _data_sets(found: Findings) -> Section:
    tables = [grid(found.of("data set"))]
    text = ["With 95% intervals."]
    for part, title in (("ages", "Adults"), ("pose", "Turned heads"), ("duplicates", "Faces with a duplicate")):
        if len(rows := found.of(part)):
            tables.append(grid(rows, title))
    if len(found.of("pose")):
        text.append(
            f"A head counts as turned where eyes and mouth lie more than {TURNED_RATIO:g} distances of the eyes apart."
        )
    if "age_inside" in set(found.figures["metric"]):
        text.append(
            "Ages that are known as ranges: a whole year reaches from half a year before to half a year after, and the "
            "years outside are a mean over all faces, those inside with zero."
        )
    duplicates = (found.tables[0]["duplicate"] != "").sum()
    if duplicates:
        trained = (found.tables[0]["duplicate"] == "in training").sum()
        text.append(
            f"{duplicates:,} faces have a duplicate, the same picture or nearly so, in the training data: {trained:,} "
            f"of these were trained on, {duplicates - trained:,} were set aside."
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
                    f"{group}: {metric_name(metric)}",
                    *values,
                    FEW_WORDS if few else change,
                    p_value(row["p"]),
                    verdict(row),
                    f"{row['faces']:,}",
                ]
            )
        header = ["", found.name, str(model), "difference", "McNemar's p", f"{model} is", "faces"]
        tables.append(Table(header, cells, f"{model} beside {found.name}"))
        overall = rows[(rows["group"] == "all") & rows["metric"].isin(GOALS)]
        words = [
            f"{metric_name(r['metric']).removesuffix(', %')} {verdict(r)} ({signed(r['difference'], r['metric'])})"
            for _, r in overall.iterrows()
        ]
        lines.append(f"{model} against {found.name}: {', '.join(words)}.")
    text = [
        "On the faces that both judged. Differences (second minus first, in points or years) are paired, with 95% "
        "intervals that resample clusters of duplicates. McNemar's exact test takes faces as independent.",
    ]
    return Section("Models side by side", lines, text, tables)


def _bundle(bundles: list[dict[str, Any]]) -> Section | None:
    if not bundles:
        return None
    told = bundles[0]
    judged = [one["precision"] for one in bundles if one["variants"] == told["variants"]]
    cells = []
    timings = told["latency"].get("variants", {})
    for precision, variant in told["variants"].items():
        timing = timings.get(precision, {})
        parity = variant.get("parity")
        cells.append(
            [
                precision.upper() + (", judged here" if precision in judged else ""),
                file_size(variant["bytes"]) if "bytes" in variant else "",
                f"{timing['processor_ms']:.2f}" if "processor_ms" in timing else "",
                f"{parity:.1e}" if isinstance(parity, float) else "",
            ]
        )
    text = []
    if timings:
        device = in_words(told["latency"].get("device", {}))
        text.append(
            f"Latency: one face, one thread, median of the processor time, on {device}, when the bundle was made."
        )
    if told["drop"]:
        drops = ", ".join(
            f"{task} {d['drop']:+.2f} ({d['low']:+.2f} to {d['high']:+.2f}) {d['unit']}"
            for task, d in told["drop"].items()
        )
        text.append(f"What INT8 lost against FP32 on the validation faces of the export: {drops}.")
    header = ["", "size", "latency, ms", "deviation from PyTorch"]
    return Section("The bundle", (), text, [Table(header, cells)])
