"""``smart-retail reproduce``: run a training again and say what came out differently, and why it may have."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from smart_retail.arguments import command_parser, next_steps, parse
from smart_retail.callbacks.metrics_table import RESUMED
from smart_retail.callbacks.model_file import PROVENANCE
from smart_retail.config_files import read_yaml
from smart_retail.errors import CheckpointError, ConfigError, one_line
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.training.cli import logs_of

WEIGHTS = ("state_dict", "current_model_state")
DIFFERENT = 1
"""Exit code where the numbers are not the same."""


def reproduce(args: Sequence[str]) -> int:
    """Run again and compare; ``args`` are the words after ``reproduce``.

    Returns:
        Exit code: 0 if all numbers are the same.

    Raises:
        ConfigError: the folder is not that of a run.
        SystemExit: the new run failed.
    """
    parser = command_parser(
        "reproduce",
        "Train again with a run's own config, into a new run, and compare versions, commit, data, metrics and "
        "weights. Exit code 0: all numbers are equal to the bit; 1: some are not.",
    )
    parser.add_argument("folder", type=Path, help="of the run, lightning_logs/<run>/version_N")
    parser.add_argument("--run", type=str, help="name of the new run; the old one's and -again unless given")
    parser.add_argument("--against", type=Path, help="compare with this finished run instead of training")
    options = parse(parser, args)
    for name in ("config.yaml", PROVENANCE, "metrics.csv", "checkpoints/last.ckpt"):
        if not (options.folder / name).is_file():
            raise ConfigError(f"{options.folder} is not the folder of a run that can be repeated: it has no {name}")
    again = options.against or run_again(options.folder, options.run)
    if compare(options.folder, again, Console()):
        return 0
    print(next_steps(f"evaluate {options.folder} {again} --output report"))
    return DIFFERENT


def run_again(run: Path, name: str | None) -> Path:
    """Train with a run's config in a process of its own (several, if it was so); return the new run's folder.

    Raises:
        ConfigError: its config is damaged.
        SystemExit: with the exit code of a training that failed.
    """
    config = read_yaml(run / "config.yaml")
    for section, kind in (("run", str), ("trainer", dict)):
        if not isinstance(config, dict) or not isinstance(config.get(section), kind):
            raise ConfigError(f"{run / 'config.yaml'} is damaged: it has no {section}")
    name = name or f"{config['run']}-again"
    folder = logs_of(config["trainer"]) / name
    before = set(folder.glob("version_*"))
    words = ["--config", str(run / "config.yaml"), "--run", name, "--ckpt_path", "null"]
    code = subprocess.run([sys.executable, "-m", "smart_retail", "fit", *words], check=False).returncode
    new = set(folder.glob("version_*")) - before
    if code or not new:
        print(f"error: the new run ended with exit code {code}", file=sys.stderr)
        raise SystemExit(code or 2)
    return max(new, key=lambda path: path.stat().st_mtime)


def compare(then: Path, now: Path, console: Console) -> bool:
    """Print how two runs differ; return whether their numbers are the same."""
    odd = changed(read_provenance(then), read_provenance(now))
    if odd:
        table = Table(title="made by something else", title_justify="left")
        for column in ("what", "then", "now"):
            table.add_column(column, overflow="fold")
        for name, (old, new) in odd.items():
            table.add_row(name, str(old), str(new))
        console.print(table)
    else:
        console.print("made by the same: versions, commit, data, processes")
    same_metrics = _compare_metrics(metrics(then), metrics(now), console)
    same_weights = _compare_weights(then, now, console)
    console.print(f"{then} and {now}: " + ("equal to the bit" if same_metrics and same_weights else "not equal"))
    return same_metrics and same_weights


def read_provenance(run: Path) -> dict[str, Any]:
    """Return what made a run, as ``fit`` wrote it beside the config.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        provenance = json.loads((run / PROVENANCE).read_text(encoding="utf-8"))
        return {k: v for k, v in provenance.items() if k != "versions"} | dict(provenance["versions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{run / PROVENANCE} is damaged: {error}") from error


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the entries that differ, with both values."""
    names = [*then, *(name for name in now if name not in then)]
    return {name: (then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)}


def metrics(run: Path) -> dict[tuple[str, int], str]:
    """Return all logged numbers by name and step, as they are written.

    Training metrics of a resumed run cover only a part of the epochs in which it was stopped, and are left out, as
    are times. Up to version 0.1 such a run had several tables.

    Raises:
        ConfigError: a table is damaged.
    """
    earlier = [path for path in run.glob("metrics-*.csv") if re.fullmatch(r"metrics-[0-9]{1,9}", path.stem)]
    earlier.sort(key=lambda path: int(path.stem.rpartition("-")[2]))
    found = {}
    for path in [*earlier, run / "metrics.csv"]:
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = [(int(row["step"]), row) for row in csv.DictReader(file, restkey="", strict=True)]
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise ConfigError(f"{path} is damaged: {one_line(error)}") from error
        resumed = earlier or any(row.get(RESUMED) for _, row in rows)
        for step, row in rows:
            for name, value in row.items():
                partial = resumed and name.startswith("train/") and not name.startswith("train/step_")
                if value and name not in ("step", "epoch", RESUMED, "train/images_per_second") and not partial:
                    found[name, step] = value
    return found


def _compare_metrics(then: Mapping[tuple[str, int], str], now: Mapping[tuple[str, int], str], console: Console) -> bool:
    both = then.keys() & now.keys()
    odd = sorted((key for key in both if then[key] != now[key]), key=lambda key: (key[1], key[0]))
    console.print(f"metrics: {len(both) - len(odd)} of {len(both)} numbers are the same")
    for name, step in odd[:1]:
        console.print(f"  the first that is not: {name} at step {step}, {then[name, step]} then, {now[name, step]} now")
    for name in sorted({name for name, _ in odd if name.startswith("val/")}):
        step = max(step for key, step in both if key == name)
        console.print(f"  {name} at the end: {then[name, step]} then, {now[name, step]} now")
    if lonely := len(then.keys() ^ now.keys()):
        console.print(f"  {lonely} numbers are in one of the runs only")
    return bool(both) and not odd and not lonely


def _compare_weights(then: Path, now: Path, console: Console) -> bool:
    old, new = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (then, now))
    if old.get("global_step") != new.get("global_step"):
        console.print(f"weights: of step {old.get('global_step')} then, of step {new.get('global_step')} now")
        return False
    odd: dict[str, float] = {}
    count = 0
    for part in WEIGHTS:
        a, b = old.get(part, {}), new.get(part, {})
        if a.keys() != b.keys():
            raise CheckpointError(f"{now} is of another network than {then}")
        count += len(a)
        odd |= {
            f"{part} {n}": (a[n].double() - b[n].double()).abs().max().item() for n in a if not torch.equal(a[n], b[n])
        }
    console.print(f"weights: {count - len(odd)} of {count} tensors are equal to the bit")
    if odd:
        worst = max(odd, key=lambda name: odd[name])
        console.print(f"  the largest difference: {odd[worst]:.3g} in {worst}")
    return not odd
