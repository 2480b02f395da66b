"""Running networks, reading predictions, computing all figures, and writing the report."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from smart_retail.arguments import as_list
from smart_retail.config_files import training_config
from smart_retail.data.corruptions import KINDS, known_kinds
from smart_retail.data.face_crops import read_index
from smart_retail.edge.manifest import learnt
from smart_retail.errors import ConfigError, DataError, one_line
from smart_retail.evaluation.compare import compare_all
from smart_retail.evaluation.judging import Judge, predict, select
from smart_retail.evaluation.metrics import tabulate
from smart_retail.evaluation.mistakes import thumbnails, worst_mistakes
from smart_retail.evaluation.networks import ModelSpec, open_networks
from smart_retail.evaluation.predictions import read_predictions, tasks_of_table, write_predictions
from smart_retail.evaluation.report import markdown, page
from smart_retail.evaluation.results import Results
from smart_retail.evaluation.robustness import COLUMNS, robustness
from smart_retail.evaluation.sections import build
from smart_retail.files import free_name, write_aside
from smart_retail.own_code import check_imported
from smart_retail.runs import training_folders
from smart_retail.tasks import Task, checked
from smart_retail.training.data_cli import DataCLI

log = logging.getLogger(__name__)
ROBUSTNESS, COMPARISON = "robustness.csv", "comparison.csv"


def evaluate_all(models: Sequence[ModelSpec], cli: DataCLI) -> Results:
    """Run the networks, write their predictions, and compute all figures of networks and tables.

    Without sources in the settings, the data are those of the first network's training.

    Raises:
        SmartRetailError: anything that is asked for cannot be read, or does not fit together.
    """
    options = cli.config
    kinds = known_kinds(as_list(options.kinds) or None)  # before the networks run
    opened = {m: open_networks(m.path, m.name, options.precision) for m in models if not m.is_table}
    judges = [judge for several in opened.values() for judge in several]
    faces, about = _faces(judges, cli) if judges else (pd.DataFrame(), {})
    predicted = iter(predict(judges, faces) if judges else ())
    tables: list[pd.DataFrame] = []
    taken: set[str] = set()
    for model in models:
        if model.is_table:
            tables.append(_named(read_predictions(model.path, tables[0] if tables else None), model, tables))
            continue
        for judge in opened[model]:
            tables.append(next(predicted))
            trained_on = judge.made_by.get("data_fingerprint") or ""
            network = f"{judge.path}, {judge.contract.image_size} px"
            tables[-1].attrs |= about | {"trained_on": trained_on, "network": network}
            name = "predictions" if len(judges) == 1 else free_name(f"predictions-{_file_name(judge.name)}", taken)
            write_predictions(tables[-1], options.output / f"{name}.parquet")
    if options.robustness:
        worse = robustness(judges, faces, options.robustness, kinds)
    else:
        before = models[0].path.parent / ROBUSTNESS
        worse = pd.DataFrame(columns=COLUMNS) if judges or not before.is_file() else _read_robustness(before, tables)
    figures = pd.concat([tabulate(t).assign(model=t.attrs["model"]) for t in tables], ignore_index=True)
    comparison = compare_all(tables) if len(tables) > 1 else pd.DataFrame()
    mistakes = worst_mistakes(tables[0], tasks_of_table(tables[0]))
    keys = [str(key) for rows in mistakes.values() for key in rows["key"]]
    pictures = thumbnails(faces, keys, judges[0].contract) if options.thumbnails else {}
    return Results(tables, figures, comparison, worse, mistakes, pictures)


def _faces(judges: list[Judge], cli: DataCLI) -> tuple[pd.DataFrame, dict[str, str]]:
    settings, split = cli.config.data, cli.config.split
    if settings.sources:
        data = cli.data()
        data.contract = replace(data.contract, tasks=all_tasks(judges))
        index = data.index
    elif config := training_config(judges[0].made_by, training_folders(Path(judges[0].path))):
        check_imported(config, judges[0].name)
        index = read_index(config, all_tasks(judges))
    else:
        raise ConfigError(f"{judges[0].name} does not name its training data; name them with --config FILE")
    fingerprints = [index.fingerprint(learnt(judge.made_by, judge.contract.tasks)) for judge in judges]
    for judge, fingerprint in zip(judges, fingerprints, strict=True):
        if judge.made_by.get("data_fingerprint") not in (None, "", fingerprint):
            log.warning(
                "%s was trained on other data or another split: it may have seen some of these faces", judge.name
            )
    faces = select(index, split, settings.limit_eval, settings.seed)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return faces, {"split": split, "data_fingerprint": fingerprints[0], "date": today}


def all_tasks(judges: Sequence[Judge]) -> tuple[Task, ...]:
    """Return the tasks that all networks were trained on, each with the opinions of all.

    Raises:
        ConfigError: two have a task of one name with other classes.
    """
    found: dict[str, Task] = {}
    for judge in judges:
        for task in learnt(judge.made_by, judge.contract.tasks):
            known = found.setdefault(task.name, task)
            if known.classes != task.classes:
                raise ConfigError(
                    f"{judge.name} knows {task.name} as {', '.join(task.classes)}, {judges[0].name} as "
                    f"{', '.join(known.classes)}: evaluate them one by one"
                )
            found[task.name] = replace(known, opinions=tuple(dict.fromkeys((*known.opinions, *task.opinions))))
    return checked(found.values())


def _named(table: pd.DataFrame, model: ModelSpec, others: Sequence[pd.DataFrame]) -> pd.DataFrame:
    name = model.name if model.named else str(table.attrs.get("model") or model.name)
    taken = [other.attrs["model"] for other in others]
    table.attrs["model"] = name if name not in taken else f"{name} ({model.path.name})"
    if table.attrs["model"] in taken:
        raise ConfigError(f"two models are called {name}; give one another name: NAME={model.path}")
    return table


def _read_robustness(path: Path, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what an earlier run measured of the same networks."""
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {one_line(error)}") from error
    if missing := [c for c in COLUMNS if c not in rows]:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}")
    rows["kind"] = rows["kind"].fillna("")
    known = rows["kind"].isin(["", *KINDS]) & rows["model"].isin([t.attrs["model"] for t in tables])
    return rows[known].reset_index(drop=True)


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.").lower() or "model"


def write_report(results: Results, folder: Path) -> None:
    """Write all figures, the Markdown and the page; print the summary."""
    figures = {"figures.csv": results.figures, COMPARISON: results.comparison, ROBUSTNESS: results.robustness}
    report = build(results)
    texts = {"report.md": markdown(report), "report.html": page(report)}
    for name, rows in figures.items():
        if rows.empty:  # one of an earlier report in this folder would be taken for this one's
            (folder / name).unlink(missing_ok=True)
        else:
            texts[name] = rows.to_csv(index=False, lineterminator="\n")
    for name, text in texts.items():
        with write_aside(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")
    print(markdown(report, brief=True))
    print(f"report: {folder / 'report.html'}")
