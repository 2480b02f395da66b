"""Everything that was computed for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from smart_retail.evaluation.report import Table
from smart_retail.evaluation.wording import cell, metric_name


@dataclass(frozen=True)
class Findings:
    """Everything that was computed for a report.

    Attributes:
        tables: of predictions; the first one's network is reported, the others are compared with it.
        figures: of all, see ``metrics.tabulate``, with a column ``model``.
        comparison: see ``compare.compare_all``; empty for one network.
        robustness: see ``robustness.robustness``; empty if not measured.
        thumbnails: of the worst mistakes, by key.
    """

    tables: Sequence[pd.DataFrame]
    figures: pd.DataFrame
    comparison: pd.DataFrame
    robustness: pd.DataFrame
    thumbnails: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the network that is reported."""
        return str(self.tables[0].attrs["model"])

    def of(self, part: str) -> pd.DataFrame:
        """Return the reported network's figures of one part."""
        rows = self.figures[(self.figures["model"] == self.name) & (self.figures["part"] == part)]
        return rows.drop(columns="model")


def _repeats(metric: str, by_name: Mapping[str, pd.Series]) -> bool:
    """Whether an opinion on emotions is the one that the network learnt, whose figures are shown already."""
    opinion, _, kind = metric.rpartition("_")
    learnt = by_name.get(f"emotion_{kind}")
    return opinion in ("emotion_crowd", "emotion_original") and learnt is not None and learnt.equals(by_name[metric])


def grid(rows: pd.DataFrame, title: str = "", *, folded: bool = False) -> Table:
    """Return figures of one part as a table: a row a group, a column a metric."""
    by_name = {str(name): values.set_index("group")["value"] for name, values in rows.groupby("metric")}
    metrics = [metric for metric in map(str, rows["metric"].unique()) if not _repeats(metric, by_name)]
    cells = []
    for group, values in rows.groupby("group", sort=False):
        by_metric = values.set_index("metric")
        row = [cell(by_metric.loc[m], m) if m in by_metric.index else "" for m in metrics]
        cells.append([str(group), f"{by_metric['faces'].max():,}", *row])
    return Table(["", "labels, at most", *(metric_name(m) for m in metrics)], cells, title, folded)
