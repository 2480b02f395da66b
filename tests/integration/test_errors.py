"""What a user can put right: one or two lines that name it, exit code 2, no traceback."""

import os
import shutil

import pytest
import torch

from tests.helpers.pictures import truncate
from tests.helpers.runs import checkpoint, load, run, write_config
from tests.helpers.trees import write_fer2013, write_table, write_utkface


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source(name, **settings):
    return {"sources": [{"class_path": name, "init_args": settings}]}


def complaint(capfd, *words):
    """Run a command that must fail and return what it says."""
    capfd.readouterr()
    code = run(*words)
    said = capfd.readouterr().err
    assert code == 2
    assert "Traceback" not in said
    lines = said[said.index("error:") :].strip().splitlines()
    assert len(lines) <= 3
    return " ".join(lines)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"learning_rat": 1e-3}}, "learning_rat"),
        ({"data": {"batchsize": 3}}, "batchsize"),
        ({"data": {"splits": {"val_shar": 0.1}}}, "val_shar"),
        ({"trainer": {"max_epoch": 3}}, "max_epoch"),
        ({"modell": {"backbone": "resnet10t"}}, "modell"),
        ({"model": {"learning_rate": "fast"}}, "learning_rate"),
        ({"model": {"backbone": "mobileon_s2"}}, "no backbone 'mobileon_s2'; near it: mobileone_s2"),
        ({"model": {"optimizer": "adamm"}}, "optimizer 'adamm' is unknown"),
        ({"model": {"schedule": "cosin"}}, "schedule 'cosin' is none of"),
        ({"model": {"age_head": "classes"}}, "age_head 'classes'"),
        ({"model": {"task_weights": {"age": -1.0}}}, "must not be negative"),
        ({"model": {"task_weights": {"race": 1.0}}}, "task_weights names race; tasks are gender, age, emotion"),
        ({"data": {"image_size": 8}}, "image_size 8 is too small"),
        ({"data": {"splits": {"val_share": 0.9, "test_share": 0.1}}}, "must leave something for training"),
        ({"data": {"augmentation": {"strength": 7}}}, "strength 7"),
        ({"data": {"sources": []}}, "set data.sources"),
        ({"data": source("UTKFaces")}, "UTKFaces"),
        ({"ema": {"decay": 1.0}}, "decay 1.0"),
        ({"last": {"minutes": 0}}, "minutes"),
        ({"threads": 0}, "--threads 0 must be 1 or more"),
        ({"trainer": {"overfit_batches": 2}}, "add --config configs/debug/overfit.yaml"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_is_named(here, capfd, changes, said):
    assert said in complaint(capfd, "fit", "--config", write_config(here, **changes))


def test_a_fit_of_nothing_names_a_config_to_begin_with(here, capfd):
    assert "experiment/demo.yaml" in complaint(capfd, "fit")


def test_a_missing_config_is_named(here, capfd):
    assert "nowhere.yaml" in complaint(capfd, "fit", "--config", "nowhere.yaml")


def test_a_config_that_is_no_yaml_is_refused(here, capfd):
    (here / "broken.yaml").write_text("data: [unclosed\n  - {")
    assert run("fit", "--config", "broken.yaml") == 2
    said = capfd.readouterr().err
    assert "line 1" in said
    assert "Traceback" not in said


def test_a_missing_root_is_named(here, capfd):
    config = write_config(here, data=source("FER2013", root="nowhere"))
    assert "root nowhere is not a folder" in complaint(capfd, "fit", "--config", config)


def test_a_root_that_is_another_data_set_is_named(here, capfd):
    config = write_config(here, data=source("UTKFace", root=str(write_fer2013(here / "fer", 1))))
    assert "is not UTKFace" in complaint(capfd, "fit", "--config", config)


def test_a_data_set_without_a_face_is_named(here, capfd):
    (here / "utk" / "UTKFace").mkdir(parents=True)
    config = write_config(here, data=source("UTKFace", root="utk"))
    assert "data set utkface: no usable face" in complaint(capfd, "fit", "--config", config)


def test_too_few_faces_for_a_split_are_named(here, capfd):
    table = write_table(here / "own", "path,age\na.jpg,3\n", ["a.jpg"])
    config = write_config(
        here, model={"task_weights": {"gender": 0, "emotion": 0}}, data=source("FaceTable", table=str(table))
    )
    assert "no face in the" in complaint(capfd, "fit", "--config", config)


def test_a_task_without_a_label_is_named_with_the_way_to_do_without(here, capfd):
    config = write_config(here, data=source("UTKFace", root=str(write_utkface(here / "utk", 40))))
    said = complaint(capfd, "fit", "--config", config)
    assert "no training face has a label for emotion" in said
    assert run("fit", "--config", config, "--model.task_weights.emotion=0", "--trainer.max_steps", "1") == 0


def test_too_many_broken_images_are_named(here, capfd):
    config = write_config(here, data=source("FER2013", root=str(write_fer2013(here / "fer", 2, broken=3))))
    said = complaint(capfd, "fit", "--config", config)
    assert "images are unreadable" in said
    assert "data.max_broken" in said


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_break_during_the_run_stop_it_with_their_name(here, capfd, workers):
    write_config(here)
    root = write_utkface(here / "utk", 40)
    settings = source("UTKFace", root=str(root)) | {"workers": workers, "splits": {"val_share": 0.2, "test_share": 0}}
    weights = {"task_weights": {"emotion": 0.0}}
    config = write_config(here, model=weights, data=settings, trainer={"max_epochs": 1})
    assert run("data", "--config", config) == 0  # hashes them
    stamps = {path: path.stat().st_mtime_ns for path in (root / "UTKFace").iterdir()}
    broken = []
    for path in stamps:
        # As a disk that goes bad does: same size, same time, other bytes.
        path.write_bytes(b"\0" * path.stat().st_size)
        os.utime(path, ns=(stamps[path], stamps[path]))
        broken.append(path.name)
    said = complaint(capfd, "fit", "--config", config)
    assert "read" in said
    assert any(name in said for name in broken) or "is the data folder still there" in said


@pytest.mark.parametrize("command", ["fit", "test"])
@pytest.mark.parametrize("wanted", ["last", "best", "some/where.ckpt"])
def test_a_checkpoint_that_is_not_there_is_named(here, capfd, command, wanted):
    said = complaint(capfd, command, "--config", write_config(here), "--ckpt_path", wanted)
    assert f"{wanted}: no" in said


@pytest.mark.parametrize("wanted", ["nonsense", "data.csv"])
def test_an_unknown_command_is_named(here, capfd, wanted):
    assert wanted in complaint(capfd, wanted)


class TestCheckpoints:
    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("trained")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert run("fit", "--config", write_config(folder, trainer={"max_epochs": 1})) == 0
        return folder / checkpoint()

    @pytest.fixture
    def copy(self, trained, here):
        return shutil.copy(trained, here / "copy.ckpt")

    @pytest.mark.parametrize("command", ["fit", "test", "validate"])
    @pytest.mark.parametrize("settings", [{"backbone": "resnet18"}, {"age_head": "regression"}])
    def test_of_another_shape_are_refused_by_the_first_difference(self, here, capfd, copy, command, settings):
        content = load(copy)
        content["hyper_parameters"].update(settings)
        torch.save(content, copy)
        said = complaint(capfd, command, "--config", write_config(here, model=settings), "--ckpt_path", copy)
        assert "the network has" in said or "is missing" in said or "is unknown" in said
        assert "give the config that it was trained with" in said

    def test_win_over_the_config_and_say_so(self, here, capfd, copy):
        config = write_config(here, model={"backbone": "resnet18"})
        assert run("test", "--config", config, "--ckpt_path", copy) == 0
        assert "backbone" in capfd.readouterr().err

    @pytest.mark.parametrize("command", ["fit", "test"])
    def test_that_are_truncated_are_refused(self, here, capfd, copy, command):
        truncate(copy, 5000)
        assert "damaged" in complaint(capfd, command, "--config", write_config(here), "--ckpt_path", copy)

    @pytest.mark.parametrize("command", ["fit", "test"])
    def test_with_code_in_them_are_refused_and_never_run(self, here, capfd, copy, command):
        from tests.unit.test_load import Attack

        torch.save(torch.load(copy, weights_only=True) | {"extra": Attack(here / "owned")}, copy)
        assert "damaged" in complaint(capfd, command, "--config", write_config(here), "--ckpt_path", copy)
        assert not (here / "owned").exists()

    def test_a_model_file_is_no_checkpoint_to_resume_from(self, here, capfd, trained):
        model = trained.parent.parent / "model.pth"
        assert "model.pth" in complaint(capfd, "fit", "--config", write_config(here), "--ckpt_path", model)


def test_a_schedule_by_a_clock_that_is_not_there_leaves_the_runs_folder_as_it_is(here, capfd):
    config = write_config(here, model={"schedule_by": "time"})
    assert "needs trainer.max_time" in complaint(capfd, "fit", "--config", config)
    assert not (here / "lightning_logs").exists()


def test_a_dead_worker_is_named_also_where_a_library_wraps_what_torch_says(here, capfd, monkeypatch):
    def interrupted_while_logging(*_):
        try:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
        except RuntimeError as error:
            raise ValueError("you tried to log 2.1 which is currently not supported") from error

    monkeypatch.setattr("smart_retail.training.cli.train", interrupted_while_logging)
    assert "a process that loads images was killed" in complaint(capfd, "fit", "--config", write_config(here))
