"""How figures are written: names, units, digits."""

from __future__ import annotations

from typing import Any

import pandas as pd

GOALS = {"gender_acc": 0.90, "age_mae": 4.0, "emotion_acc": 0.75, "emotion_original_acc": 0.75}
"""What a full training of the project is to reach: accuracies above, years below."""
OPINIONS = {"emotion_crowd": ("emotion", ", crowd's majority"), "emotion_original": ("emotion", ", FER2013's labels")}
KINDS = {
    "balanced_acc": "{} balanced accuracy{}, %",
    "acc": "{} accuracy{}, %",
    "f1": "{} macro F1{}, %",
    "kept": "{} kept on unlabelled faces{}, %",
    "mae": "{}, mean error in years{}",
    "bias": "{}, bias in years{}",
    "cs5": "{} within 5 years{}, %",
    "inside": "{} inside the known range{}, %",
    "outside": "{}, years outside the known range{}",
}
"""Of metrics, by the end of their names."""
FEW_WORDS = "too few"


def metric_name(metric: str) -> str:
    """Return the name of a metric in words, with its unit."""
    kind = next((end for end in KINDS if metric.endswith(f"_{end}")), None)
    if kind is None:
        return metric
    column = metric.removesuffix(f"_{kind}")
    return KINDS[kind].format(*OPINIONS.get(column, (column, "")))


def in_years(metric: str) -> bool:
    """Whether a metric is in years, and smaller is better; others are shares."""
    return metric.endswith(("_mae", "_bias", "_outside"))


def number(value: float, metric: str) -> str:
    """Return a figure in years with two digits, or in percent with one."""
    if pd.isna(value):
        return FEW_WORDS
    return f"{value:.2f}" if in_years(metric) else f"{100 * value:.1f}"


def units(value: float, metric: str) -> str:
    """Return a figure with its unit."""
    return number(value, metric) + (" years" if in_years(metric) else "%")


def cell(row: Any, metric: str) -> str:
    """Return ``value (low to high)`` of a row of figures."""
    if pd.isna(row["value"]):
        return FEW_WORDS
    if pd.isna(row["low"]):
        return number(row["value"], metric)
    return f"{number(row['value'], metric)} ({number(row['low'], metric)} to {number(row['high'], metric)})"


def signed(value: float, metric: str) -> str:
    """Return a difference with its sign, in years or points."""
    return f"{value:+.2f}" if in_years(metric) else f"{100 * value:+.1f}"


def p_value(p: float) -> str:
    """Return a p-value, empty where there is none."""
    return "" if pd.isna(p) else "below 0.001" if p < 0.001 else f"{p:.3f}"


def file_size(size: float) -> str:
    """Return bytes in megabytes."""
    return f"{size / 1e6:.1f} MB"
