import csv

import pytest

from smart_retail.callbacks.metrics_table import RESUMED, MetricsTable


def rows_of(folder):
    with (folder / "run/version_0/metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.fixture
def before(tmp_path):
    table = MetricsTable(tmp_path, "run", "version_0")
    for step in range(4):
        table.log_metrics({"loss": step / 10}, step)
    table.save()
    return tmp_path


def test_a_resumed_run_appends_and_says_where_it_was_resumed(before):
    table = MetricsTable(before, "run", "version_0", resumed_at=4)
    table.log_metrics({"loss": 0.5, "new": 1}, 4)
    table.finalize("success")
    assert [row["step"] for row in rows_of(before)] == ["0", "1", "2", "3", "4", "4"]
    assert rows_of(before)[4:] == [{RESUMED: "1", "step": "4"}, {"loss": "0.5", "new": "1", "step": "4"}]


def test_steps_that_are_made_once_more_have_one_row(before):
    table = MetricsTable(before, "run", "version_0", resumed_at=2)
    for step in (2, 3):
        table.log_metrics({"loss": 1.0}, step)
    table.finalize("success")
    assert [(r["step"], r["loss"]) for r in rows_of(before) if "loss" in r] == [
        ("0", "0.0"),
        ("1", "0.1"),
        ("2", "1.0"),
        ("3", "1.0"),
    ]


def test_opening_the_table_of_a_run_loses_no_row(before):
    assert MetricsTable(before, "run", "version_0", resumed_at=4).experiment is not None
    assert len(rows_of(before)) == 4
