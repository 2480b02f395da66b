"""``smart-retail evaluate``: the predictions of a network, and a report of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from smart_retail.data.cache import write_aside
from smart_retail.errors import ConfigError
from smart_retail.evaluation.metrics import emotion_confusion, tabulate
from smart_retail.evaluation.predictions import predict_split, read_predictions, write_predictions

PROMISED = {"gender_acc": 0.90, "age_mae": 4.0, "emotion_acc": 0.75}
NAMES = {
    "gender_acc": "gender accuracy, %",
    "gender_balanced_acc": "gender balanced accuracy, %",
    "age_mae": "age, mean error in years",
    "age_bias": "age, bias in years",
    "age_cs5": "age within 5 years, %",
    "emotion_acc": "emotion accuracy, %",
    "emotion_f1": "emotion macro F1, %",
}
PARTS = {
    "all": "All faces",
    "data set": "By data set",
    "ages": "Adults",
    "decade": "By decade of age",
    "race, gender, age": "By group",
}


def evaluate(args: Sequence[str]) -> None:
    """Evaluate; ``args`` are the words after ``evaluate``.

    Raises:
        ConfigError: neither a model nor predictions are named, or both.
    """
    parser = argparse.ArgumentParser(
        prog="smart-retail evaluate",
        description="Write what a network says of every face of a split (predictions.parquet) and, from that alone, "
        "all figures with 95%% intervals that resample clusters of duplicates (figures.csv, report.md).",
        epilog="Everything else is a setting of the data, as for fit: --config configs/experiment/cpu.yaml ...",
    )
    parser.add_argument("model", nargs="?", help="a checkpoint, model.pth, or .safetensors file")
    parser.add_argument("--from", dest="predictions", type=Path, help="predictions made before, in place of a model")
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--output", type=Path, required=True, help="folder of the report")
    options, rest = parser.parse_known_args(list(args))
    if (options.model is None) == (options.predictions is None):
        raise ConfigError("name either a model or, with --from, predictions that were made before")
    if options.predictions:
        table = read_predictions(options.predictions)
    else:
        table = _predict(options.model, options.split, rest)
        write_predictions(table, options.output / "predictions.parquet")
    figures = tabulate(table)
    with write_aside(options.output / "figures.csv") as aside:
        figures.to_csv(aside, index=False)
    text = markdown(table, figures)
    with write_aside(options.output / "report.md") as aside:
        aside.write_text(text, encoding="utf-8")
    print(text.partition("## By decade")[0])
    print(f"report: {options.output / 'report.md'}")


def _predict(model: str, split: str, rest: list[str]) -> pd.DataFrame:
    # Here, not above: a report from predictions needs no network.
    from smart_retail.models.load import load_model
    from smart_retail.training.cli import read_data

    network = load_model(model)
    size = ["--data.image_size", str(network.contract.image_size), "--data.progressive", "null"]
    data = read_data([*rest, *size], "evaluate", "Measure a network.")
    return predict_split(network, data, split)


def markdown(table: pd.DataFrame, figures: pd.DataFrame) -> str:
    """Return the report: what was promised, then a table for every part of the figures."""
    lines = [f"# Report: {len(table):,} faces ({table.attrs.get('split', 'given')} split)", "", "## Promised", ""]
    overall = figures[figures["part"] == "all"].set_index("metric")
    for metric, mark in PROMISED.items():
        if metric in overall.index:
            row = overall.loc[metric]
            reached = row["value"] < mark if metric == "age_mae" else row["value"] > mark
            goal = f"below {mark}" if metric == "age_mae" else f"above {100 * mark:.0f}"
            word = "reached" if reached else "not reached"
            lines.append(f"- {NAMES[metric]}: **{_cell(row, metric)}**; promised {goal}: {word}")
    for part, title in PARTS.items():
        inside = figures[figures["part"] == part]
        if len(inside):
            lines += ["", f"## {title}", "", *_rows(inside)]
    counts = emotion_confusion(table)
    if counts.to_numpy().sum():
        lines += ["", "## Emotions: labels down, said across", "", f"| | {' | '.join(counts.columns)} |"]
        lines.append("|---|" + "---:|" * len(counts))
        for name, row in counts.iterrows():
            lines.append(f"| {name} | {' | '.join(str(count) for count in row)} |")
    return "\n".join(lines) + "\n"


def _rows(inside: pd.DataFrame) -> list[str]:
    metrics = [metric for metric in NAMES if metric in set(inside["metric"])]
    rows = [f"| | labels, at most | {' | '.join(NAMES[m] for m in metrics)} |", "|---|---:|" + "---:|" * len(metrics)]
    for group, values in inside.groupby("group", sort=False):
        found = values.set_index("metric")
        cells = [_cell(found.loc[m], m) if m in found.index else "" for m in metrics]
        # Names of groups come from files: a bar would end the cell.
        rows.append(f"| {str(group).replace('|', '/')} | {found['faces'].max():,} | {' | '.join(cells)} |")
    return rows


def _cell(row: Any, metric: str) -> str:
    if pd.isna(row["value"]):
        return "too few"
    factor, digits = (1, 2) if metric in ("age_mae", "age_bias") else (100, 1)
    value, low, high = (f"{factor * row[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
