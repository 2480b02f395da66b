"""What a bundle's networks are measured by: accuracy, groups, losses, calibration, latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.contract import Contract
from smart_retail.edge.calibration import calibrate
from smart_retail.edge.manifest import DROPS
from smart_retail.edge.processor import device
from smart_retail.edge.runtime import Feed
from smart_retail.evaluation.judging import Judge, as_columns
from smart_retail.evaluation.metrics import labelled, losses_between, tabulate
from smart_retail.evaluation.predictions import probability_columns
from smart_retail.tasks import Task
from smart_retail.timing import time_in_turns

LATENCY_ROUNDS = 30


def judge_of(name: str, run: Feed, contract: Contract, form: str) -> Judge:
    """Return a network that runs as a bundle's does; ``form`` tells what it answers of classes."""
    return Judge(name, contract, lambda crops: as_columns(run(crops), contract.tasks, logits=form == "logits"))


def figures_of(tables: Mapping[str, pd.DataFrame], tasks: Sequence[Task]) -> dict[str, Any]:
    """Return by variant its figures on all faces; and what each loses against FP32."""
    found: dict[str, Any] = {name: figures(table) for name, table in tables.items()}
    for name, key in DROPS.items():
        if name in tables:
            found[key] = losses_between(tables["fp32"], tables[name], tasks)
    return found


def figures(table: pd.DataFrame) -> dict[str, Any]:
    """Return by metric its ``value``, ``low``, ``high`` and ``faces``, on all faces of a table of predictions."""
    return {str(row["metric"]): _figure(row) for _, row in tabulate(table, ("all",)).iterrows()}


def groups(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the figures of each data set, pose, and group of race, gender and age that has enough faces."""
    found: dict[str, dict[str, Any]] = {}
    for _, row in tabulate(table, ("data set", "pose", "group")).iterrows():
        if not np.isnan(row["value"]):
            found.setdefault(str(row["group"]), {})[str(row["metric"])] = _figure(row)
    return found


def _figure(row: pd.Series) -> dict[str, float | None]:
    """Return value, interval and faces; an interval of a single cluster is not there."""
    values = {name: float(row[name]) for name in ("value", "low", "high")}
    return {n: None if np.isnan(v) else v for n, v in values.items()} | {"faces": int(row["faces"])}


def temperatures(table: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, Any]:
    """Return by task of classes its temperature and what it mends; tasks with too few faces are left out."""
    found = {}
    for task in (task for task in tasks if task.is_classes):
        known = labelled(table, task)
        found[task.name] = calibrate(known[probability_columns(task)].to_numpy(), known[task.name].to_numpy())
    return {task: values for task, values in found.items() if values}


def latency(networks: Mapping[str, Feed], crop: np.ndarray) -> dict[str, Any]:
    """Return the milliseconds of each network for a (1, S, S, 3) face on one thread, and the device."""
    seconds = time_in_turns({name: partial(run, crop) for name, run in networks.items()}, LATENCY_ROUNDS)
    medians = {name: 1000 * np.median(spent, axis=0) for name, spent in seconds.items()}
    rows = {name: {"wall_ms": float(wall), "processor_ms": float(own)} for name, (wall, own) in medians.items()}
    return {"device": device(), "threads": 1, "batch": 1, "variants": rows}
