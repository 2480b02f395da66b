"""Everything that was computed for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from smart_retail.evaluation.predictions import tasks_of_table
from smart_retail.evaluation.report import Row, Table
from smart_retail.evaluation.wording import Cell, cell, metric_name
from smart_retail.tasks import Task


@dataclass(frozen=True)
class Results:
    """Everything that was computed for a report.

    Tables of predictions: the first one's network is reported, the others are compared with it. The rest comes from
    ``tabulate`` (with a column ``model``), ``compare_all``, ``robustness``, ``worst_mistakes`` and ``thumbnails``;
    empty if not measured.
    """

    tables: Sequence[pd.DataFrame]
    figures: pd.DataFrame
    comparison: pd.DataFrame
    robustness: pd.DataFrame
    mistakes: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    thumbnails: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the network that is reported."""
        return str(self.tables[0].attrs["model"])

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks of the network that is reported."""
        return tasks_of_table(self.tables[0])

    def of(self, part: str) -> pd.DataFrame:
        """Return the reported network's figures of one part, without opinions that are the labels themselves."""
        rows = self.figures[(self.figures["model"] == self.name) & (self.figures["part"] == part)]
        values = rows.set_index(["metric", "group"])["value"]
        repeated = [
            f"{opinion}_{kind}"
            for task in self.tasks
            for opinion in task.opinions
            for kind in ("acc", "balanced_acc", "f1")
            if {f"{opinion}_{kind}", f"{task.name}_{kind}"} <= {*rows["metric"]}
            and values[f"{task.name}_{kind}"].equals(values[f"{opinion}_{kind}"])
        ]
        return rows[~rows["metric"].isin(repeated)].drop(columns="model")

    def table(self, part: str, title: str = "", *, folded: bool = False) -> Table:
        """Return the figures of one part as a table: a row a group, a column a metric."""
        rows = self.of(part)
        cells: list[Row] = []
        metrics = [*map(str, rows["metric"].unique())]
        for group, values in rows.groupby("group", sort=False):
            by_metric = values.set_index("metric")
            row = [cell(by_metric.loc[m], m) if m in by_metric.index else Cell("") for m in metrics]
            cells.append([str(group), f"{by_metric['faces'].max():,}", *row])
        return Table(["", "labels, at most", *(metric_name(m, self.tasks) for m in metrics)], cells, title, folded)
