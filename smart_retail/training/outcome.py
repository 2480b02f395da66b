"""The last lines of a training: what was reached, where it lies, and what to type next."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from shlex import join, quote

from smart_retail.arguments import next_steps
from smart_retail.callbacks.epoch_table import cell, figure_of
from smart_retail.contract import Contract
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.named_configs import by_name


def what_next(run: Path, words: Sequence[str], go_on: str = "", imports: Sequence[str] = ()) -> str:
    """Return what to say after a training.

    Args:
        run: its folder.
        words: of its command line.
        go_on: command that goes on with it, where it has more to do.
        imports: modules of one's own: a checkpoint alone imports nothing.
    """
    best = run / "checkpoints" / "best.ckpt"
    lines = [*(reached(run, best) if best.is_file() else ()), f"run: {run}"]
    if go_on:
        lines += ["trainer.max_time is over; it goes on with", f"  {go_on}"]
    if best.is_file():
        folder, own = quote(str(run)), "".join(f" --imports {name}" for name in imports)
        steps = _with_checkpoint("test", words, best), f"evaluate {folder} --output report{own}"
        lines.append(next_steps(*steps, f"export --checkpoint {folder} --output bundle{own}"))
    return "\n".join(lines)


def reached(run: Path, best: Path) -> list[str]:
    """Return the figures of the best epoch, as ``metrics.csv`` has them: a line overall, and one for each data set."""
    content = read_checkpoint(best)
    tasks, epoch = Contract.from_dict(content["contract"]).tasks, content["epoch"]
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/score") and row.get("epoch") == str(epoch)]
    if not rows:
        return []
    values = {name: float(text) for name, text in rows[-1].items() if text and name.startswith("val/")}
    told = {}
    for group in dict.fromkeys(["val/", *(name.rpartition("/")[0] + "/" for name in values)]):
        figures = [figure for task in tasks if (figure := figure_of(values, task, group))]
        told[group] = ", ".join(f"{title} {cell(values[name], form)}" for title, name, form in figures)
    first = f"best: epoch {epoch}, score {cell(values['val/score'], '.3f')}: {told.pop('val/')}"
    return [first, *(f"  {group.removeprefix('val/').rstrip('/')}: {text}" for group, text in told.items() if text)]


def go_on_command(words: Sequence[str], checkpoint: Path) -> str:
    """Return the command line of a training with the checkpoint that it goes on from."""
    return f"smart-retail {_with_checkpoint('fit', words, checkpoint)}"


def _with_checkpoint(command: str, words: Sequence[str], checkpoint: Path) -> str:
    kept, skip = [], False
    for word in words:
        if skip or word.partition("=")[0] == "--ckpt_path":
            skip = word == "--ckpt_path"
        else:
            kept.append(word)
    return join([command, *map(by_name, kept), "--ckpt_path", str(checkpoint)])
