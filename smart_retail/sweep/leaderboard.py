"""The table of a study: terminal, CSV, Markdown and TensorBoard's HParams."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from smart_retail.data.cache import write_aside
from smart_retail.sweep.plan import SweepSettings
from smart_retail.sweep.study import shown

METRICS = ("gender_acc", "age_mae", "emotion_acc")
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
ORDER = {"complete": 0, "pruned": 1, "running": 2, "waiting": 3, "failed": 4}


def leaderboard(trials: Sequence[FrozenTrial], direction: str) -> pd.DataFrame:
    """Return one row a configuration, the best first.

    ``score`` is what is compared; it and the metrics (also of each data set: ``utkface/age_mae``) are
    means over the seeds, of each seed's best epoch; ``*_spread`` their sample standard deviation;
    ``minutes`` is of one training; ``latency_ms`` of one image on one thread.

    Args:
        trials: of a study, in the order of their numbers; of a configuration the last one counts.
        direction: ``maximize`` or ``minimize``.
    """
    newest = {trial.user_attrs["name"]: trial for trial in trials}  # a retry takes its trial's place
    rows = pd.DataFrame([_row(trial) for trial in newest.values()])
    if rows.empty:
        return rows
    sign = -1 if direction == "maximize" else 1
    rows["order"] = rows["state"].map(ORDER)
    rows["key"] = sign * pd.to_numeric(rows["score"])
    rows = rows.sort_values(["order", "key"], kind="stable", ignore_index=True).drop(columns=["order", "key"])
    rank = pd.Series(range(1, len(rows) + 1), dtype="Int64").where(rows["state"] == "complete")
    rows.insert(0, "rank", rank)
    return rows


def _row(trial: FrozenTrial) -> dict[str, Any]:
    runs = trial.user_attrs.get("runs", {})
    done = pd.DataFrame([run["values"] for run in runs.values() if run.get("values")], dtype=float)
    row: dict[str, Any] = {"configuration": trial.user_attrs["name"], "state": STATES[trial.state]}
    each = sorted(str(name) for name in done.columns if "/" in str(name) and str(name).endswith(METRICS))
    for name, column in ({"objective": "score"} | {name: name for name in (*METRICS, *each)}).items():
        values = done[name].dropna() if name in done else pd.Series(dtype=float)
        row[column] = values.mean() if len(values) else float("nan")
        row[f"{column}_spread"] = values.std(ddof=1) if len(values) > 1 else float("nan")
    row["seeds"] = len(done)
    seconds = [run["seconds"] for run in runs.values() if run.get("seconds")]
    row["minutes"] = sum(seconds) / len(seconds) / 60 if seconds else float("nan")
    for name in ("parameters", "latency_ms"):
        row[name] = done[name].mean() if name in done else float("nan")
    row["reason"] = trial.user_attrs.get("reason", "")
    settings: dict[str, Any] = trial.user_attrs.get("chosen", trial.user_attrs.get("settings", {}))
    return row | settings


def write(study: optuna.Study, plan: SweepSettings) -> pd.DataFrame:
    """Write ``leaderboard.csv`` and ``leaderboard.md`` into the study's folder, whole or not at all."""
    rows = leaderboard(shown(study), plan.direction)
    _replace(plan.folder / "leaderboard.csv", rows.to_csv(index=False, float_format="%.6g"))
    columns, cells = _cells(rows, plan)
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells]
    _replace(plan.folder / "leaderboard.md", f"# {plan.name}\n\n" + "\n".join(lines) + "\n")
    return rows


def _replace(path: Path, text: str) -> None:
    with write_aside(path) as aside:
        Path(aside).write_text(text, encoding="utf-8")


def show(rows: pd.DataFrame, plan: SweepSettings, console: Console) -> None:
    """Print the table."""
    columns, cells = _cells(rows, plan)
    table = Table(title=plan.name)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _cells(rows: pd.DataFrame, plan: SweepSettings) -> tuple[list[str], list[list[str]]]:
    """Return head and text of the table; a task measured on several data sets has a column for each."""
    seeds = ["seeds"] if len(plan.seeds) > 1 else []
    metrics = {"score": plan.metric}
    for metric in METRICS:
        each = [str(name) for name in rows.columns if str(name).endswith(f"/{metric}")]
        named = {name: f"{_title(metric)} {name.partition('/')[0]}" for name in each}
        metrics |= named if len(each) > 1 else {metric: _title(metric)}
    columns = ["rank", "configuration", "state", *metrics.values(), *seeds]
    columns += ["minutes", "million parameters", "latency ms", "why"]
    cells = []
    for row in rows.to_dict("records"):
        values = [_with_spread(row[name], row[f"{name}_spread"], *_style(name)) for name in metrics]
        rank = "" if pd.isna(row["rank"]) else str(int(row["rank"]))
        rest = [_number(row["minutes"], 1), _number(row["parameters"] / 1e6, 2), _number(row["latency_ms"], 1)]
        count = [str(row["seeds"])] if seeds else []
        cells.append([rank, row["configuration"], row["state"], *values, *count, *rest, row["reason"]])
    return columns, cells


def _title(metric: str) -> str:
    return metric.replace("_mae", " MAE").replace("_", " ")


def _style(name: str) -> tuple[float, int, str]:
    """Return factor, digits and unit of a metric in the table."""
    return (100, 1, "%") if name.endswith("_acc") else (1, 2, "") if name.endswith("_mae") else (1, 4, "")


def _number(value: float, digits: int) -> str:
    return "" if pd.isna(value) else f"{value:.{digits}f}"


def _with_spread(mean: float, spread: float, scale: float, digits: int, unit: str) -> str:
    text = _number(mean * scale, digits)
    if text and not pd.isna(spread):
        text += f" ± {_number(spread * scale, digits)}"
    return text + (unit if text else "")


def write_hparams(row: dict[str, Any], plan: SweepSettings) -> None:
    """Add a finished configuration to TensorBoard's HParams view."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from torch.utils.tensorboard import SummaryWriter

    given = {k: row[k] for k in plan.varied() if k in row}
    settings = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in given.items()}
    names = ["score", *(name for name in row if name.endswith(METRICS)), "minutes", "parameters", "latency_ms"]
    metrics = {f"sweep/{name}": float(row[name]) for name in names if not pd.isna(row[name])}
    with SummaryWriter(str(plan.folder / "hparams")) as writer:
        writer.add_hparams(
            {"configuration": row["configuration"]} | settings, metrics, run_name=str(row["configuration"])
        )
