import csv

import pytest

from tests.helpers.runs import run, write_config


def test_a_report_of_a_trained_network_and_again_from_its_predictions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, trainer={"max_epochs": 1})
    assert run("fit", "--config", config) == 0
    model = "lightning_logs/tiny/version_0/model.pth"
    assert run("evaluate", model, "--config", config, "--split", "val", "--output", "report") == 0
    assert "promised above 75" in capsys.readouterr().out
    figures = {(r["part"], r["metric"]): r for r in csv.DictReader((tmp_path / "report/figures.csv").open())}
    logged = list(csv.DictReader((tmp_path / "lightning_logs/tiny/version_0/metrics.csv").open()))
    for name in ("gender_acc", "age_mae", "age_cs5", "emotion_acc", "emotion_f1"):
        expected = next(float(r[f"val/{name}"]) for r in logged if r[f"val/{name}"])
        assert float(figures["all", name]["value"]) == pytest.approx(expected, rel=1e-4)
    assert run("evaluate", "--from", "report/predictions.parquet", "--output", "again") == 0
    assert (tmp_path / "again/report.md").read_text() == (tmp_path / "report/report.md").read_text()


def test_what_is_missing_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", "--output", "report") == 2
    assert "name either a model or" in capsys.readouterr().err
    assert run("evaluate", "none.pth", "--output", "report") == 2
    assert "none.pth: no such checkpoint" in capsys.readouterr().err
