"""How figures are written: names, units, digits."""

from __future__ import annotations

from typing import Any

import pandas as pd

GOALS = {"gender_acc": 0.90, "age_mae": 4.0, "emotion_acc": 0.75, "emotion_original_acc": 0.75}
"""What a full training of the project is to reach: accuracies above, years below."""
NAMES = {
    "gender_acc": "gender accuracy, %",
    "gender_balanced_acc": "gender balanced accuracy, %",
    "age_mae": "age, mean error in years",
    "age_bias": "age, bias in years",
    "age_cs5": "age within 5 years, %",
    "age_inside": "age inside the known range, %",
    "age_outside": "age, years outside the known range",
    "emotion_acc": "emotion accuracy, %",
    "emotion_f1": "emotion macro F1, %",
    "emotion_crowd_acc": "emotion accuracy, crowd's majority, %",
    "emotion_crowd_f1": "emotion macro F1, crowd's majority, %",
    "emotion_original_acc": "emotion accuracy, FER2013's labels, %",
    "emotion_original_f1": "emotion macro F1, FER2013's labels, %",
    "emotion_kept": "emotion kept on unlabelled faces, %",
}
YEARS = ("age_mae", "age_bias", "age_outside")
FEW_WORDS = "too few"


def number(value: float, metric: str) -> str:
    """Return a figure in years with two digits, or in percent with one."""
    if pd.isna(value):
        return FEW_WORDS
    return f"{value:.2f}" if metric in YEARS else f"{100 * value:.1f}"


def units(value: float, metric: str) -> str:
    """Return a figure with its unit."""
    return number(value, metric) + (" years" if metric in YEARS else "%")


def cell(row: Any, metric: str) -> str:
    """Return ``value (low to high)`` of a row of figures."""
    if pd.isna(row["value"]):
        return FEW_WORDS
    if pd.isna(row["low"]):
        return number(row["value"], metric)
    return f"{number(row['value'], metric)} ({number(row['low'], metric)} to {number(row['high'], metric)})"


def signed(value: float, metric: str) -> str:
    """Return a difference with its sign, in years or points."""
    return f"{value:+.2f}" if metric in YEARS else f"{100 * value:+.1f}"


def p_value(p: float) -> str:
    """Return a p-value, empty where there is none."""
    return "" if pd.isna(p) else "below 0.001" if p < 0.001 else f"{p:.3f}"


def file_size(size: float) -> str:
    """Return bytes in megabytes."""
    return f"{size / 1e6:.1f} MB"
