"""A training with two processes: real ``fit``, ``validate`` and ``test`` over gloo."""

import csv

import pytest
import torch

from tests.helpers.pictures import write_face
from tests.helpers.ranks import DDP, finish, run_ranks, start_ranks
from tests.helpers.runs import checkpoint, differing, load, run, write_config

DATA = {
    "sources": [{"class_path": "SyntheticFaces", "init_args": {"count": 50}}],
    "batch_size": 5,
    "eval_batch_size": 2,  # of 5 faces rank 0 has two batches, rank 1 one
}
FIGURES = {"every_n_epochs": 2, "graph": False}
STEPS = 3
RUN = "lightning_logs/tiny/version_0"


def config_of(folder, **trainer):
    return write_config(folder, data=DATA, trainer=DDP | trainer, figures=FIGURES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_ranks("fit", "--config", config_of(folder)) == [0, 0], (folder / "rank0.log").read_text()
    return folder


@pytest.fixture
def inside(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def shown(table: str) -> dict[str, float]:
    """Read the metrics that ``validate`` or ``test`` prints."""
    rows = [line.split("│") for line in table.splitlines() if line.startswith("│")]
    return {name.strip(): float(value) for _, name, value, _ in rows}


def test_one_rank_writes(inside):
    assert [p.name for p in (inside / "lightning_logs/tiny").iterdir()] == ["version_0"]
    names = [p.name for p in (inside / RUN).rglob("*") if p.is_file()]
    assert sum(name.startswith("events.out") for name in names) == 1
    assert {"metrics.csv", "config.yaml", "best.ckpt", "last.ckpt", "model.pth"} <= set(names)
    assert load(checkpoint())["global_step"] == 2 * STEPS
    said = [(inside / f"rank{rank}.log").read_text() for rank in range(2)]
    assert not any("Warning" in text or "recommended" in text for text in said)


def test_one_rank_draws_and_reads_the_faces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "cache"))
    assert run_ranks("fit", "--config", config_of(tmp_path, max_steps=1)) == [0, 0]
    said = [(tmp_path / f"rank{rank}.log").read_text() for rank in range(2)]
    assert ["reading synthetic" in text for text in said] == [True, False]
    assert len(list((tmp_path / "cache").glob("hashes-*.parquet"))) == 1


@pytest.mark.parametrize("command", ["validate", "test"])
def test_what_they_measure_is_what_one_process_measures(inside, capsys, command):
    config = config_of(inside)
    assert run_ranks(command, "--config", config, "--ckpt_path", "last") == [0, 0]
    together = shown((inside / "rank0.log").read_text())
    alone = ["--trainer.devices", "1", "--trainer.strategy", "auto"]
    capsys.readouterr()
    assert run(command, "--config", config, "--ckpt_path", "last", *alone) == 0
    assert together == pytest.approx(shown(capsys.readouterr().out), rel=1e-5)
    assert len(together) > 8
    if command == "validate":
        with (inside / RUN / "metrics.csv").open() as file:
            row = [row for row in csv.DictReader(file) if row["val/score"]][-1]
        assert {name: float(row[name]) for name in together} == pytest.approx(together, rel=1e-5)


def test_a_task_without_labels_on_any_rank_is_left_out(inside):
    """Here no face has an age or an emotion; the ranks still agree on what to log."""
    rows = [f"{i}.png,{('male', 'female')[i % 2]}" for i in range(24)]
    (inside / "faces.csv").write_text("\n".join(["path,gender", *rows]))
    for i in range(24):
        write_face(inside / f"{i}.png", i)
    sources = [{"class_path": "FaceTable", "init_args": {"table": "faces.csv"}}]
    config = write_config(inside, data=DATA | {"sources": sources}, trainer=DDP)
    settings = ["--model.task_weights", "{age: 0, emotion: 0}", "--run", "genders", "--trainer.max_steps", "2"]
    assert run_ranks("fit", "--config", config, *settings) == [0, 0], (inside / "rank0.log").read_text()


def test_a_signal_to_one_rank_stops_all_and_the_run_goes_on_to_the_bit(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stop = {"class_path": "tests.helpers.stops.StopAt", "init_args": {"step": 2, "way": "terminate", "rank": 1}}
    assert run_ranks("fit", "--config", config_of(tmp_path, callbacks=[stop])) == [143, 143]
    assert load(checkpoint())["global_step"] == 2
    states = load(checkpoint())["callbacks"]["LastCheckpoint"]["random_state"]
    assert not torch.equal(states[0]["cpu"], states[1]["cpu"])  # else both would drop the same features
    assert run("fit", "--config", write_config(tmp_path, data=DATA), "--ckpt_path", "last") == 2  # one is not two
    assert run_ranks("fit", "--config", config_of(tmp_path), "--ckpt_path", "last") == [0, 0]
    assert differing(trained / checkpoint(), checkpoint()) == []


def test_a_killed_rank_ends_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stop = {"class_path": "tests.helpers.stops.StopAt", "init_args": {"step": 3, "way": "kill", "rank": 1}}
    processes = start_ranks("fit", "--config", config_of(tmp_path, callbacks=[stop], max_steps=4))
    assert finish(processes) == [2, -9]
    said = (tmp_path / "rank0.log").read_text()
    assert "another process of this training has ended" in said
    assert "Traceback" not in said
