"""The report of one network: what it was evaluated on, goals, data sets, other networks beside it, its bundle."""

from __future__ import annotations

from typing import Any

import pandas as pd

from smart_retail.data.crops import TURNED_RATIO
from smart_retail.edge.processor import in_words
from smart_retail.evaluation.compare import verdict
from smart_retail.evaluation.details import confidence, confusions, groups, mistakes, robustness
from smart_retail.evaluation.metrics import ADULTS, MIN_GROUP_FACES
from smart_retail.evaluation.report import Goal, Report, Row, Section, Table
from smart_retail.evaluation.results import Results
from smart_retail.evaluation.wording import cell, goals, in_years, loss_in_words, metric_name, number, units

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


def build(results: Results) -> Report:
    """Return the report of the first network, with all that there is to say."""
    table = results.tables[0]
    facts = table.attrs
    counts = ", ".join(f"{name} {count:,}" for name, count in table["dataset"].value_counts(sort=False).items())
    part = f" of the {facts['split']} part" if facts.get("split") else ""
    date = f", predicted on {facts['date']}" if facts.get("date") else ""
    about = [f"Network: {facts['network']}."] if facts.get("network") else []
    about.append(f"{len(table):,} faces{part} ({counts}){date}.")
    if facts.get("split") == "val":
        about.append("Validation faces: training was steered by them, so that test faces may turn out a little worse.")
    if fingerprint := facts.get("data_fingerprint"):
        about.append(f"Data fingerprint {fingerprint}.")
    if facts.get("trained_on") not in (None, "", fingerprint):
        about.append("The network was trained on other data or another split: it may have seen some of these faces.")
    sections = [
        _data_sets(results),
        _models(results),
        confusions(results),
        groups(results),
        confidence(results),
        robustness(results),
        _bundle([t.attrs["bundle"] for t in results.tables if "bundle" in t.attrs]),
        mistakes(results),
        Section("Limits", text=LIMITS),
    ]
    return Report(f"Report: {results.name}", about, _goals(results), [s for s in sections if s])


def _goals(results: Results) -> list[Goal]:
    overall, by_set = results.of("all").set_index("metric"), results.of("data set")
    found = []
    for metric, mark in goals(results.tasks).items():
        if metric not in overall.index:
            continue
        row: Any = overall.loc[metric]
        smaller = in_years(metric)
        reached = bool(row["value"] < mark if smaller else row["value"] > mark)
        verdict_text = "reached" if reached else "not reached"
        verdict_text += ", but the interval contains the mark" * bool(row["low"] <= mark <= row["high"])
        parts = by_set[by_set["metric"] == metric]
        found.append(
            Goal(
                metric_name(metric, results.tasks, unit=False),
                cell(row, metric)._replace(value=units(row["value"], metric)),
                f"below {mark} years" if smaller else f"above {100 * mark:.0f}%",
                reached,
                verdict_text,
                [f"{r['group']}: {cell(r, metric)}, {r['faces']:,} faces" for _, r in parts.iterrows()],
            )
        )
    return found


def _data_sets(results: Results) -> Section:
    titles = {
        "ages": f"Ages {ADULTS[0]} to {ADULTS[1]}, as most publications",
        "pose": "Turned heads",
        "duplicates": "Faces with a duplicate",
    }
    parts = [part for part in titles if results.of(part)["value"].notna().any()]
    text = ["With 95% intervals."]
    if "pose" in parts:
        text.append(
            f"A head counts as turned where eyes and mouth lie more than {TURNED_RATIO:g} distances of the eyes apart."
        )
    if ranges := [t.name for t in results.tasks if f"{t.name}_inside" in set(results.figures["metric"])]:
        text.append(
            f"Known as a range ({', '.join(ranges)}): a whole year reaches from half a year before to half a year "
            "after, and the distance outside is a mean over all faces, those inside with zero."
        )
    duplicate = results.tables[0]["duplicate"]
    if duplicates := (duplicate != "").sum():
        trained = (duplicate == "in training").sum()
        text.append(
            f"{duplicates:,} faces have a duplicate, the same picture or nearly so, in the training data: {trained:,} "
            f"of these were trained on, {duplicates - trained:,} were set aside."
        )
    tables = [results.table("data set"), *(results.table(part, titles[part]) for part in parts)]
    return Section("Data sets", text=text, tables=tables, brief=True)


def _models(results: Results) -> Section | None:
    tables, summary, first, tasks = [], [], results.name, results.tasks
    for model, rows in results.comparison.groupby("model", sort=False) if len(results.comparison) else ():
        cells: list[Row] = []
        for _, row in rows.iterrows():
            metric, p = row["metric"], row["p"]
            group = "all faces" if row["group"] == "all" else row["group"]
            values = [number(row[name], metric) for name in ("first", "second")]
            change = cell(row, metric, "difference", sign="+")
            p_value = "" if pd.isna(p) else "below 0.001" if p < 0.001 else f"{p:.3f}"
            name = f"{group}: {metric_name(metric, tasks)}"
            cells.append([name, *values, change, p_value, verdict(row), f"{row['faces']:,}"])
        header = ["", first, str(model), "difference", "McNemar's p", f"{model} is", "faces"]
        tables.append(Table(header, cells, f"{model} beside {first}"))
        overall = rows[(rows["group"] == "all") & rows["metric"].isin(goals(tasks))]
        verdicts = [
            f"{metric_name(m, tasks, unit=False)} {verdict(r)} ({number(r['difference'], m, sign='+')})"
            for m, (_, r) in zip(overall["metric"], overall.iterrows(), strict=True)
        ]
        summary.append(f"{model} against {first}: {'; '.join(verdicts)}.")
    text = [
        "On the faces that both predicted. Differences (second minus first, in points or years) are paired, with 95% "
        "intervals that resample clusters of duplicates. McNemar's exact test takes faces as independent.",
    ]
    return Section("Models side by side", summary, text, tables, brief=True) if tables else None


def _bundle(bundles: list[dict[str, Any]]) -> Section | None:
    if not bundles:
        return None
    bundle = bundles[0]
    evaluated = [one["precision"] for one in bundles if one["variants"] == bundle["variants"]]
    cells, timings = [], bundle["latency"].get("variants", {})
    for precision, variant in bundle["variants"].items():
        name = precision.upper() + ", evaluated here" * (precision in evaluated)
        size = f"{variant['bytes'] / 1e6:.1f} MB" if "bytes" in variant else ""
        latency = f"{timings[precision]['processor_ms']:.2f}" if "processor_ms" in timings.get(precision, {}) else ""
        parity = variant.get("parity")
        cells.append([name, size, latency, f"{parity:.1e}" if isinstance(parity, float) else ""])
    text = []
    if timings:
        device = in_words(bundle["latency"].get("device", {}))
        text.append(
            f"Latency: one face, one thread, median of the processor time, on {device}, when the bundle was made."
        )
    losses = [f"{task} {loss_in_words(loss)} {loss['unit']}" for task, loss in bundle["drop"].items()]
    if losses:
        text.append(f"What INT8 lost against FP32 on the validation faces of the export: {', '.join(losses)}.")
    return Section("The bundle", (), text, [Table(["", "size", "latency, ms", "deviation from PyTorch"], cells)])
