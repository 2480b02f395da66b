"""Faults that happen: after each, nothing half written, and a resume or a clear message."""

import csv
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from smart_retail.edge.bundle import write_bundle
from smart_retail.edge.manifest import NAME
from tests.helpers.children import kill_when, start_child
from tests.helpers.faults import breaks, small_disk
from tests.helpers.pictures import write_face
from tests.helpers.runs import checkpoint, load, run, write_config

STEPS = 5
RUN = Path("lightning_logs/tiny/version_0")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("fit", "--config", write_config(folder, trainer={"max_epochs": 1})) == 0
    return folder / RUN


def hidden(folder):
    return [path.name for path in folder.rglob(".*")]


def complaint(capfd, *words):
    capfd.readouterr()
    assert run(*words) == 2
    said = capfd.readouterr().err
    assert "Traceback" not in said
    return said[said.rindex("error:") :]


def own_faces(folder, count=64):
    """Return a source of faces that a test may destroy."""
    rows = ["path,gender,age,emotion"]
    for i in range(count):
        write_face(folder / "faces" / f"{i}.png", i)
        rows.append(f"faces/{i}.png,{('male', 'female')[i % 2]},{20 + i},happy")
    (folder / "faces.csv").write_text("\n".join(rows))
    return {"sources": [{"class_path": "FaceTable", "init_args": {"table": str(folder / "faces.csv")}}]}


class TestKill9:
    @pytest.mark.slow
    def test_within_the_write_of_a_checkpoint(self, here):
        large = {"model": {"backbone": "resnet10t"}}  # enough to be hit in its middle
        config = write_config(here, **large, last={"minutes": 1e-6})
        aside = checkpoint().with_name(".last.ckpt")
        second = lambda: checkpoint().exists() and aside.exists() and aside.stat().st_size > 1e6  # noqa: E731
        kill_when(start_child("fit", "--config", config), second)
        assert hidden(here) == [".last.ckpt"]  # half a file, aside
        assert load(checkpoint())["global_step"] < 2 * STEPS
        resumed = write_config(here, **large)
        assert run("fit", "--config", resumed, "--ckpt_path", "last") == 0
        assert load(checkpoint())["global_step"] == 2 * STEPS
        assert hidden(here) == []

    def test_within_an_export(self, here, trained):
        child = start_child("export", "--checkpoint", trained, "--output", "bundle")
        kill_when(child, lambda: any(here.glob(".bundle-aside-*/model.onnx")))
        assert not (here / "bundle").exists()
        with write_bundle(here / "bundle") as folder:  # as the next export does
            (folder / NAME).write_text("{}")
        assert hidden(here) == []

    def test_within_the_computation_of_soft_targets(self, here, trained):
        words = ["soft_targets", "--config", write_config(here), "--teachers", trained / "model.pth", "--views", "3"]
        kill_when(start_child(*words, "--output", "killed.npz"), lambda: (here / "killed.part.npz").exists())
        assert not (here / "killed.npz").exists()
        for name in ("killed.npz", "whole.npz"):
            assert run(*words, "--output", name) == 0
        with np.load("killed.npz") as killed, np.load("whole.npz") as whole:
            assert all(np.array_equal(killed[name], whole[name]) for name in whole.files)
        assert sorted(p.name for p in here.glob("*killed*")) == ["killed.npz"]
        assert hidden(here) == []


class TestAFullDisk:
    def test_when_a_checkpoint_is_written(self, here, capfd):
        with small_disk(here / "lightning_logs", 40_000) as disk:
            assert run("fit", "--config", write_config(here, trainer={"max_epochs": 1})) == 0
            before = checkpoint().read_bytes()
            free = shutil.disk_usage(disk).free
            (disk / "filler").write_bytes(bytes(free - 2_000_000))  # enough for the logs
            config = write_config(here)
            said = complaint(capfd, "fit", "--config", config, "--ckpt_path", "last")
            assert "last.ckpt cannot be written (No space left on device); the one before it is whole" in said
            assert checkpoint().read_bytes() == before
            assert hidden(disk) == []
            (disk / "filler").unlink()
            assert run("fit", "--config", config, "--ckpt_path", "last") == 0
            assert load(checkpoint())["global_step"] == 2 * STEPS

    def test_when_a_bundle_is_written(self, here, capfd, trained):
        with small_disk(here / "out", 400) as disk:
            said = complaint(capfd, "export", "--checkpoint", trained, "--output", disk / "bundle")
            assert "No space left on device" in said
            assert "bundle" in said
            assert list(disk.iterdir()) == []

    def test_when_soft_targets_are_written(self, here, capfd, trained):
        with small_disk(here / "out", 8) as disk:
            words = ["--teachers", trained / "model.pth", "--views", "1", "--output", disk / "soft.npz"]
            assert "No space left on device" in complaint(capfd, "soft_targets", "--config", write_config(here), *words)
            assert list(disk.iterdir()) == []

    def test_when_hashes_are_kept_costs_only_the_next_start(self, here, capfd, monkeypatch):
        config = write_config(here, data=own_faces(here))
        with small_disk(here / "cache", 4) as disk:
            monkeypatch.setenv("SMART_RETAIL_CACHE", str(disk))
            assert run("data", "--config", config) == 0
            assert list(disk.iterdir()) == []


