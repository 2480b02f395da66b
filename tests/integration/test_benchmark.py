import json

import pytest

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.training.benchmark_loader import LOADER_BATCHES, long_loader
from tests.helpers.runs import run, write_config


def test_the_step_is_timed_beside_the_plain_loop(capsys):
    words = ["--backbone", "resnet10t", "--image_size", "32", "--batch_size", "2", "--rounds", "2", "--threads", "1"]
    assert run("benchmark", "step", *words, "--bf16", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found["images_per_second"]) == {"this project", "this project, bf16-mixed", "plain loop"}
    for rates in found["images_per_second"].values():
        assert 0 < rates["min"] <= rates["median"] <= rates["max"]


def test_the_table_shows_both(capsys):
    words = ["--backbone", "resnet10t", "--image_size", "32", "--batch_size", "2", "--rounds", "1", "--threads", "1"]
    assert run("benchmark", "step", *words) == 0
    said = capsys.readouterr().out
    assert "this project" in said
    assert "plain loop" in said


def test_the_loader_is_timed_beside_the_bare_decode(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("smart_retail.training.benchmark_loader.LOADER_FACES", 5)
    assert run("benchmark", "loader", "--config", write_config(tmp_path), "--format", "json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["images_per_second"]["bare decode"]["median"] > 0


def test_loader_and_step_are_compared_and_the_device_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("smart_retail.training.benchmark_loader.LOADER_FACES", 5)
    config = write_config(tmp_path)
    assert run("benchmark", "loader", "--config", config, "--data.workers", "0", "--bottleneck") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "is the bottleneck: the loader brings" in last
    assert "device: cpu" in last or "device: NVIDIA" in last


@pytest.mark.parametrize("workers", [0, 8])
def test_the_loader_is_timed_within_one_epoch_however_few_faces_there_are(workers):
    data = FaceDataModule([SyntheticFaces(count=24)], image_size=32, batch_size=8, workers=workers)
    assert len(data.train_dataloader()) < 4
    needed = (2 * workers + 1) + max(LOADER_BATCHES, 4 * workers)
    assert len(long_loader(data)) >= needed + 2 * workers


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["step", "--image_size", "0"], "--image_size 0 is too small"),
        (["bundle", "--image_size", "[64, 0]"], "--image_size 0 is too small"),
        (["step", "--teachers", "nowhere.pth", "--bf16"], "--teachers and --bf16, --compile"),
    ],
)
def test_what_cannot_be_timed_is_refused(words, said, capsys):
    assert run("benchmark", *words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["network"]])
def test_something_to_measure_must_be_named(words, capsys):
    assert run("benchmark", *words) == 2
    assert "benchmark step, benchmark loader, benchmark bundle" in capsys.readouterr().err
