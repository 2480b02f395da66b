"""The table of a study: terminal, CSV, Markdown (and, by the command, TensorBoard's HParams tab)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from smart_retail.files import write_aside
from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.study import newest_trials

STATES = ("complete", "pruned", "running", "waiting", "failed")
"""By rank in the table."""
METRICS = ("_acc", "_mae")
"""How the names of shown metrics end."""


def leaderboard(trials: Iterable[FrozenTrial], direction: str) -> pd.DataFrame:
    """Return one row a configuration, the best first.

    ``score`` is what is compared; it and the metrics (also of each data set: ``utkface/age_mae``) are
    means over the seeds, of each seed's best epoch; ``*_spread`` their sample standard deviation;
    ``minutes`` is of one training; ``latency_ms`` of one image on one thread.
    """
    rows = pd.DataFrame([_row(trial) for trial in trials])
    if rows.empty:
        return rows
    rows = rows.astype({"score": float}).sort_values("score", ascending=direction == "minimize")
    rows = rows.sort_values("state", key=lambda states: states.map(STATES.index), kind="stable")
    ranks = pd.Series(range(1, len(rows) + 1), index=rows.index, dtype="Int64")
    rows.insert(0, "rank", ranks.where(rows["state"] == "complete"))
    return rows.reset_index(drop=True)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    given = trial.user_attrs
    runs = [run for name, run in given.items() if name.startswith("seed_")]
    done = [run["values"] | {"score": run["values"]["objective"]} for run in runs if "values" in run]
    values: Any = pd.DataFrame(done, columns=None if done else ["score"], dtype=float)
    state = "failed" if trial.state == TrialState.FAIL else trial.state.name.lower()
    row = {"configuration": given["name"], "state": state}
    for name in ["score", *sorted(name for name in values if name.endswith(METRICS))]:
        row |= {name: values[name].mean(), f"{name}_spread": values[name].std()}
    row |= {"seeds": len(done), "minutes": sum(run["seconds"] for run in runs) / 60 / len(runs) if runs else None}
    row |= {name: values[name].mean() if name in values else None for name in ("parameters", "latency_ms")}
    row["reason"] = given.get("reason", "its worker was killed" * (state == "failed"))
    return row | (given["settings"] or {})


def hparams(row: dict[Any, Any]) -> tuple[dict[str, str], dict[str, float]]:
    """Return the settings of a row, and its means as ``sweep/score``, ..., for TensorBoard's HParams tab."""
    given = {name: str(value) for name, value in row.items() if "." in name or name == "configuration"}
    shown = [name for name in row if name.endswith(METRICS) or name in ("score", "minutes", "parameters", "latency_ms")]
    return given, {f"sweep/{name}": float(row[name]) for name in shown if not pd.isna(row[name])}


def write(study: optuna.Study, plan: SweepSettings) -> pd.DataFrame:
    """Write ``leaderboard.csv`` and ``leaderboard.md`` into the study's folder, whole or not at all."""
    rows = leaderboard(newest_trials(study).values(), plan.direction)
    text = io.StringIO()
    Console(file=text, width=10_000).print(table(rows, plan))
    markdown = f"# {plan.name}\n\n{text.getvalue().strip()}\n"
    for name, content in (("csv", rows.to_csv(index=False, float_format="%.6g")), ("md", markdown)):
        with write_aside(plan.folder / f"leaderboard.{name}") as aside:
            aside.write_text(content, encoding="utf-8")
    return rows


def table(rows: Any, plan: SweepSettings) -> Table:
    """Return what is shown of the rows; a metric that was measured on several data sets has a column for each."""
    metrics = {"score": plan.metric}
    for metric in [name for name in rows if name.endswith(METRICS) and "/" not in name]:
        first, *_, last = metric.split("_")
        if metric != f"{first}_{last}" in rows:  # of emotion_acc and emotion_crowd_acc the first is shown
            continue
        each = [name for name in rows if name.endswith(f"/{metric}")]
        metrics |= {name: name.replace("_", " ") for name in (each if len(each) > 1 else [metric])}
    shown, seeds = Table("rank", "configuration", "state", *metrics.values(), box=MARKDOWN), len(plan.seeds) > 1
    for column in (*["seeds"] * seeds, "minutes", "million parameters", "latency ms", "why"):
        shown.add_column(column, overflow="fold")
    for row in rows.to_dict("records"):
        cells = [_number(row["rank"], 0), row["configuration"], row["state"]]
        cells += [_with_spread(row[name], row[f"{name}_spread"], name) for name in metrics]
        cells += [str(row["seeds"])] * seeds + [_number(row["minutes"], 1), _number(row["parameters"], 2, 1e-6)]
        shown.add_row(*cells, _number(row["latency_ms"], 1), row["reason"].replace("|", "/"))
    return shown


def _number(value: Any, digits: int, scale: float = 1.0) -> str:
    return "" if pd.isna(value) else f"{value * scale:.{digits}f}"


def _with_spread(mean: float, spread: float, name: str) -> str:
    style = (1, 100.0) if name.endswith("_acc") else (2, 1.0) if name.endswith("_mae") else (4, 1.0)
    unit = "%" if name.endswith("_acc") and not pd.isna(mean) else ""
    return _number(mean, *style) + ("" if pd.isna(spread) else f" ± {_number(spread, *style)}") + unit