def test_a_worker_that_dies_is_named_and_the_run_goes_on(here, capfd):
    config = write_config(here, data={"workers": 1}, trainer=breaks(STEPS + 2, "worker"))
    said = complaint(capfd, "fit", "--config", config)
    assert "a process that loads images was killed" in said
    assert "--ckpt_path last" in said
    assert load(checkpoint())["global_step"] == STEPS
    assert run("fit", "--config", write_config(here), "--ckpt_path", "last") == 0


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_data_folder_that_disappears_is_named(here, capfd, workers):
    data = own_faces(here) | {"workers": workers}
    config = write_config(here, data=data, trainer=breaks(STEPS + 1, "data"))
    assert "is the data folder still there" in complaint(capfd, "fit", "--config", config)
    assert load(checkpoint())["global_step"] >= STEPS


def test_images_that_break_in_a_training_are_counted(here):
    config = write_config(here, data=own_faces(here) | {"workers": 1}, trainer=breaks(2, "files"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run("fit", "--config", config) == 0
    assert any("2 validation faces of epoch 0 could not be read" in str(w.message) for w in caught)
    with (RUN / "metrics.csv").open() as file:
        counts = [row["val/unreadable"] for row in csv.DictReader(file) if row["val/score"]]
    assert [float(count) for count in counts] == [2, 2]


def test_an_error_in_ones_own_callback_at_the_end_costs_no_model(here, capfd):
    (here / "taken").mkdir()
    (here / "taken" / "notes.txt").write_text("no bundle")
    own = [
        {"class_path": "ModelCheckpoint", "init_args": {"dirpath": "own", "every_n_train_steps": STEPS - 2}},
        {"class_path": "smart_retail.callbacks.onnx_export.ONNXExport", "init_args": {"output": "taken"}},
    ]
    config = write_config(here, trainer={"max_epochs": 1, "callbacks": own})
    assert "taken exists and is no bundle" in complaint(capfd, "fit", "--config", config)
    assert len(list((here / "own").iterdir())) == 1
    model, best = load(RUN / "model.pth")["model_state_dict"], load(checkpoint("best"))["state_dict"]
    assert all(torch.equal(value, best[f"net.{name}"]) for name, value in model.items())


class TestALossThatIsNoNumber:
    def test_stops_the_run_keeps_the_checkpoints_and_can_be_replayed(self, here, capfd):
        said = complaint(capfd, "fit", "--config", write_config(here, trainer=breaks(STEPS + 2, "rate")))
        kept = RUN / "diverged" / f"step_{STEPS + 3}_rank_0.pt"
        assert f"step {STEPS + 3} (epoch 1): the loss is nan" in said
        assert str(kept) in said
        assert load(checkpoint())["global_step"] == STEPS
        assert load(checkpoint("best"))["global_step"] == STEPS
        assert not (RUN / "model.pth").exists()
        names = kept.with_suffix(".txt").read_text().split()
        assert len(names) == 8
        assert all(Path(name).is_file() for name in names)
        assert run("replay", kept) == 0
        said = capfd.readouterr().out
        assert f"step {STEPS + 3}: loss nan" in said
        assert "first layer whose output is no number: backbone" in said
        assert "gradients that are no numbers" in said

    def test_no_other_file_is_replayed(self, here, capfd, trained):
        assert "no file of a diverged training" in complaint(capfd, "replay", trained / "model.pth")

    def test_a_step_of_qat_is_not_replayed(self, here, capfd):
        state = {"net.stem.conv.input_range": torch.zeros(2)}
        torch.save({"batch": {}, "random_state": torch.get_rng_state(), "files": [], "state_dict": state}, "step.pt")
        assert "is of quantisation-aware training" in complaint(capfd, "replay", "step.pt")
