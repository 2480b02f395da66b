"""What a training shows, and a run that is its folder whatever loggers there are."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from smart_retail import load_model
from tests.helpers.clocks import set_clock
from tests.helpers.pictures import write_face
from tests.helpers.runs import checkpoint, load, run, write_config

RUN = Path("lightning_logs/tiny/version_0")
SHORT = {"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 1}
LEAVES = {"config.yaml", "metrics.csv", "best.ckpt", "last.ckpt", "model.pth", "made_by.json"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stop(step, way="interrupt"):
    return {"callbacks": [{"class_path": "tests.helpers.stops.StopAt", "init_args": {"step": step, "way": way}}]}


def rows_of(run_folder):
    with (run_folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def lines_of(said):
    """Return the cells of the epochs' lines, by the titles above them."""
    titles, *lines = [text for text in said.splitlines() if re.match(r" +(epoch|\d+) ", text)]
    names = titles.replace(" loss", "_loss").split()
    return [dict(zip([*names, "best"], text.replace(" y ", "   ").split(), strict=False)) for text in lines]


def test_the_table_tells_what_metrics_csv_tells_without_a_carriage_return(here, capfd):
    assert run("fit", "--config", write_config(here)) == 0
    said, told = capfd.readouterr()
    rows, lines = rows_of(RUN), lines_of(said)
    assert [text for text in (said + told).splitlines(keepends=True) if "\r" in text] == []
    assert max(len(text) for text in said.splitlines() if "smart-retail" not in text) <= 100
    assert [line["epoch"] for line in lines] == ["0", "1"]
    for name, key, form in (
        ("train_loss", "train/loss", "{:.3f}"),
        ("val_loss", "val/loss", "{:.3f}"),
        ("gender", "val/gender_acc", "{:.1%}"),
        ("age", "val/age_mae", "{:.1f}"),
        ("emotion", "val/emotion_acc", "{:.1%}"),
        ("score", "val/score", "{:.3f}"),
    ):
        figures = [form.format(float(row[key])) for row in rows if key in row]
        assert [line[name] for line in lines] == figures
    assert lines[0]["best"] == "best"
    best = max(rows, key=lambda row: float(row.get("val/score", -1)))
    assert f"best: epoch {best['epoch']}, score {float(best['val/score']):.3f}: gender" in said
    assert "10 steps in all teach a network little" in told
    assert all(f"smart-retail {command} " in said for command in ("test", "evaluate", "export"))


@pytest.mark.parametrize("way", ["interrupt", "terminate", "clock"])
def test_a_stopped_run_tells_the_command_that_goes_on(here, way, capfd, monkeypatch):
    set_clock(monkeypatch)
    slow = {"callbacks": [{"class_path": "tests.helpers.clocks.Clock", "init_args": {"seconds": 4}}]}
    config = write_config(here, trainer=slow if way == "clock" else stop(3, way))
    clock = ["--trainer.max_time", "00:00:00:10"] if way == "clock" else []
    code = run("fit", "--config", config, "--run", "my run", *clock)
    assert code == {"interrupt": 130, "terminate": 143, "clock": 0}[way]
    command = next(line for line in "".join(capfd.readouterr()).splitlines() if line.startswith("  smart-retail fit"))
    words = shlex.split(command)[2:]
    named = ["--ckpt_path", str(checkpoint(run_name="my run"))]
    assert words == ["--config", str(config), "--run", "my run", *clock, *named]
    settings = ["--trainer.callbacks", "null", "--trainer.max_time", "null"]
    assert run("fit", *words, *settings) == 0
    assert load(checkpoint(run_name="my run"))["global_step"] == 10
    assert [path.name for path in Path("lightning_logs/my run").iterdir()] == ["version_0"]


def test_a_run_that_a_rule_of_its_own_ends_has_ended(here, capfd):
    assert run("fit", "--config", write_config(here, trainer=stop(1, "budget"))) == 0
    assert "smart-retail fit" not in "".join(capfd.readouterr())


