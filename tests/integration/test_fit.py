import csv

import pytest
import torch
import yaml

from smart_retail import load_model
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.runs import checkpoint, differing, load, run, write_config

METRICS = {"gender_acc", "gender_balanced_acc", "age_mae", "age_cs5", "emotion_acc", "emotion_f1", "loss", "score"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run of two epochs, shared by the tests that only look at it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = write_config(folder)
        assert run("fit", "--config", config) == 0
    return folder


@pytest.fixture
def inside(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def test_a_run_leaves_config_metrics_checkpoints_and_model(inside):
    found = {p.name for p in (inside / "lightning_logs/tiny/version_0").rglob("*")}
    assert {"config.yaml", "metrics.csv", "best.ckpt", "last.ckpt", "model.pth"} <= found
    assert any(name.startswith("events.out") for name in found)


def test_the_metrics_have_the_documented_names(inside):
    with (inside / "lightning_logs/tiny/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {f"val/{name}" for name in METRICS} <= rows[0].keys()
    assert {f"train/{name}" for name in METRICS} <= rows[0].keys()
    assert sum(bool(row["val/score"]) for row in rows) == 2


def test_checkpoints_hold_plain_types_only_and_tell_what_made_them(inside):
    content = load(checkpoint())
    assert content["hyper_parameters"]["backbone"] == "test_resnet"
    assert content["contract"]["image_size"] == 32
    assert content["made_by"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert len(content["made_by"]["data_fingerprint"]) == 16
    assert "synthetic" in content["made_by"]["data_terms"][0]
    assert yaml.safe_load(content["made_by"]["config"])


def test_the_model_file_is_the_best_checkpoints_network(inside):
    best, model = load(checkpoint("best")), load(inside / "lightning_logs/tiny/version_0/model.pth")
    assert {"model_state_dict", "hyper_parameters"} <= model.keys()
    assert all(torch.equal(best["state_dict"][f"net.{n}"], v) for n, v in model["model_state_dict"].items())


def test_load_model_gives_the_outputs_of_the_trained_module(inside):
    network = load_model(inside / "lightning_logs/tiny/version_0/model.pth")
    module = FaceAttributeModule.load_from_checkpoint(checkpoint("best"), map_location="cpu").eval()
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        for a, b in zip(network(images), module(images), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_load_model_reads_the_checkpoint_too(inside):
    a = load_model(checkpoint("best"))
    b = load_model(inside / "lightning_logs/tiny/version_0/model.pth")
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("command", ["test", "validate"])
def test_the_best_checkpoint_is_measured(inside, capsys, command):
    assert run(command, "--config", "config0.yaml", "--ckpt_path", "best") == 0
    shown = capsys.readouterr().out
    stage = "test" if command == "test" else "val"
    assert f"{stage}/gender_acc" in shown
    assert f"{stage}/age_mae" in shown


def test_measuring_makes_no_new_run(inside):
    run("test", "--config", "config0.yaml", "--ckpt_path", "last")
    assert [p.name for p in (inside / "lightning_logs").rglob("version_*")] == ["version_0"]


def test_validating_the_best_repeats_its_score(inside, capsys):
    run("validate", "--config", "config0.yaml", "--ckpt_path", "best")
    shown = capsys.readouterr().out
    score = next(line for line in shown.splitlines() if "val/score" in line)
    best = load(checkpoint("best"))["callbacks"]
    expected = next(v["best_model_score"] for v in best.values() if "best_model_score" in v)
    assert float(score.split("│")[2]) == pytest.approx(float(expected), abs=1e-4)


def test_the_config_of_a_run_repeats_it(inside, tmp_path, monkeypatch):
    config = (inside / "lightning_logs/tiny/version_0/config.yaml").resolve()
    monkeypatch.chdir(tmp_path)
    assert run("fit", "--config", config) == 0
    assert differing(inside / checkpoint(), checkpoint()) == []


def test_another_seed_gives_other_weights(inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("fit", "--config", inside / "config0.yaml", "--seed_everything", "1", "--trainer.max_epochs", "1") == 0
    assert differing(inside / checkpoint(), checkpoint())


def test_a_second_run_gets_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, trainer={"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 1})
    for version in range(2):
        assert run("fit", "--config", config) == 0
        assert checkpoint(version=version).is_file()


def test_a_network_learns_drawn_faces(tmp_path, monkeypatch):
    """Far from chance (0.5 and 0.17) in a few epochs, or the way from pixels to labels is broken."""
    monkeypatch.chdir(tmp_path)
    sources = [{"class_path": "SyntheticFaces", "init_args": {"count": 640, "every_label": True}}]
    config = write_config(
        tmp_path,
        model={"learning_rate": 4e-3, "dropout": 0.0},
        data={"sources": sources, "batch_size": 32, "augmentation": {"strength": 0.0}},
        trainer={"max_epochs": 8},
    )
    assert run("fit", "--config", config) == 0
    with (tmp_path / "lightning_logs/tiny/version_0/metrics.csv").open() as file:
        last = [row for row in csv.DictReader(file) if row["val/score"]][-1]
    assert float(last["val/gender_acc"]) > 0.75
    assert float(last["val/emotion_acc"]) > 0.4
    assert float(last["val/age_mae"]) < 16


@pytest.mark.parametrize(
    "model",
    [
        {"learn_task_weights": True, "label_smoothing": 0.1},
        {"age_head": "regression", "optimizer": "sgd", "schedule": "linear", "channels_last": False},
        {"backbone": "mobileone_s0"},
        {"task_weights": {"age": 0.5}},
    ],
)
def test_settings_of_the_module_train(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, model=model, trainer={"max_epochs": 1, "max_steps": 2})
    assert run("fit", "--config", config) == 0
    weights = load(checkpoint())["state_dict"]
    assert all(torch.isfinite(w.float()).all() for w in weights.values())


def test_progressive_sizes_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, data={"progressive": {0: 32, 1: 48}, "image_size": 48})
    assert run("fit", "--config", config) == 0
    assert load(checkpoint())["contract"]["image_size"] == 48


def test_fast_dev_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    alone = {"class_path": "lightning.pytorch.callbacks.DeviceStatsMonitor"}  # no list
    config = write_config(tmp_path, trainer={"fast_dev_run": 1, "callbacks": alone})
    assert run("fit", "--config", config) == 0
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("*.pth"))


def test_runs_lie_below_default_root_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, trainer={"default_root_dir": str(tmp_path / "disk"), "max_epochs": 1})
    assert run("fit", "--config", config) == 0
    assert (tmp_path / "disk/lightning_logs/tiny/version_0/checkpoints/best.ckpt").is_file()
    assert run("test", "--config", config, "--ckpt_path", "best") == 0
    assert run("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "2") == 0
    assert sorted(p.name for p in (tmp_path / "disk/lightning_logs/tiny").iterdir()) == ["version_0"]
    assert not (tmp_path / "lightning_logs").exists()


def test_a_run_starts_from_another_runs_weights(inside, capsys):
    """Under the name that the setting had in the configs of the first runs."""
    weights = inside / "lightning_logs/tiny/version_0/model.pth"
    config = write_config(inside, run="second", model={"weights": str(weights)}, trainer={"max_epochs": 1})
    assert run("fit", "--config", config) == 0
    assert load(checkpoint("best", run_name="second"))["hyper_parameters"]["init_weights"] == str(weights)
    weights.rename(weights.with_suffix(".gone"))  # not needed any more once there is a checkpoint
    assert run("test", "--config", config, "--ckpt_path", "best") == 0
    assert run("fit", "--config", config) == 2
    assert "no such checkpoint" in capsys.readouterr().err
    weights.with_suffix(".gone").rename(weights)
