"""``metrics.csv``: one table of a run, however often it is resumed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_info

from smart_retail.files import write_aside

RESUMED = "resumed"
"""Column with a 1 in the row at whose step the run was resumed: training figures of that epoch are of a part of it."""


class MetricsTable(CSVLogger):
    """Lightning's table, to which a resumed run appends."""

    def __init__(self, logs: Path, name: str, version: str, resumed_at: int | None = None) -> None:
        """Name the run.

        Args:
            logs: folder of all runs.
            name: of the run.
            version: ``version_N``.
            resumed_at: steps of the checkpoint that the run goes on from; rows of later ones are written anew.
        """
        super().__init__(str(logs), name, version, flush_logs_every_n_steps=50)
        self.resumed_at = resumed_at

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made at its first use."""
        if self._experiment is None:
            self._experiment = Writer(self.log_dir, self.resumed_at)
        return self._experiment


class Writer(ExperimentWriter):
    """Keeps the rows of the run so far."""

    def __init__(self, log_dir: str, resumed_at: int | None) -> None:
        """Drop the rows of steps that are made once more."""
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        if resumed_at is None or not path.is_file():
            return
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            before = list(table)
        rows = [row for row in before if (row.get("step") or "").isdecimal() and int(row["step"]) < resumed_at]
        if again := len(before) - len(rows):
            rank_zero_info(f"{path}: {again} rows of steps after {resumed_at} are made anew")
        self.metrics_keys = sorted({*(table.fieldnames or ()), "step", RESUMED})
        self._rewrite(rows)
        self.log_metrics({RESUMED: 1}, resumed_at)

    def _check_log_dir_exists(self) -> None:
        """Keep what is there; Lightning deletes it."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with Path(self.metrics_file_path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self._rewrite(rows)

    def _rewrite(self, rows: Sequence[dict[str, Any]]) -> None:
        with write_aside(Path(self.metrics_file_path)) as aside, aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.metrics_keys, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