def test_metrics_stay_one_table_when_a_run_is_resumed(here):
    assert run("fit", "--config", write_config(here, trainer=stop(6, "raise"))) != 0
    again = write_config(here)
    assert run("fit", "--config", again, "--ckpt_path", "last") == 0
    rows = rows_of(RUN)
    assert not list(RUN.glob("metrics-*"))
    assert [row["step"] for row in rows if "train/step_loss" in row] == [str(step) for step in range(10)]
    assert [row["epoch"] for row in rows if "val/score" in row] == ["0", "1"]
    losses = [float(row["train/loss"]) for row in rows if "train/loss" in row]
    assert len(losses) == 2 and min(losses) > 0


@pytest.mark.parametrize("logger", [None, False, "Service", "AsWandb"])
def test_two_runs_lie_in_two_folders_whatever_the_logger(here, logger):
    given = {"class_path": f"tests.helpers.loggers.{logger}"} if isinstance(logger, str) else logger
    config = write_config(here, trainer=SHORT | {"logger": given})
    for version in range(2):
        assert run("fit", "--config", config) == 0
        folder = Path(f"lightning_logs/tiny/version_{version}")
        assert {path.name for path in folder.rglob("*")} >= LEAVES
        assert bool(list(folder.glob("events.out*"))) == (logger is not False)
    assert {path.name for path in here.iterdir()} == {"lightning_logs", config.name}
    assert run("test", "--config", config, "--ckpt_path", "last") == 0


def test_a_training_that_never_began_leaves_no_folder(here, capsys):
    sources = [{"class_path": "FaceTable", "init_args": {"table": "gone.csv"}}]
    assert run("fit", "--config", write_config(here, data={"sources": sources})) == 2
    assert "gone.csv" in capsys.readouterr().err and not Path("lightning_logs").exists()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A run on a table of faces, started in the table's folder, that knows glasses."""
    folder = tmp_path_factory.mktemp("project")
    kinds = ("none", "glasses")
    for i in range(40):
        write_face(folder / f"{i}.png", i)
    rows = [f"{i}.png,{('male', 'female')[i % 2]},{20 + i},happy,{kinds[i % 2]}" for i in range(40)]
    (folder / "faces.csv").write_text("\n".join(["path,gender,age,emotion,glasses", *rows]))
    data = {
        "sources": [{"class_path": "FaceTable", "init_args": {"table": "faces.csv"}}],
        "tasks": {"glasses": {"classes": [*kinds]}},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = write_config(folder, data=data, trainer={"max_epochs": 1})
        assert run("fit", "--config", config) == 0
    return folder


def test_a_runs_data_are_found_from_anywhere(project, here, capsys):
    config = project / RUN / "config.yaml"
    assert run("test", "--config", config, "--ckpt_path", project / checkpoint("best")) == 0
    assert run("evaluate", project / RUN, "--output", "report", "--split", "val") == 0
    assert run("weights", "--checkpoint", project / RUN, "--output", "small.safetensors") == 0
    assert str(project).encode() not in Path("small.safetensors").read_bytes()
    assert run("data", "--config", project / "config0.yaml") == 0
    assert capsys.readouterr().err.count(f"note: faces.csv is not in this folder; {project / 'faces.csv'}") == 3


def test_a_moved_project_is_its_own(project, here, capsys):
    moved = shutil.copytree(project, here / "moved")
    assert run("evaluate", moved / RUN, "--output", "report", "--split", "val") == 0
    assert f"{moved / 'faces.csv'} is taken" in capsys.readouterr().err


def test_the_tasks_come_with_the_checkpoint(project, here, capsys):
    config = yaml.safe_load((project / "config0.yaml").read_text())
    del config["data"]["tasks"]
    (here / "without.yaml").write_text(yaml.safe_dump(config))
    words = ["--config", here / "without.yaml", "--ckpt_path", project / checkpoint("best")]
    assert run("test", *words) == 0
    said, told = capsys.readouterr()
    assert "test/glasses_acc" in said
    assert told.count("note: data.tasks is {'glasses'") == 1 and "note: model.tasks" not in told


def test_a_runs_folder_is_a_model(project):
    assert load_model(project / RUN).contract.task_names[-1] == "glasses"
