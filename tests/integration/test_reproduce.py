"""The same seed gives the same numbers; what differs is told."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import smart_retail
from smart_retail.training.reproduce import metrics
from tests.helpers.runs import checkpoint, differing, load, run, write_config

RUN = Path("lightning_logs/tiny/version_0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("fit", "--config", write_config(folder)) == 0
    return folder


@pytest.fixture
def inside(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def copy(inside, tmp_path):
    return shutil.copytree(RUN, tmp_path / "copy")


def test_with_workers_the_same_numbers_to_the_bit(inside):
    assert run("fit", "--config", write_config(inside, run="workers", data={"workers": 2})) == 0
    assert differing(checkpoint(), checkpoint(run_name="workers")) == []
    assert len(metrics(RUN)) > 20
    assert metrics(RUN) == metrics(Path("lightning_logs/workers/version_0"))


def test_a_run_tells_what_made_it(inside):
    story = json.loads((RUN / "made_by.json").read_text())
    assert story["versions"]["torch"] == torch.__version__.split("+")[0]
    assert story["data_fingerprint"] == load(checkpoint())["made_by"]["data_fingerprint"]
    assert {"git", "processes", "threads", "device"} <= story.keys()


@pytest.mark.slow
def test_a_run_of_a_sweep_is_repeated_into_a_new_one(inside, monkeypatch, capfd):
    root = str(Path(smart_retail.__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    trial = shutil.copytree(RUN, Path("lightning_logs/ten/a/seed_0/version_0"))
    config = yaml.safe_load((trial / "config.yaml").read_text()) | {"run": "ten/a/seed_0"}
    (trial / "config.yaml").write_text(yaml.safe_dump(config))
    assert run("reproduce", trial) == 0
    said = capfd.readouterr().out
    assert "equal to the bit" in said
    assert "made by the same" in said
    assert checkpoint(run_name="ten/a/seed_0-again").is_file()


def test_what_differs_is_told(copy, capfd):
    story = json.loads((copy / "made_by.json").read_text())
    story["versions"]["numpy"] = "1.0"
    story["data_fingerprint"] = "0123456789abcdef"
    (copy / "made_by.json").write_text(json.dumps(story))
    table = (copy / "metrics.csv").read_text()
    loss = metrics(copy)["val/loss", 4]
    (copy / "metrics.csv").write_text(table.replace(loss, "7.5"))
    content = load(copy / "checkpoints/last.ckpt")
    content["state_dict"]["net.heads.gender.weight"][0, 0] += 0.5
    torch.save(content, copy / "checkpoints/last.ckpt")
    assert run("reproduce", RUN, "--against", copy) == 1
    said = " ".join(capfd.readouterr().out.split())
    for words in ("numpy", "0123456789abcdef", "val/loss at step 4", "7.5 now", "difference: 0.5", "not equal"):
        assert words in said


def test_a_folder_that_is_no_run_is_refused(inside, capfd):
    assert run("reproduce", inside) == 2
    assert "has no config.yaml" in capfd.readouterr().err
