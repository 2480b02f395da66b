import csv

import pandas as pd
import pytest

from tests.helpers.runs import run, write_config

SOURCES = [{"class_path": "SyntheticFaces", "init_args": {"count": 300, "every_label": True}}]


def test_a_report_of_a_trained_network_and_again_from_its_predictions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, trainer={"max_epochs": 1})
    assert run("fit", "--config", config) == 0
    model = "lightning_logs/tiny/version_0/model.pth"
    assert run("evaluate", model, "--config", config, "--split", "val", "--output", "report") == 0
    assert "goal above 75%" in capsys.readouterr().out
    figures = {(r["part"], r["metric"]): r for r in csv.DictReader((tmp_path / "report/figures.csv").open())}
    logged = list(csv.DictReader((tmp_path / "lightning_logs/tiny/version_0/metrics.csv").open()))
    for name in ("gender_acc", "age_mae", "age_cs5", "emotion_acc", "emotion_f1"):
        expected = next(float(r[f"val/{name}"]) for r in logged if r[f"val/{name}"])
        assert float(figures["all", name]["value"]) == pytest.approx(expected, rel=1e-4)
    assert run("evaluate", "report/predictions.parquet", "--output", "again") == 0
    for name in ("report.md", "report.html", "figures.csv"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "report" / name).read_text()
    words = ["--config", config, "--split", "val", "--output", "two"]
    assert run("evaluate", f"A={model}", f"a={model}", *words) == 0
    assert {p.stem for p in (tmp_path / "two").glob("*.parquet")} == {"predictions-a", "predictions-a-2"}


@pytest.mark.slow
def test_both_precisions_of_a_bundle_its_checkpoint_and_a_csv_side_by_side(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, model={"backbone": "resnet10t"}, data={"sources": SOURCES})
    assert run("fit", "--config", config, "--trainer.max_epochs", "1", "--data.limit_train", "16") == 0
    run_folder = "lightning_logs/tiny/version_0"
    gate = ("--gate.points", "100", "--gate.years", "100", "--int8.calibration_faces", "32")
    assert run("export", "--checkpoint", run_folder, "--output", "bundle", *gate) == 0
    words = ["--robustness", "4", "--thumbnails", "--output", "report", "--split", "val"]
    assert (
        run("evaluate", "bundle", "mine=" + run_folder, "--precision", "both", *words) == 0
    )  # on its own training's data
    out = capsys.readouterr().out
    assert "bundle INT8 against bundle FP32" in out and "mine against bundle FP32" in out
    rows = {
        (r["model"], r["metric"]): r
        for r in csv.DictReader((tmp_path / "report/comparison.csv").open())
        if r["group"] == "all"
    }
    assert abs(float(rows["mine", "age_mae"]["difference"])) < 1e-3  # FP32 says what the checkpoint says
    page = (tmp_path / "report/report.html").read_text()
    assert "deviation from PyTorch" in page and "data:image/jpeg" in page and "Worse pictures" in page
    tables = [tmp_path / f"report/predictions-{name}.parquet" for name in ("bundle-fp32", "bundle-int8", "mine")]
    theirs = pd.read_parquet(tables[2])[["key"]].assign(age_pred=30.0)
    theirs.to_csv("theirs.csv", index=False)
    assert run("evaluate", tables[0], "theirs.csv", "--output", "again") == 0
    assert "theirs against bundle FP32: age" in capsys.readouterr().out
    assert "Worse pictures" in (tmp_path / "again/report.html").read_text()
    assert run("evaluate", "bundle", "--config", "none.yaml", "--output", "none") == 2
    assert not (tmp_path / "none").exists()


def test_what_is_missing_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", "--output", "report") == 2
    assert "required: models" in capsys.readouterr().err
    assert run("evaluate", "none.pth", "--output", "report") == 2
    assert "none.pth: no such checkpoint" in capsys.readouterr().err
    assert run("evaluate", "none.pth", "--robustness", "-5", "--output", "report") == 2
    assert "--robustness -5 must be 1 or more" in capsys.readouterr().err
    assert run("evaluate", "none.pth", "--robustness", "5", "--kinds", "gray", "--output", "report") == 2
    assert "'gray' is none of" in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    assert run("evaluate", "folder", "--output", "report") == 2
    assert "neither a bundle" in capsys.readouterr().err
    (tmp_path / "t.csv").write_text("key,age,age_pred\na,1,2\n")
    assert run("evaluate", "t.csv", "--thumbnails", "--output", "report") == 2
    assert "--thumbnails needs a network" in capsys.readouterr().err
    assert run("evaluate", "t.csv", "--output", "report") == 0
    assert not list((tmp_path / "report").glob("comparison.csv"))
