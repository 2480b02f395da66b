"""Running networks, reading predictions, computing all figures, and writing the report."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from smart_retail.arguments import as_list
from smart_retail.data.corruptions import KINDS, known_kinds
from smart_retail.data.face_crops import read_index
from smart_retail.edge.manifest import NAME as MANIFEST
from smart_retail.errors import ConfigError, DataError
from smart_retail.evaluation.compare import compare_all
from smart_retail.evaluation.findings import Findings
from smart_retail.evaluation.judging import Judge, predict, select
from smart_retail.evaluation.metrics import tabulate
from smart_retail.evaluation.mistakes import mistakes, thumbnails
from smart_retail.evaluation.model_spec import ModelSpec
from smart_retail.evaluation.networks import open_bundle, open_checkpoint
from smart_retail.evaluation.predictions import read_predictions, tasks_of_table, write_predictions
from smart_retail.evaluation.report import markdown, page
from smart_retail.evaluation.robustness import COLUMNS as ROBUSTNESS_COLUMNS
from smart_retail.evaluation.robustness import robustness
from smart_retail.evaluation.sections import build
from smart_retail.files import free_name, write_aside
from smart_retail.runs import find_checkpoint
from smart_retail.tasks import Task, checked
from smart_retail.training.data_cli import DataCLI

log = logging.getLogger(__name__)
ROBUSTNESS, COMPARISON = "robustness.csv", "comparison.csv"


def judge_all(asked: Sequence[ModelSpec], cli: DataCLI) -> Findings:
    """Run the networks, write what they said, and compute all figures.

    Args:
        asked: models and predictions.
        cli: options of the command, and settings of the data; without sources those of the first network's training.

    Raises:
        SmartRetailError: anything that is asked for cannot be read, or does not fit together.
    """
    options = cli.config
    kinds = known_kinds(as_list(options.kinds) or None)  # before the networks run
    opened = {a: open_networks(a, options.precision) for a in asked if not a.is_table}
    judges = [judge for several in opened.values() for judge in several]
    faces, about = _faces(judges, cli) if judges else (pd.DataFrame(), {})
    judged = iter(predict(judges, faces) if judges else ())
    tables: list[pd.DataFrame] = []
    taken: set[str] = set()
    for one in asked:
        if one.is_table:
            tables.append(_named(read_predictions(one.path, tables[0] if tables else None), one, tables))
            continue
        for judge in opened[one]:
            table = next(judged)
            table.attrs |= about | {"trained_on": judge.made_by.get("data_fingerprint") or ""}
            name = "predictions" if len(judges) == 1 else free_name(f"predictions-{_slug(judge.name)}", taken)
            write_predictions(table, options.output / f"{name}.parquet")
            tables.append(table)
    if options.robustness:
        worse = robustness(judges, faces, options.robustness, kinds)
    else:
        worse = _measured_before(asked[0].path.parent / ROBUSTNESS, tables) if not judges else _none_measured()
    figures = pd.concat([tabulate(t).assign(model=t.attrs["model"]) for t in tables], ignore_index=True)
    comparison = compare_all(tables) if len(tables) > 1 else pd.DataFrame()
    pictures = {}
    if options.thumbnails:
        keys = [str(key) for task in tasks_of_table(tables[0]) for key in mistakes(tables[0], task)["key"]]
        pictures = dict(thumbnails(faces, keys, judges[0].contract))
    return Findings(tables, figures, comparison, worse, pictures)


def open_networks(asked: ModelSpec, precision: str | None) -> list[Judge]:
    """Open a checkpoint, or a bundle in the precisions that are asked for."""
    if (asked.path / MANIFEST).is_file():
        return open_bundle(asked.path, asked.name, precision)
    if asked.path.is_dir() and not (asked.path / "checkpoints").is_dir():
        raise ConfigError(f"{asked.path} is neither a bundle (it has no {MANIFEST}) nor a run's folder")
    path = find_checkpoint(str(asked.path), run="run") if asked.path.is_dir() else asked.path
    return [open_checkpoint(path, asked.name)]


def _faces(judges: list[Judge], cli: DataCLI) -> tuple[pd.DataFrame, dict[str, str]]:
    settings, split = cli.config.data, cli.config.split
    if settings.sources:
        data = cli.data()
        data.contract = replace(data.contract, tasks=_tasks(judges))
        index = data.index
    elif config := judges[0].training():
        index = read_index(config, _tasks(judges))
    else:
        raise ConfigError(f"{judges[0].name} does not tell its training data; name them with --config FILE")
    fingerprint = index.fingerprint(judges[0].contract.tasks)
    for judge in judges:
        found = index.fingerprint(judge.contract.tasks)
        if judge.made_by.get("data_fingerprint") not in (None, "", found):
            log.warning(
                "%s was trained on other data or another split: it may have seen some of these faces", judge.name
            )
    return select(index, split, settings.limit_eval, settings.seed), {"split": split, "data_fingerprint": fingerprint}


def _tasks(judges: list[Judge]) -> tuple[Task, ...]:
    """Return the tasks of all networks.

    Raises:
        ConfigError: two have a task of one name with other classes.
    """
    found: dict[str, Task] = {}
    for judge in judges:
        for task in judge.contract.tasks:
            if found.setdefault(task.name, task).classes != task.classes:
                raise ConfigError(
                    f"{judge.name} knows {task.name} as {', '.join(task.classes)}, {judges[0].name} as "
                    f"{', '.join(found[task.name].classes)}: judge them one by one"
                )
    return checked(found.values())


def _named(table: pd.DataFrame, asked: ModelSpec, others: Sequence[pd.DataFrame]) -> pd.DataFrame:
    name = asked.name if asked.named else str(table.attrs.get("model") or asked.name)
    taken = [other.attrs["model"] for other in others]
    table.attrs["model"] = name if name not in taken else f"{name} ({asked.path.name})"
    if table.attrs["model"] in taken:
        raise ConfigError(f"two models are called {name}; give one another name: NAME={asked.path}")
    return table


def _measured_before(path: Path, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what an earlier run measured of the same networks."""
    if not path.is_file():
        return _none_measured()
    try:
        rows = pd.read_csv(path, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    if missing := [c for c in ROBUSTNESS_COLUMNS if c not in rows]:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}")
    rows["kind"] = rows["kind"].fillna("")
    known = rows["kind"].isin(["", *KINDS]) & rows["model"].isin([t.attrs["model"] for t in tables])
    return rows[known].reset_index(drop=True)


def _none_measured() -> pd.DataFrame:
    return pd.DataFrame(columns=ROBUSTNESS_COLUMNS)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.").lower() or "model"


def write_report(found: Findings, folder: Path) -> None:
    """Write all figures, the Markdown and the page; print the gist."""
    for name, rows in (("figures.csv", found.figures), (COMPARISON, found.comparison), (ROBUSTNESS, found.robustness)):
        if rows.empty:
            # Of an earlier report in this folder: it would be taken for this one's.
            (folder / name).unlink(missing_ok=True)
            continue
        with write_aside(folder / name) as aside:
            rows.to_csv(aside, index=False)
    report = build(found)
    text = markdown(report)
    for name, content in (("report.md", text), ("report.html", page(report))):
        with write_aside(folder / name) as aside:
            aside.write_text(content, encoding="utf-8")
    print(text.partition("\n## What is taken for what")[0])
    print(f"report: {folder / 'report.html'}")
